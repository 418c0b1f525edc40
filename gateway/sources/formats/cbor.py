"""Reads CBOR (RFC 8949): what sensors send of it; tags are passed over, break and indefinite lengths understood."""

from __future__ import annotations

import struct
from typing import Any, Final

from contract.errors import PayloadError

_DEPTH: Final = 16
_BREAK: Final = object()
_END: Final = 0xFF
"""The byte that a break is."""
_FLOATS: Final = {25: (">e", 2), 26: (">f", 4), 27: (">d", 8)}
_SIMPLE: Final = {20: False, 21: True, 22: None, 23: None}


def decode(payload: bytes) -> Any:
    """Return the value that a payload is.

    :raises PayloadError: it is not CBOR, or nested too deeply
    """
    reader = _Reader(payload)
    try:
        value = reader.item(_DEPTH)
    except (IndexError, struct.error, UnicodeDecodeError, TypeError) as error:
        raise PayloadError(f"it is not CBOR ({error})") from error
    if value is _BREAK or reader.place != len(payload):
        raise PayloadError("it is not CBOR (bytes are left over)")
    return value


class _Reader:
    def __init__(self, payload: bytes) -> None:
        self._payload = payload
        self.place = 0

    def item(self, depth: int) -> Any:
        if depth == 0:
            raise PayloadError(f"it is nested more than {_DEPTH} levels deep")
        head = self._payload[self.place]
        self.place += 1
        major, minor = head >> 5, head & 31
        if major == 7:
            return self._simple(minor)
        length = None if minor == 31 else self._argument(minor)
        if major < 2:
            return self._known(length) if major == 0 else -1 - self._known(length)
        if major < 4:
            data = self._string(length, major)
            return data.decode() if major == 3 else data
        if major == 4:
            return self._items(length, depth)
        # what is left is a mapping, or a tag: how to understand what follows, which the fields say here
        return self._mapping(length, depth) if major == 5 else self.item(depth - 1)

    def _mapping(self, length: int | None, depth: int) -> dict[Any, Any]:
        flat = self._items(None if length is None else 2 * length, depth)
        if len(flat) % 2:
            raise PayloadError("it is not CBOR (a key without a value)")
        return dict(zip(flat[::2], flat[1::2], strict=True))

    def _simple(self, minor: int) -> Any:
        if minor == 31:
            return _BREAK
        if minor in _FLOATS:
            layout, size = _FLOATS[minor]
            return struct.unpack(layout, self._take(size))[0]
        if minor in _SIMPLE:
            return _SIMPLE[minor]
        raise PayloadError(f"it is not CBOR that is known here (simple value {minor})")

    def _argument(self, minor: int) -> int:
        if minor < 24:
            return minor
        if minor > 27:
            raise PayloadError("it is not CBOR (a reserved length)")
        return int.from_bytes(self._take(1 << (minor - 24)), "big")

    def _known(self, value: int | None) -> int:
        if value is None:
            raise PayloadError("it is not CBOR (a number without an end)")
        return value

    def _string(self, length: int | None, major: int) -> bytes:
        if length is not None:
            return self._take(length)
        chunks = []
        while (head := self._payload[self.place]) != _END:
            if head >> 5 != major or head & 31 == 31:
                raise PayloadError("it is not CBOR (a piece of a string is none)")
            self.place += 1
            chunks.append(self._take(self._argument(head & 31)))
        self.place += 1
        return b"".join(chunks)

    def _items(self, count: int | None, depth: int) -> list[Any]:
        if count is not None:
            if count > len(self._payload) - self.place:  # every item takes a byte
                raise PayloadError("it is not CBOR (cut off)")
            found = [self.item(depth - 1) for _ in range(count)]
            if any(value is _BREAK for value in found):
                raise PayloadError("it is not CBOR (a break where nothing is open)")
            return found
        found = []
        while (value := self.item(depth - 1)) is not _BREAK:
            found.append(value)
        return found

    def _take(self, size: int) -> bytes:
        data = self._payload[self.place : self.place + size]
        if len(data) != size:
            raise PayloadError("it is not CBOR (cut off)")
        self.place += size
        return data
