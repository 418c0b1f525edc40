"""From the bytes of a socket to messages: the hot path of the gateway.

Sans-I/O. A read yields plain tuples for its PUBLISH packets, the packet ids to acknowledge as the two bytes that they
are on the wire, and small objects for what is rarer. Work is linear in the bytes fed, however they are cut; what is
held between reads is one packet at most, and no packet longer than the limit.
"""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct
from typing import Any, Final, NamedTuple

from gateway.mqtt.errors import MalformedPacketError
from gateway.mqtt.packets import Control, Version, decode_control
from gateway.mqtt.properties import decode_text, read_variable_integer
from gateway.ports import Message

_CACHED_TOPICS: Final = 65536
"""Topics kept as text; when full it starts anew, so that a million topics cost time, not memory."""
_CACHED_TOPIC_BYTES: Final = 256
"""Longer topics are decoded anew each time: the cache stays within 65536 short entries."""
_NO_ID: Final = b"\0\0"
_HEAD_BYTES: Final = 5
"""First bytes of a PUBLISH: kind, length in one or two bytes, the topic's length, and where one byte is enough
the topic's first. They say where in the packet everything is."""
_SHAPES: Final = 1024
"""Heads that are remembered with what takes such a packet apart, dozens in a fleet; when full no more are."""
SMALLEST_LIMIT: Final = 128
"""Packets up to here need one length byte and are never checked against the limit."""


class Read(NamedTuple):
    """What one read from the socket gave."""

    messages: list[Message]
    packet_ids: list[bytes]
    """Ids of the QoS 1 messages, skipped ones included, in the order in which they came; two bytes each."""
    controls: list[Control]


class Parser:
    """Takes the byte stream of one connection apart; not to be used again after an error."""

    def __init__(self, *, version: Version, maximum_packet_bytes: int) -> None:
        """Bind to a protocol version.

        A PUBLISH longer than ``maximum_packet_bytes`` is passed over and counted, its id acknowledged with its batch:
        over MQTT 3.1.1 the broker cannot be told of the limit, and would send it again for ever.
        """
        self._version = version
        self._maximum_packet_bytes = max(maximum_packet_bytes, SMALLEST_LIMIT)
        self._property_bytes = 1 if version is Version.V5 else 0
        self._pending = bytearray()
        self._needed = 0
        self._discard = 0
        self._topics: dict[bytes, str] = {}
        self._shapes: dict[bytes, tuple[int, Callable[[bytes, int], tuple[Any, ...]]]] = {}
        """By head: size of the packet, and what gives topic, packet id, length of properties (v5) and payload."""
        self.skipped = 0
        """Messages passed over because they were too long."""

    @property
    def pending_bytes(self) -> int:
        """Bytes held of a packet that is not whole yet."""
        return len(self._pending)

    def feed(self, data: bytes) -> Read:
        """Take what came from the socket; return what is whole now.

        :raises MalformedPacketError: not MQTT; what this read held is dropped, and will be sent again if it was QoS 1
        """
        if self._discard:
            data = self._discarded(data)
        if self._pending:
            self._pending += data
            if len(self._pending) < self._needed:
                return Read([], [], [])
            data = bytes(self._pending)
            self._pending.clear()
        return self._parse(data)

    def _discarded(self, data: bytes) -> bytes:
        dropped = min(self._discard, len(data))
        self._discard -= dropped
        return data[dropped:]

    def _parse(self, data: bytes) -> Read:  # noqa: C901, PLR0912, PLR0915 - unrolled: a call costs as much as a message
        messages: list[Message] = []
        packet_ids: list[bytes] = []
        controls: list[Control] = []
        topics, shapes = self._topics, self._shapes
        property_bytes = self._property_bytes
        size = len(data)
        position = 0
        needed = 2
        while position + 1 < size:
            shape = shapes.get(data[position : position + _HEAD_BYTES])
            if shape is not None:
                packet_bytes, take_apart = shape
                stop = position + packet_bytes
                if stop > size:
                    needed = packet_bytes
                    break
                encoded, packet_id, properties, payload = take_apart(data, position)
                topic = topics.get(encoded)
                if topic is not None and packet_id != _NO_ID and not properties:
                    packet_ids.append(packet_id)
                    messages.append((topic, payload))
                    position = stop
                    continue
            head = data[position]
            length = data[position + 1]
            start = position + 2
            if length > 127:
                if start < size and 0 < data[start] < 128:
                    length += (data[start] << 7) - 128
                    start += 1
                else:
                    found = read_variable_integer(data, position + 1)
                    if found is None:
                        needed = size - position + 1
                        break
                    length, start = found
                if start - position + length > self._maximum_packet_bytes:
                    skipped = self._skip(data, position, start, length, packet_ids)
                    if skipped:
                        needed = skipped
                        break
                    position = min(start + length, size)
                    continue
            stop = start + length
            if stop > size:
                needed = stop - position
                break
            if head & 0xF0 != 0x30:
                controls.append(decode_control(head, data[start:stop], self._version))
                position = stop
                continue
            # the shortest PUBLISH is checked first, so that no index below leaves this packet
            if length < 3:
                raise MalformedPacketError("PUBLISH without a topic")
            topic_start = start + 2
            topic_stop = topic_start + (data[start] << 8 | data[start + 1])
            quality = head & 0x0E
            if quality & 0x06 == 0x02:
                payload_start = topic_stop + 2 + property_bytes
                packet_id = data[topic_stop : topic_stop + 2]
                if packet_id == _NO_ID:
                    raise MalformedPacketError("PUBLISH with packet id 0")
                packet_ids.append(packet_id)
            elif quality:
                raise MalformedPacketError(f"PUBLISH with flags 0x{quality:02x}: QoS 2 or 3, or DUP without QoS")
            else:
                payload_start = topic_stop + property_bytes
            if payload_start > stop:
                raise MalformedPacketError("PUBLISH ends before its payload begins")
            if property_bytes and data[payload_start - 1]:
                payload_start = _after_properties(data, payload_start - 1, stop)
            topic = topics.get(data[topic_start:topic_stop])
            if topic is None:
                topic = self._new_topic(data[topic_start:topic_stop])
            messages.append((topic, data[payload_start:stop]))
            if quality and shape is None and topic_start - position <= _HEAD_BYTES and len(shapes) < _SHAPES:
                self._remember(data[position:stop], topic_start - position, topic_stop - topic_start)
            position = stop
        if position < size:
            self._needed = needed
            self._pending += memoryview(data)[position:]
        return Read(messages, packet_ids, controls)

    def _remember(self, packet: bytes, topic_start: int, topic_bytes: int) -> None:
        """Remember how packets with this head are taken apart: the next one costs half of the way above."""
        rest = len(packet) - topic_start - topic_bytes - 2 - self._property_bytes
        properties = "B" if self._property_bytes else "0s"
        shape = Struct(f"={topic_start}x{topic_bytes}s2s{properties}{rest}s")
        self._shapes[packet[:_HEAD_BYTES]] = shape.size, shape.unpack_from

    def _new_topic(self, encoded: bytes) -> str:
        """Check and decode a topic; remember it."""
        topic = decode_text(encoded)
        if not topic or "+" in topic or "#" in topic:
            # an empty topic stands for an alias, and this client allows the broker none
            raise MalformedPacketError(f"PUBLISH to topic {topic[:80]!r}")
        if len(encoded) <= _CACHED_TOPIC_BYTES:
            if len(self._topics) >= _CACHED_TOPICS:
                self._topics.clear()
            self._topics[encoded] = topic
        return topic

    def _skip(self, data: bytes, position: int, start: int, length: int, packet_ids: list[bytes]) -> int:
        """Pass over a packet that is too long; return how many of its bytes are needed first, 0 when it is done."""
        head = data[position]
        if head & 0xF0 != 0x30 or head & 0x06 > 0x02:
            raise MalformedPacketError(f"packet with first byte 0x{head:02x} has {length} bytes, more than the limit")
        if start + 2 > len(data):
            return start + 2 - position
        id_start = start + 2 + (data[start] << 8 | data[start + 1])
        if id_start + 2 > start + length:
            raise MalformedPacketError("PUBLISH ends before its payload begins")
        if id_start + 2 > len(data):
            return id_start + 2 - position
        if head & 0x06:
            packet_id = data[id_start : id_start + 2]
            if packet_id == _NO_ID:
                raise MalformedPacketError("PUBLISH with packet id 0")
            packet_ids.append(packet_id)
        self.skipped += 1
        self._discard = max(0, start + length - len(data))
        return 0


def _after_properties(data: bytes, start: int, stop: int) -> int:
    """Return where the payload begins; none of a message's properties matters here."""
    found = read_variable_integer(data, start)
    if found is None or sum(found) > stop:
        raise MalformedPacketError("PUBLISH ends before its payload begins")
    return sum(found)
