"""The codec and the ``mqtt5`` package's understand each other, and no cut of the stream and no garbage disturbs it."""

from __future__ import annotations

from contextlib import suppress
from itertools import pairwise
from typing import Any

import mqtt5
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.mqtt import packets
from gateway.mqtt.errors import MalformedPacketError
from gateway.mqtt.packets import Announcement, ConnAck, Disconnect, PingResp, PubAck, SubAck, Version
from gateway.mqtt.parser import Parser, Read

LIMIT = 64 * 1024

texts = st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=40)
topics = st.text(st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="+#"), min_size=1, max_size=300)
payloads = st.binary(max_size=600)
packet_ids = st.integers(1, 65535)
user_properties = st.lists(st.tuples(texts, texts), max_size=3)
versions = st.sampled_from(Version)


def members(kind: Any) -> st.SearchStrategy[Any]:
    """Draw from the peer's enumerations, which are not Python's."""
    return st.sampled_from([getattr(kind, name) for name in dir(kind) if name.isupper()])


@st.composite
def publishes(draw: st.DrawFn) -> mqtt5.PublishPacket:
    quality = draw(st.sampled_from([mqtt5.QoS.AT_MOST_ONCE, mqtt5.QoS.AT_LEAST_ONCE]))
    return mqtt5.PublishPacket(
        draw(topics),
        draw(payloads),
        qos=quality,
        packet_id=draw(packet_ids) if quality is mqtt5.QoS.AT_LEAST_ONCE else None,
        retain=draw(st.booleans()),
        duplicate=quality is mqtt5.QoS.AT_LEAST_ONCE and draw(st.booleans()),
        message_expiry_interval=draw(st.none() | st.integers(0, 2**32 - 1)),
        content_type=draw(st.none() | texts),
        response_topic=draw(st.none() | topics),
        correlation_data=draw(st.none() | payloads),
        user_properties=draw(user_properties),
    )


def parser(version: Version = Version.V5, limit: int = LIMIT) -> Parser:
    return Parser(version=version, maximum_packet_bytes=limit)


def controls(data: bytes, version: Version = Version.V5) -> list[packets.Control]:
    return parser(version).feed(data).controls


def read_whole(data: bytes) -> Any:
    """Read one packet with the peer, which must take every byte of it."""
    packet, size = mqtt5.read(memoryview(data))
    assert size == len(data)
    return packet


def fed(target: Parser, pieces: list[bytes]) -> Read:
    total = Read([], [], [])
    for piece in pieces:
        read = target.feed(piece)
        total.messages.extend(read.messages)
        total.packet_ids.extend(read.packet_ids)
        total.controls.extend(read.controls)
    return total


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted({place % (len(data) + 1) for place in places}), len(data)]
    return [data[start:stop] for start, stop in pairwise(edges)]


def publish_311(topic: str, payload: bytes, packet_id: int | None, head: int = 0x30) -> bytes:
    """Write a PUBLISH of MQTT 3.1.1 from the standard's text, with no help of the code under test."""
    encoded = topic.encode()
    body = len(encoded).to_bytes(2, "big") + encoded
    if packet_id is not None:
        head |= 2
        body += packet_id.to_bytes(2, "big")
    body += payload
    length, rest = bytearray(), len(body)
    while True:
        rest, low = divmod(rest, 128)
        length.append(low | (128 if rest else 0))
        if not rest:
            return bytes((head, *length)) + body


@given(st.lists(publishes(), max_size=8), st.lists(st.integers(0, 10_000), max_size=12))
def test_messages_written_by_the_peer_are_read_whatever_the_cuts(
    written: list[mqtt5.PublishPacket], places: list[int]
) -> None:
    written = 2 * written  # the second time every head is a known one
    stream = b"".join(packet.write() for packet in written)
    read = fed(parser(), cut(stream, places))
    assert read.messages == [(packet.topic, packet.payload) for packet in written]
    assert read.packet_ids == [packet.packet_id.to_bytes(2, "big") for packet in written if packet.packet_id]


@given(
    st.lists(st.tuples(topics, payloads, st.none() | packet_ids), max_size=8),
    st.lists(st.integers(0, 9999), max_size=9),
)
def test_messages_of_version_311_are_read_whatever_the_cuts(
    written: list[tuple[str, bytes, int | None]], places: list[int]
) -> None:
    written = 2 * written
    stream = b"".join(publish_311(*message) for message in written)
    read = fed(parser(Version.V311), cut(stream, places))
    assert read.messages == [(topic, payload) for topic, payload, _ in written]
    assert read.packet_ids == [packet_id.to_bytes(2, "big") for _, _, packet_id in written if packet_id]


@given(topics, payloads, packet_ids, st.booleans(), st.booleans())
def test_a_message_of_ours_is_read_by_the_peer(
    topic: str,
    payload: bytes,
    packet_id: int,
    retain: bool,  # noqa: FBT001 - drawn
    duplicate: bool,  # noqa: FBT001 - drawn
) -> None:
    data = packets.publish(topic, payload, packet_id=packet_id, version=Version.V5, retain=retain, duplicate=duplicate)
    packet = read_whole(data)
    assert (packet.topic, packet.payload, packet.packet_id) == (topic, payload, packet_id)
    assert (packet.retain, packet.duplicate, packet.qos) == (retain, duplicate, mqtt5.QoS.AT_LEAST_ONCE)


@given(
    client_id=topics,
    keep_alive_s=st.integers(0, 65535),
    clean_start=st.booleans(),
    session_expiry_s=st.integers(0, 2**32 - 1),
    receive_maximum=st.integers(1, 65535),
    maximum_packet_bytes=st.integers(128, 2**28 - 1),
    username=st.none() | texts,
    password=st.none() | texts,
    will=st.none() | st.builds(Announcement, topic=topics, payload=payloads, retain=st.booleans()),
)
def test_connect_is_read_by_the_peer(**said: Any) -> None:
    packet = read_whole(packets.connect(version=Version.V5, **said))
    assert packet.client_id == said["client_id"]
    assert packet.keep_alive == said["keep_alive_s"]
    assert packet.clean_start == said["clean_start"]
    assert packet.session_expiry_interval == said["session_expiry_s"]
    assert packet.receive_max == said["receive_maximum"]
    assert packet.max_packet_size == said["maximum_packet_bytes"]
    assert packet.topic_alias_max == 0
    assert packet.username == said["username"]
    assert packet.password == (None if said["password"] is None else said["password"].encode())
    will = said["will"]
    assert (packet.will is None) == (will is None)
    if will is not None:
        assert (packet.will.topic, packet.will.payload, packet.will.retain) == (will.topic, will.payload, will.retain)
        assert packet.will.qos == mqtt5.QoS.AT_LEAST_ONCE


@given(packet_ids, st.lists(topics, min_size=1, max_size=5))
def test_subscribe_is_read_by_the_peer_and_never_asks_for_qos_2(packet_id: int, filters: list[str]) -> None:
    packet = read_whole(packets.subscribe(packet_id, filters, version=Version.V5))
    assert packet.packet_id == packet_id
    assert [wanted.pattern for wanted in packet.topic_filters] == filters
    assert all(wanted.max_qos == mqtt5.QoS.AT_LEAST_ONCE for wanted in packet.topic_filters)


@given(st.lists(packet_ids, max_size=50))
def test_a_batch_of_acknowledgements_is_read_by_the_peer_in_order(ids: list[int]) -> None:
    data = memoryview(packets.acknowledge([packet_id.to_bytes(2, "big") for packet_id in ids]))
    read = []
    while data:
        packet, size = mqtt5.read(data)
        assert isinstance(packet, mqtt5.PubAckPacket)
        read.append(packet.packet_id)
        data = data[size:]
    assert read == ids


def test_ping_and_disconnect_are_read_by_the_peer() -> None:
    assert isinstance(read_whole(packets.PINGREQ), mqtt5.PingReqPacket)
    assert read_whole(packets.disconnect(Version.V5)).reason_code == mqtt5.DisconnectReasonCode.NORMAL_DISCONNECTION
    assert read_whole(packets.disconnect(Version.V5, 0x81)).reason_code == mqtt5.DisconnectReasonCode.MALFORMED_PACKET


@given(
    st.booleans(),
    members(mqtt5.ConnAckReasonCode),
    st.integers(1, 65535),
    st.none() | st.integers(1, 2**32 - 1),
    st.booleans(),
    st.none() | st.integers(0, 65535),
    st.none() | texts,
    user_properties,
)
def test_the_peers_connack_is_read(  # noqa: PLR0917 - drawn
    present: bool,  # noqa: FBT001 - drawn
    code: mqtt5.ConnAckReasonCode,
    receive_maximum: int,
    largest: int | None,
    retain: bool,  # noqa: FBT001 - drawn
    keep_alive_s: int | None,
    reason: str | None,
    extra: list[tuple[str, str]],
) -> None:
    data = mqtt5.ConnAckPacket(
        session_present=present,
        reason_code=code,
        receive_max=receive_maximum,
        max_packet_size=largest,
        retain_available=retain,
        server_keep_alive=keep_alive_s,
        reason_str=reason,
        assigned_client_id="someone",
        max_qos=mqtt5.QoS.AT_LEAST_ONCE,
        user_properties=extra,
    ).write()
    assert controls(data) == [
        ConnAck(
            session_present=present,
            reason_code=int(code),
            reason_string=reason,
            receive_maximum=receive_maximum,
            maximum_packet_bytes=largest,
            maximum_qos=1,
            retain_available=retain,
            server_keep_alive_s=keep_alive_s,
        )
    ]


@given(packet_ids, st.lists(members(mqtt5.SubAckReasonCode), min_size=1, max_size=5), st.none() | texts)
def test_the_peers_suback_is_read(packet_id: int, codes: list[mqtt5.SubAckReasonCode], reason: str | None) -> None:
    data = mqtt5.SubAckPacket(packet_id, codes, reason_str=reason).write()
    assert controls(data) == [SubAck(packet_id, tuple(map(int, codes)), reason)]


@given(packet_ids, members(mqtt5.PubAckReasonCode), st.none() | texts)
def test_the_peers_puback_is_read(packet_id: int, code: mqtt5.PubAckReasonCode, reason: str | None) -> None:
    data = mqtt5.PubAckPacket(packet_id, reason_code=code, reason_str=reason).write()
    assert controls(data) == [PubAck(packet_id, int(code), reason)]


@given(members(mqtt5.DisconnectReasonCode), st.none() | texts)
def test_the_peers_disconnect_is_read(code: mqtt5.DisconnectReasonCode, reason: str | None) -> None:
    assert controls(mqtt5.DisconnectPacket(reason_code=code, reason_str=reason).write()) == [
        Disconnect(int(code), reason)
    ]
    assert controls(mqtt5.PingRespPacket().write()) == [PingResp()]


@given(versions, st.lists(st.binary(max_size=200), max_size=8))
def test_random_bytes_are_refused_or_awaited_and_never_hoarded(version: Version, pieces: list[bytes]) -> None:
    target = parser(version)
    for piece in pieces:
        try:
            target.feed(piece)
        except MalformedPacketError:
            return
        assert target.pending_bytes <= LIMIT + 5


@given(versions, st.lists(publishes(), min_size=1, max_size=3), st.data())
def test_a_flipped_byte_never_raises_anything_else(
    version: Version, written: list[mqtt5.PublishPacket], data: st.DataObject
) -> None:
    stream = bytearray(b"".join(packet.write() for packet in written))
    stream[data.draw(st.integers(0, len(stream) - 1))] ^= data.draw(st.integers(1, 255))
    with suppress(MalformedPacketError):
        parser(version).feed(bytes(stream))


@given(versions, st.integers(0, 255), st.binary(max_size=40))
def test_a_whole_packet_of_any_kind_is_read_or_refused(version: Version, head: int, body: bytes) -> None:
    target = parser(version)
    try:
        target.feed(bytes((head, len(body))) + body)
    except MalformedPacketError:
        return
    assert target.pending_bytes == 0


@pytest.mark.parametrize("version", Version)
def test_a_large_packet_in_small_pieces_takes_linear_work(version: Version) -> None:
    """Four times the bytes in equal pieces make the parser copy about four times as much, not sixteen times."""

    class Counting(bytearray):
        copied = 0

        def __bytes__(self) -> bytes:
            Counting.copied += len(self)
            return bytes(memoryview(self))

    def copied(size: int) -> int:
        target = parser(version, limit=2 * size)
        target._pending = Counting()
        Counting.copied = 0
        data = packets.publish("t", b"x" * size, packet_id=1, version=version)
        assert len(fed(target, [data[at : at + 100] for at in range(0, len(data), 100)]).messages) == 1
        return Counting.copied

    assert copied(40_000) < 5 * copied(10_000)
