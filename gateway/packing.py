"""Rows of numbers to MessagePack maps, many at once: how the fields of windows are held from the pipeline to the store.

Pure. All rows of one domain have the same names, so a row's bytes are a template with numbers in their places; rows
that lack some of the names share another template.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from contract.points import FieldValue
from gateway.frames import Flags, Singles

_MAP_16: Final = 0xDE
_FLOAT_32: Final = b"\xca"
_LAYOUTS: Final = 256
"""Templates kept; a sensor that comes and goes has few."""
_encode = msgspec.msgpack.Encoder().encode


class Packer:
    """Packs rows of float32 under fixed names; NaN is left out."""

    def __init__(self, names: Sequence[str], *, constants: Mapping[str, FieldValue], where: str) -> None:
        """Fix the names; ``constants`` are added to the rows that have a number under the name ``where``."""
        self._names = [_encode(name) + _FLOAT_32 for name in names]
        self._constants = [_encode(name) + _encode(value) for name, value in constants.items()]
        self._where = list(names).index(where)
        self._layouts: dict[bytes, tuple[NDArray[np.uint8], NDArray[np.intp]]] = {}

    def pack(self, table: Singles) -> list[bytes]:
        """Return a map for every row of a table, shape ``(n, names)``."""
        there = ~np.isnan(table)
        if (there == there[:1]).all():
            return self._alike(table, there[0]) if len(table) else []
        alike: dict[bytes, list[int]] = {}
        for row, pattern in enumerate(np.packbits(there, axis=1)):
            alike.setdefault(pattern.tobytes(), []).append(row)
        packed = [b""] * len(table)
        for rows in alike.values():
            for row, content in zip(rows, self._alike(table[rows], there[rows[0]]), strict=True):
                packed[row] = content
        return packed

    def _alike(self, table: Singles, there: Flags) -> list[bytes]:
        """Pack rows that have the same names."""
        template, places = self._layout(there)
        rows = np.repeat(template[None], len(table), axis=0)
        rows[:, places] = np.ascontiguousarray(table[:, there], ">f4").view(np.uint8)
        whole, size = rows.tobytes(), len(template)
        return [whole[start : start + size] for start in range(0, len(whole), size)]

    def _layout(self, there: Flags) -> tuple[NDArray[np.uint8], NDArray[np.intp]]:
        """Return the bytes of a row without its numbers, and where each byte of these goes."""
        key = there.tobytes()
        if key not in self._layouts:
            if len(self._layouts) >= _LAYOUTS:
                self._layouts.clear()
            self._layouts[key] = self._new_layout(there)
        return self._layouts[key]

    def _new_layout(self, there: Flags) -> tuple[NDArray[np.uint8], NDArray[np.intp]]:
        names = [name for name, one in zip(self._names, there.tolist(), strict=True) if one]
        constants = self._constants if there[self._where] else []
        head = bytes((_MAP_16,)) + (len(names) + len(constants)).to_bytes(2, "big")
        content = head + b"".join(name + bytes(4) for name in names) + b"".join(constants)
        ends = len(head) + np.cumsum([len(name) + 4 for name in names], dtype=np.intp)
        places = (ends[:, None] - 4 + np.arange(4)).ravel()
        return np.frombuffer(content, np.uint8), places
