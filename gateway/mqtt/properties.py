"""The small change of MQTT: variable length integers, strings, and the property section of MQTT 5."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from gateway.mqtt.errors import MalformedPacketError

Property = Any
"""``int``, ``str`` or ``bytes``, by the property's identifier."""

SESSION_EXPIRY_INTERVAL: Final = 0x11
SERVER_KEEP_ALIVE: Final = 0x13
REASON_STRING: Final = 0x1F
RECEIVE_MAXIMUM: Final = 0x21
MAXIMUM_QOS: Final = 0x24
RETAIN_AVAILABLE: Final = 0x25
USER_PROPERTY: Final = 0x26
MAXIMUM_PACKET_SIZE: Final = 0x27

MAXIMUM_REMAINING_LENGTH: Final = 268_435_455
"""Largest value of a variable length integer: four bytes of seven bits."""


def variable_integer(value: int) -> bytes:
    """Encode a variable length integer, 0 … 268,435,455."""
    encoded = bytearray()
    while value > 127:
        encoded.append(value & 127 | 128)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def read_variable_integer(data: bytes, start: int) -> tuple[int, int] | None:
    """Return value and position after it, or ``None`` where the data end before it does.

    :raises MalformedPacketError: longer than four bytes, or longer than its value needs
    """
    value = 0
    for index in range(4):
        if start + index >= len(data):
            return None
        byte = data[start + index]
        value |= (byte & 127) << 7 * index
        if byte < 128:
            if byte == 0 and index:
                raise MalformedPacketError("a length is written in more bytes than it needs")
            return value, start + index + 1
    raise MalformedPacketError("a length has more than four bytes")


def write_string(text: str | bytes) -> bytes:
    """Encode a string or binary data with its two-byte length."""
    encoded = text.encode() if isinstance(text, str) else text
    return len(encoded).to_bytes(2, "big") + encoded


def read_properties(data: bytes, start: int) -> tuple[dict[int, Property], int]:
    """Return the properties by identifier, and the position after them; user properties are passed over.

    :raises MalformedPacketError: cut short, unknown, of the wrong form, or given twice
    """
    header = read_variable_integer(data, start)
    if header is None:
        raise MalformedPacketError("the packet ends before its properties")
    length, position = header
    end = position + length
    if end > len(data):
        raise MalformedPacketError("the properties are longer than their packet")
    section = data[:end]
    properties: dict[int, Property] = {}
    while position < end:
        identifier = section[position]
        value, position = _read_property(section, position + 1, identifier)
        if identifier == USER_PROPERTY:
            continue
        if identifier in properties:
            raise MalformedPacketError(f"property 0x{identifier:02x} given twice")
        properties[identifier] = value
    return properties, end


def read_binary(data: bytes, start: int) -> tuple[bytes, int]:
    """Return bytes that follow their two-byte length, and the position after them.

    :raises MalformedPacketError: cut short
    """
    length, position = _read_integer(data, start, 2)
    return _take(data, position, length)


def read_string(data: bytes, start: int) -> tuple[str, int]:
    """Return a string, and the position after it.

    :raises MalformedPacketError: cut short, or not UTF-8 as MQTT wants it
    """
    encoded, position = read_binary(data, start)
    return decode_text(encoded), position


def decode_text(encoded: bytes) -> str:
    """Decode UTF-8 as MQTT wants it: no surrogates, no U+0000.

    :raises MalformedPacketError: not such text
    """
    try:
        text = encoded.decode()
    except UnicodeDecodeError as error:
        raise MalformedPacketError(f"text {encoded[:40]!r} is not UTF-8") from error
    if "\0" in text:
        raise MalformedPacketError(f"text {encoded[:40]!r} contains U+0000")
    return text


def _take(data: bytes, start: int, length: int) -> tuple[bytes, int]:
    end = start + length
    if end > len(data):
        raise MalformedPacketError("the packet ends in the middle of a value")
    return data[start:end], end


def _read_integer(data: bytes, start: int, length: int) -> tuple[int, int]:
    taken, end = _take(data, start, length)
    return int.from_bytes(taken, "big"), end


def _read_whole_variable_integer(data: bytes, start: int) -> tuple[int, int]:
    found = read_variable_integer(data, start)
    if found is None:
        raise MalformedPacketError("the packet ends in the middle of a value")
    return found


def _read_pair(data: bytes, start: int) -> tuple[tuple[str, str], int]:
    name, position = read_string(data, start)
    value, end = read_string(data, position)
    return (name, value), end


def _byte(data: bytes, start: int) -> tuple[int, int]:
    return _read_integer(data, start, 1)


def _two_bytes(data: bytes, start: int) -> tuple[int, int]:
    return _read_integer(data, start, 2)


def _four_bytes(data: bytes, start: int) -> tuple[int, int]:
    return _read_integer(data, start, 4)


def _read_property(data: bytes, start: int, identifier: int) -> tuple[Property, int]:
    read = _READERS.get(identifier)
    if read is None:
        raise MalformedPacketError(f"property 0x{identifier:02x} is not one of MQTT 5")
    return read(data, start)


_Reader = Callable[[bytes, int], tuple[Property, int]]
# MQTT 5.0, table 2-4
_FORMS: Final[dict[_Reader, tuple[int, ...]]] = {
    _byte: (0x01, 0x17, 0x19, 0x24, 0x25, 0x28, 0x29, 0x2A),
    _two_bytes: (0x13, 0x21, 0x22, 0x23),
    _four_bytes: (0x02, 0x11, 0x18, 0x27),
    _read_whole_variable_integer: (0x0B,),
    read_string: (0x03, 0x08, 0x12, 0x15, 0x1A, 0x1C, 0x1F),
    read_binary: (0x09, 0x16),
    _read_pair: (0x26,),
}
_READERS: Final = {identifier: read for read, identifiers in _FORMS.items() for identifier in identifiers}
