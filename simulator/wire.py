"""The few MQTT 3.1.1 packets that a device needs: what it sends as bytes, what it is answered as counts and codes.

A device publishes and never subscribes, so this is a page, not a client library; bytes in, bytes out, no socket.
Sections are those of the standard, MQTT Version 3.1.1 (OASIS, 2014).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final, NamedTuple

CONNACK: Final = 2
PUBACK: Final = 4
PINGREQ: Final = b"\xc0\x00"
DISCONNECT: Final = b"\xe0\x00"
PACKET_IDS: Final = 65_535
"""Packet ids are 1 … this."""

_PUBACK: Final = struct.Struct(">HH")
_WILL_QOS_1_RETAINED: Final = 0x2C
_CLEAN_SESSION: Final = 0x02


class Answer(NamedTuple):
    """A packet from the broker."""

    kind: int
    """Control packet type, section 2.2.1."""
    body: bytes


def connect(
    client_id: str,
    *,
    keep_alive_s: int,
    username: str | None = None,
    password: str | None = None,
    will: tuple[str, bytes] | None = None,
) -> bytes:
    """Return CONNECT (section 3.1) with a clean session; ``will`` is topic and payload, retained, at QoS 1."""
    flags = _CLEAN_SESSION
    fields = [client_id.encode()]
    if will is not None:
        flags |= _WILL_QOS_1_RETAINED
        fields += [will[0].encode(), will[1]]
    for flag, text in ((0x80, username), (0x40, password)):
        if text is not None:
            flags |= flag
            fields.append(text.encode())
    header = b"\x00\x04MQTT\x04" + bytes((flags,)) + keep_alive_s.to_bytes(2, "big")
    return _packet(0x10, header + b"".join(_prefixed(field) for field in fields))


def publish_head(topic: str, payload_bytes: int, *, retain: bool = False) -> bytes:
    """Return what comes before the packet id in PUBLISH (section 3.3) with QoS 1; the same for payloads of one size."""
    name = _prefixed(topic.encode())
    return bytes((0x32 | retain,)) + _remaining_length(len(name) + 2 + payload_bytes) + name


def publish(topic: str, payload: bytes, packet_id: int, *, retain: bool = False) -> bytes:
    """Return PUBLISH with QoS 1."""
    return publish_head(topic, len(payload), retain=retain) + packet_id.to_bytes(2, "big") + payload


def acknowledged(received: bytes) -> list[int]:
    """Return the packet ids where nothing but whole PUBACKs was received, as nearly always; else none."""
    if len(received) % 4 or received[::4].strip(b"\x40") or received[1::4].strip(b"\x02"):
        return []
    return [number for _, number in _PUBACK.iter_unpack(received)]


def answers(received: bytearray) -> Iterator[Answer]:
    """Take whole packets off the front of what was received; the rest of a packet stays.

    :raises ValueError: a length that is none (section 2.2.3)
    """
    while len(received) >= 2:
        length, shift, start = 0, 0, 1
        while True:
            if start >= len(received):
                return
            byte = received[start]
            length |= (byte & 0x7F) << shift
            start, shift = start + 1, shift + 7
            if not byte & 0x80:
                break
            if shift > 21:
                message = "a packet's length has more than four bytes"
                raise ValueError(message)
        if len(received) < start + length:
            return
        yield Answer(received[0] >> 4, bytes(received[start : start + length]))
        del received[: start + length]


def _packet(head: int, body: bytes) -> bytes:
    return bytes((head,)) + _remaining_length(len(body)) + body


def _prefixed(data: bytes) -> bytes:
    return len(data).to_bytes(2, "big") + data


def _remaining_length(length: int) -> bytes:
    encoded = bytearray()
    while True:
        length, digit = length >> 7, length & 0x7F
        encoded.append(digit | (0x80 if length else 0))
        if not length:
            return bytes(encoded)
