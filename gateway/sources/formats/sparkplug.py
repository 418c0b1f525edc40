"""Sparkplug B payloads: the few protobuf fields that carry a measurement (sparkplug_b.proto of Eclipse Tahu)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from contract.errors import PayloadError

_SIGNED_BITS: Final = {1: 8, 2: 16, 3: 32, 4: 64}
"""Int8, Int16, Int32, Int64 travel as unsigned two's complement."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric as it was sent; births name it, data may give the alias only."""

    name: str | None
    alias: int | None
    time_ms: int | None
    datatype: int | None
    value: Any
    """Number, bool or text as on the wire; ``None`` where it is null or of a kind that is no measurement."""
    whole: bool
    """Whether the value came in one of the integer fields, which need the datatype to be understood."""

    def measured(self, datatype: int | None) -> Any:
        """Return the value, whole numbers with the sign that their datatype has."""
        bits = _SIGNED_BITS.get(datatype or 0)
        if not self.whole or bits is None:
            return self.value
        value = int(self.value) & ((1 << bits) - 1)
        return value - (1 << bits) if value >> (bits - 1) else value


@dataclass(frozen=True, slots=True)
class Payload:
    """A message of an edge node."""

    time_ms: int | None
    metrics: tuple[Metric, ...]


def decode(payload: bytes) -> Payload:
    """Read a payload.

    :raises PayloadError: it is not protobuf
    """
    time_ms = None
    metrics = []
    try:
        for number, value in _fields(payload):
            if number == 2 and isinstance(value, bytes):
                metrics.append(_metric(value))
            elif number == 1:
                time_ms = _whole(value)
    except (IndexError, struct.error, UnicodeDecodeError) as error:
        raise PayloadError(f"it is not a Sparkplug B payload ({error})") from error
    return Payload(time_ms, tuple(metrics))


def _metric(data: bytes) -> Metric:
    found = dict(_fields(data))  # the last of a repeated field wins
    name, null = found.get(1), bool(found.get(7))
    place = next((place for place in range(10, 16) if place in found), 0)
    return Metric(
        name=name.decode() if isinstance(name, bytes) else None,
        alias=_whole(found.get(2)),
        time_ms=_whole(found.get(3)),
        datatype=_whole(found.get(4)),
        value=None if null or not place else _value(place, found[place]),
        whole=place in (10, 11) and not null,
    )


def _whole(value: int | bytes | None) -> int | None:
    return value if isinstance(value, int) else None


def _value(place: int, found: int | bytes) -> Any:
    """Return a value by the number of its field: 10 int, 11 long, 12 float, 13 double, 14 bool, 15 text."""
    if isinstance(found, int):
        return bool(found) if place == 14 else found
    match place:
        case 12 | 13:
            return struct.unpack("<f" if place == 12 else "<d", found)[0]
        case 15:
            return found.decode()
    return None


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Yield field numbers and values: varints as numbers, everything else as its bytes."""
    place = 0
    while place < len(data):
        key, place = _varint(data, place)
        kind = key & 7
        if kind == 0:
            value, place = _varint(data, place)
            yield key >> 3, value
            continue
        if kind == 2:
            size, place = _varint(data, place)
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
        else:
            raise PayloadError("it is not a Sparkplug B payload (an unknown wire type)")
        if place + size > len(data):
            raise PayloadError("it is not a Sparkplug B payload (cut off)")
        yield key >> 3, data[place : place + size]
        place += size


def _varint(data: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[place]
        place += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value & (2**64 - 1), place
        shift += 7
        if shift > 63:
            raise PayloadError("it is not a Sparkplug B payload (a number without an end)")
