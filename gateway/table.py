"""State of many devices as columns: one array a quantity, one row a device; grows by doubling.

State that is a handful of arrays is updated for a whole batch at once, and is saved and loaded as it stands.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray


@dataclass(frozen=True, slots=True)
class Column:
    """Shape, type and first value of one quantity of one device."""

    shape: tuple[int, ...]
    dtype: DTypeLike
    fill: float


class Table:
    """Columns over devices; a device is its row number."""

    def __init__(self, columns: Mapping[str, Column]) -> None:
        """Start with no device."""
        self._columns = dict(columns)
        self._arrays = {name: self._empty(column, 0) for name, column in columns.items()}
        self._rows = 0

    def __len__(self) -> int:
        """Return the number of devices."""
        return self._rows

    def __getitem__(self, name: str) -> NDArray[Any]:
        """Return a column, shape ``(capacity, …)``; writing to it changes the state."""
        return self._arrays[name]

    def columns(self) -> Iterator[tuple[str, NDArray[Any]]]:
        """Return every column with its name, shape ``(capacity, …)``."""
        yield from self._arrays.items()

    @property
    def bytes_per_device(self) -> int:
        """Size of one row."""
        return sum(int(np.prod(c.shape)) * np.dtype(c.dtype).itemsize for c in self._columns.values())

    def grow(self, rows: int) -> None:
        """Make room for devices ``0 … rows - 1``."""
        capacity = len(next(iter(self._arrays.values())))
        if rows > capacity:
            capacity = max(rows, 2 * capacity)
            for name, column in self._columns.items():
                array = self._empty(column, capacity)
                array[: self._rows] = self._arrays[name][: self._rows]
                self._arrays[name] = array
        self._rows = max(self._rows, rows)

    def dump(self) -> dict[str, NDArray[Any]]:
        """Return a view of every column, for the devices there are: to be written out before anything else is done."""
        return {name: array[: self._rows] for name, array in self._arrays.items()}

    def load(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Take the columns of a dump.

        :raises ValueError: the dump is of other columns
        """
        for name, column in self._columns.items():
            found = state.get(name)
            if found is None or found.shape[1:] != column.shape or found.dtype != np.dtype(column.dtype):
                raise ValueError(
                    f"state: column {name!r} is missing or of another shape; it was saved with other settings."
                )
        self._arrays = {name: state[name].copy() for name in self._columns}
        self._rows = len(next(iter(self._arrays.values())))

    @staticmethod
    def _empty(column: Column, rows: int) -> NDArray[Any]:
        return np.full((rows, *column.shape), column.fill, column.dtype)
