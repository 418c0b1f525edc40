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
KEPT_BYTES: Final = 2**20
"""Arrays up to this size come from memory that the process keeps; larger ones are mapped, and go when freed."""
FREE_BYTES: Final = 8 * 2**20
"""As much may lie free at the end of the process's memory until :func:`give_back`."""
ARENAS: Final = 1
"""Heaps of the C library: one for each thread would leave each one's largest batch lying about."""

_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3
_M_ARENA_MAX: Final = -8
_library: Final = ctypes.CDLL(None)
_GLIBC: Final = hasattr(_library, "malloc_trim")
"""Others do as they do."""


def tune() -> None:
    """Set the process up; what is loaded now is never searched again. Call once, before anything is opened."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(OBJECTS_A_COLLECTION, 20, 50)
    if _GLIBC:
        _library.mallopt(_M_MMAP_THRESHOLD, KEPT_BYTES)
        _library.mallopt(_M_TRIM_THRESHOLD, FREE_BYTES)
        _library.mallopt(_M_ARENA_MAX, ARENAS)
    give_back()  # what proving the models took


def give_back() -> None:
    """Return free pages to the system: the holes that a backlog left. Takes 1 or 2 ms where there are many."""
    if _GLIBC:
        _library.malloc_trim(0)
