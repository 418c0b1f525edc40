"""State of many devices as columns: one array a quantity, one row a device; room for them doubles.

State that is a handful of arrays is updated for a whole batch at once, and is saved and loaded as it stands. Large
columns are mapped from the system by themselves: room that no device has yet takes no memory, and a column that was
outgrown leaves no hole.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any, Final

import numpy as np
from numpy.typing import DTypeLike, NDArray

MAPPED_BYTES: Final = 64 * 2**10
"""Columns from this size on are mapped; below, rounding to pages would cost more than it saves."""


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
        self._arrays = {name: _zeros(column, 0) for name, column in columns.items()}
        self._rows = 0

    def __len__(self) -> int:
        """Return the number of devices."""
        return self._rows

    def __getitem__(self, name: str) -> NDArray[Any]:
        """Return a column, shape ``(capacity, …)``; writing to it changes the state. Rows of no device mean nothing."""
        return self._arrays[name]

    def of(self, name: str, devices: NDArray[np.int64]) -> NDArray[Any]:
        """Return a copy of a column's rows of devices, an eighth of the time that ``[name][devices]`` takes."""
        return self._arrays[name].take(devices, axis=0)

    def columns(self) -> Iterator[tuple[str, NDArray[Any]]]:
        """Return every column with its name, shape ``(capacity, …)``."""
        yield from self._arrays.items()

    @property
    def bytes_per_device(self) -> int:
        """Size of one row."""
        return sum(prod(c.shape) * np.dtype(c.dtype).itemsize for c in self._columns.values())

    def grow(self, rows: int) -> None:
        """Make room for devices ``0 … rows - 1``."""
        if rows <= self._rows:
            return
        capacity = len(next(iter(self._arrays.values())))
        if rows > capacity:
            self._make_room(max(rows, 2 * capacity))
        for name, column in self._columns.items():
            if column.fill != 0:
                self._arrays[name][self._rows : rows] = column.fill
        self._rows = rows

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
        rows = len(state[next(iter(self._columns))])
        self._rows = 0
        self._make_room(rows)
        for name, array in self._arrays.items():
            array[:] = state[name]
        self._rows = rows

    def _make_room(self, capacity: int) -> None:
        for name, column in self._columns.items():
            array = _zeros(column, capacity)
            array[: self._rows] = self._arrays[name][: self._rows]
            self._arrays[name] = array


def _zeros(column: Column, rows: int) -> NDArray[Any]:
    shape, dtype = (rows, *column.shape), np.dtype(column.dtype)
    size_bytes = prod(shape) * dtype.itemsize
    if size_bytes < MAPPED_BYTES:
        return np.zeros(shape, dtype)
    return np.frombuffer(mmap.mmap(-1, size_bytes, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS), dtype).reshape(shape)
