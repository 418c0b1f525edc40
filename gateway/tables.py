"""Tables with one row a device, as numpy records: they grow with the devices and become bytes in one call."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Table = NDArray[np.void]
"""Records; a column is ``table["name"]``, a view."""


def table(row: Any, columns: list[Any]) -> Table:
    """Return a table of one blank row; ``columns`` as numpy writes a record's dtype."""
    return np.array([row], dtype=columns)


def grown(rows: Table, count: int, blank: Table) -> Table:
    """Return the table with room for at least ``count`` devices; new rows are ``blank[0]``.

    Room doubles, so that a fleet that announces itself one by one costs no more than one that is there at once.
    """
    if count <= len(rows):
        return rows
    more = np.repeat(blank[:1], max(count, 2 * len(rows)) - len(rows))
    return np.concatenate([rows, more])


def from_bytes(state: bytes, blank: Table) -> Table:
    """Return the table whose ``tobytes()`` this is; writable."""
    return np.frombuffer(state, dtype=blank.dtype).copy()
