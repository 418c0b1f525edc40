"""Packets: what this client writes, and the rarer ones that it reads. PUBLISH is read in ``parser.py``.

Sans-I/O: bytes in, bytes out. MQTT 3.1.1 and 5; the parts of each that a QoS 0 and 1 client needs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from gateway.mqtt.errors import MalformedPacketError
from gateway.mqtt.properties import (
    MAXIMUM_PACKET_SIZE,
    MAXIMUM_QOS,
    REASON_STRING,
    RECEIVE_MAXIMUM,
    RETAIN_AVAILABLE,
    SERVER_KEEP_ALIVE,
    SESSION_EXPIRY_INTERVAL,
    Property,
    read_properties,
    variable_integer,
    write_string,
)
from gateway.mqtt.reasons import CONNACK_311, SUCCESS, UNSPECIFIED_ERROR


class Version(IntEnum):
    """Protocol level, as it stands in CONNECT."""

    V311 = 4
    V5 = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Announcement:
    """A message that the session sends by itself: its will, its birth, its farewell. Always QoS 1."""

    topic: str
    payload: bytes
    retain: bool = True
    """Whether the broker keeps it for those who subscribe later."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnAck:
    """The broker's answer to CONNECT, with its limits."""

    session_present: bool = False
    reason_code: int = SUCCESS
    reason_string: str | None = None
    receive_maximum: int = 65535
    """How many of our QoS 1 messages it takes unacknowledged."""
    maximum_packet_bytes: int | None = None
    """Largest packet that it takes; ``None``: no limit."""
    maximum_qos: int = 2
    retain_available: bool = True
    server_keep_alive_s: int | None = None
    """Keep-alive that we must use in place of our own."""


@dataclass(frozen=True, slots=True)
class SubAck:
    """The broker's answer to SUBSCRIBE: one reason code a filter; below 0x80 is the QoS granted."""

    packet_id: int
    reason_codes: tuple[int, ...]
    reason_string: str | None = None


@dataclass(frozen=True, slots=True)
class UnsubAck:
    """The broker's answer to UNSUBSCRIBE."""

    packet_id: int


@dataclass(frozen=True, slots=True)
class PubAck:
    """The broker has a message of ours, or refuses it (0x80 and above)."""

    packet_id: int
    reason_code: int = SUCCESS
    reason_string: str | None = None


@dataclass(frozen=True, slots=True)
class PingResp:
    """The broker is alive."""


@dataclass(frozen=True, slots=True)
class Disconnect:
    """The broker ends the connection (MQTT 5 only)."""

    reason_code: int = SUCCESS
    reason_string: str | None = None


Control = ConnAck | SubAck | UnsubAck | PubAck | PingResp | Disconnect

PINGREQ: Final = b"\xc0\x00"
_PUBACK: Final = b"\x40\x02"
_SESSION_EXPIRY: Final = bytes((SESSION_EXPIRY_INTERVAL,))
_RECEIVE_MAXIMUM: Final = bytes((RECEIVE_MAXIMUM,))
_MAXIMUM_PACKET_SIZE: Final = bytes((MAXIMUM_PACKET_SIZE,))


def connect(
    *,
    version: Version,
    client_id: str,
    keep_alive_s: int,
    clean_start: bool = False,
    session_expiry_s: int = 0,
    receive_maximum: int = 65535,
    maximum_packet_bytes: int = 0,
    username: str | None = None,
    password: str | None = None,
    will: Announcement | None = None,
) -> bytes:
    """Encode CONNECT. Expiry, receive maximum and packet size (0: no limit) are said in MQTT 5 only."""
    flags = clean_start << 1
    payload = write_string(client_id)
    if will is not None:
        flags |= 0x0C | will.retain << 5
        payload += _no_properties(version) + write_string(will.topic) + write_string(will.payload)
    if username is not None:
        flags |= 0x80
        payload += write_string(username)
    if password is not None:
        flags |= 0x40
        payload += write_string(password)
    properties = b""
    if version is Version.V5:
        properties = _SESSION_EXPIRY + session_expiry_s.to_bytes(4, "big")
        properties += _RECEIVE_MAXIMUM + receive_maximum.to_bytes(2, "big")
        if maximum_packet_bytes:
            properties += _MAXIMUM_PACKET_SIZE + maximum_packet_bytes.to_bytes(4, "big")
        properties = variable_integer(len(properties)) + properties
    header = write_string("MQTT") + bytes((version, flags)) + keep_alive_s.to_bytes(2, "big")
    return _packet(0x10, header + properties + payload)


def subscribe(packet_id: int, filters: Sequence[str], *, version: Version) -> bytes:
    """Encode SUBSCRIBE with QoS 1 at most, which is how QoS 2 is kept out."""
    body = b"".join(write_string(topic_filter) + b"\x01" for topic_filter in filters)
    return _packet(0x82, packet_id.to_bytes(2, "big") + _no_properties(version) + body)


def unsubscribe(packet_id: int, filters: Sequence[str], *, version: Version) -> bytes:
    """Encode UNSUBSCRIBE."""
    return _packet(0xA2, packet_id.to_bytes(2, "big") + _no_properties(version) + b"".join(map(write_string, filters)))


def publish(
    topic: str, payload: bytes, *, packet_id: int, version: Version, retain: bool = False, duplicate: bool = False
) -> bytes:
    """Encode PUBLISH with QoS 1."""
    head = 0x32 | retain | duplicate << 3
    return _packet(head, write_string(topic) + packet_id.to_bytes(2, "big") + _no_properties(version) + payload)


def acknowledge(packet_ids: Sequence[bytes]) -> bytes:
    """Encode one PUBACK for each packet id (two bytes, as the parser gives them), all in one piece."""
    return _PUBACK + _PUBACK.join(packet_ids) if packet_ids else b""


def disconnect(version: Version, reason_code: int = SUCCESS) -> bytes:
    """Encode DISCONNECT; only MQTT 5 can give a reason."""
    if version is Version.V311 or reason_code == SUCCESS:
        return b"\xe0\x00"
    return bytes((0xE0, 1, reason_code))


def decode_control(head: int, body: bytes, version: Version) -> Control:
    """Decode a packet other than PUBLISH from its first byte and what follows its length.

    :raises MalformedPacketError: not a packet that a broker may send to this client
    """
    decode = _DECODERS.get(head)
    if decode is None:
        message = f"packet with first byte 0x{head:02x} is not one that a broker may send to a client with QoS 0 and 1"
        raise MalformedPacketError(message)
    return decode(body, version)


def _conn_ack(body: bytes, version: Version) -> ConnAck:
    if len(body) < 2 or body[0] > 1:
        raise MalformedPacketError(f"CONNACK {body[:8].hex()} is too short or has reserved bits set")
    # a 3.1.1 broker refuses MQTT 5 in its own format, which has no properties
    if version is Version.V311 or len(body) == 2:
        _expect_length("CONNACK", body, 2)
        code = CONNACK_311.get(body[1], max(body[1], UNSPECIFIED_ERROR))
        return ConnAck(session_present=bool(body[0]), reason_code=code)
    properties = _properties("CONNACK", body, 2)
    receive_maximum = properties.get(RECEIVE_MAXIMUM, 65535)
    maximum_packet_bytes = properties.get(MAXIMUM_PACKET_SIZE)
    if receive_maximum == 0 or maximum_packet_bytes == 0:
        raise MalformedPacketError("CONNACK with a receive maximum or maximum packet size of 0")
    return ConnAck(
        session_present=bool(body[0]),
        reason_code=body[1],
        reason_string=properties.get(REASON_STRING),
        receive_maximum=receive_maximum,
        maximum_packet_bytes=maximum_packet_bytes,
        maximum_qos=properties.get(MAXIMUM_QOS, 2),
        retain_available=bool(properties.get(RETAIN_AVAILABLE, 1)),
        server_keep_alive_s=properties.get(SERVER_KEEP_ALIVE),
    )


def _sub_ack(body: bytes, version: Version) -> SubAck:
    packet_id = _packet_id("SUBACK", body)
    if version is Version.V311:
        return SubAck(packet_id, tuple(body[2:]))
    properties, start = read_properties(body, 2)
    return SubAck(packet_id, tuple(body[start:]), properties.get(REASON_STRING))


def _unsub_ack(body: bytes, _version: Version) -> UnsubAck:
    return UnsubAck(_packet_id("UNSUBACK", body))  # whether there was such a subscription is of no interest


def _pub_ack(body: bytes, version: Version) -> PubAck:
    packet_id = _packet_id("PUBACK", body)
    if version is Version.V311:
        _expect_length("PUBACK", body, 2)
    if len(body) == 2:
        return PubAck(packet_id)
    return PubAck(packet_id, body[2], _properties("PUBACK", body, 3).get(REASON_STRING))


def _ping_resp(body: bytes, _version: Version) -> PingResp:
    _expect_length("PINGRESP", body, 0)
    return PingResp()


def _disconnect(body: bytes, version: Version) -> Disconnect:
    if version is Version.V311:
        raise MalformedPacketError("DISCONNECT from the broker, which MQTT 3.1.1 does not have")
    if not body:
        return Disconnect()
    return Disconnect(body[0], _properties("DISCONNECT", body, 1).get(REASON_STRING))


_DECODERS: Final[dict[int, Callable[[bytes, Version], Control]]] = {
    0x20: _conn_ack,
    0x40: _pub_ack,
    0x90: _sub_ack,
    0xB0: _unsub_ack,
    0xD0: _ping_resp,
    0xE0: _disconnect,
}


def _properties(name: str, body: bytes, start: int) -> dict[int, Property]:
    """Read the properties that end a packet; MQTT 5 lets PUBACK and DISCONNECT leave an empty section out."""
    if start == len(body):
        return {}
    properties, end = read_properties(body, start)
    _expect_length(name, body, end)
    return properties


def _packet_id(name: str, body: bytes) -> int:
    packet_id = int.from_bytes(body[:2], "big")
    if len(body) < 2 or packet_id == 0:
        raise MalformedPacketError(f"{name} without a packet id")
    return packet_id


def _expect_length(name: str, body: bytes, length: int) -> None:
    if len(body) != length:
        raise MalformedPacketError(f"{name} of {len(body)} bytes, of which {length} have a meaning")


def _no_properties(version: Version) -> bytes:
    return b"\x00" if version is Version.V5 else b""


def _packet(head: int, body: bytes) -> bytes:
    return bytes((head,)) + variable_integer(len(body)) + body
