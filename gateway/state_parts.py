"""State as a row of parts of bounded size, so that what many devices hold is never in memory a second time.

Pure. A part is some rows of one array under its name; joining parts gives the arrays back.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

PART_BYTES: Final = 2**16
"""An array is cut into parts of about this size; a part is in memory some five times until it is written."""

Arrays = Mapping[str, NDArray[Any]]


class _Part(msgspec.Struct, frozen=True, array_like=True):
    name: str
    dtype: str
    shape: tuple[int, ...]
    """Of the whole array."""
    start: int
    """First row of this part, and the one after its last."""
    end: int
    rows: bytes


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Part).decode


def cut(arrays: Arrays) -> Iterator[bytes]:
    """Yield arrays ``(rows, …)`` in parts. They are views of the state: nothing may change it before the last part."""
    for name, array in arrays.items():
        step = max(1, PART_BYTES * len(array) // max(array.nbytes, 1))
        for start in range(0, max(len(array), 1), step):
            rows = array[start : start + step]
            yield _encode(_Part(name, array.dtype.str, array.shape, start, start + len(rows), rows.tobytes()))


def joined(parts: Iterable[bytes]) -> dict[str, NDArray[Any]]:
    """Return the arrays that were cut; writable."""
    arrays: dict[str, NDArray[Any]] = {}
    for part in map(_decode, parts):
        array = arrays.setdefault(part.name, np.empty(part.shape, part.dtype)) if part.start == 0 else arrays[part.name]
        if array[part.start : part.end].size:
            array[part.start : part.end] = np.frombuffer(part.rows, part.dtype).reshape(-1, *part.shape[1:])
    return arrays


def named(prefix: str, arrays: Arrays) -> dict[str, NDArray[Any]]:
    """Return arrays under longer names; :func:`under` gives them back."""
    return {f"{prefix}.{name}": array for name, array in arrays.items()}


def under(prefix: str, arrays: Arrays) -> dict[str, NDArray[Any]]:
    """Return the arrays whose names begin with a prefix, without it."""
    start = f"{prefix}."
    return {name.removeprefix(start): array for name, array in arrays.items() if name.startswith(start)}
