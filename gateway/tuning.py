"""How the interpreter and the C library look after memory, set for batches: measured in docs/performance.md.

A batch makes some thousand small objects and some arrays of a megabyte, and drops them together. By default every few
hundred objects are searched for cycles, of which batches have none, and every such array is mapped from the system
anew, page by page, and given back.
"""

from __future__ import annotations

import ctypes
import gc
from typing import Final

OBJECTS_A_COLLECTION: Final = 50_000
"""Objects by which a process grows before the youngest are searched for cycles: some batches."""
KEPT_BYTES: Final = 8 * 2**20
"""Arrays up to this size come from memory that the process keeps; as much may lie free at its end."""
ARENAS: Final = 2
"""Heaps of the C library: one for each thread would leave each one's largest batch lying about."""

_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3
_M_ARENA_MAX: Final = -8


def tune() -> None:
    """Set the process up; what is loaded now is never searched again. Call once, before anything is opened."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(OBJECTS_A_COLLECTION, 20, 50)
    library = ctypes.CDLL(None)
    if hasattr(library, "mallopt"):  # glibc has it; others do as they do
        library.malloc_trim(0)  # what proving the models took
        library.mallopt(_M_MMAP_THRESHOLD, KEPT_BYTES)
        library.mallopt(_M_TRIM_THRESHOLD, KEPT_BYTES)
        library.mallopt(_M_ARENA_MAX, ARENAS)
