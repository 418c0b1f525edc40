"""State of one row a device as numpy records: it grows with the devices and becomes bytes in one call."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Records = NDArray[np.void]
"""A row a device; a column is ``records["name"]``, a view."""


def records(row: Any, columns: list[Any]) -> Records:
    """Return one blank row; ``columns`` as numpy writes a record's dtype."""
    return np.array([row], dtype=columns)


def grown(rows: Records, count: int, blank: Records) -> Records:
    """Return the rows with room for at least ``count`` devices; new ones are ``blank[0]``.

    Room doubles, so that a fleet that announces itself one by one costs no more than one that is there at once.
    """
    if count <= len(rows):
        return rows
    more = np.repeat(blank[:1], max(count, 2 * len(rows)) - len(rows))
    return np.concatenate([rows, more])


def distinct(numbers: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the different ones of small numbers, 0 or more, ascending; :func:`numpy.unique` sorts, and loads more."""
    return np.flatnonzero(np.bincount(numbers))


def from_bytes(state: bytes, blank: Records) -> Records:
    """Return the rows whose ``tobytes()`` this is; writable."""
    return np.frombuffer(state, dtype=blank.dtype).copy()
