"""What a broker may not send is refused with its reason; what is merely too long is passed over."""

from __future__ import annotations

import pytest

from gateway.mqtt import packets
from gateway.mqtt.errors import MalformedPacketError
from gateway.mqtt.packets import ConnAck, Version
from gateway.mqtt.parser import Parser
from gateway.ports import ANSWER

V311, V5 = Version.V311, Version.V5


def parser(version: Version = V311, limit: int = 1000) -> Parser:
    return Parser(version=version, maximum_packet_bytes=limit)


def test_a_packet_whose_head_is_known_is_checked_like_the_first() -> None:
    """A head says where things are in a packet, not what they are: id, topic and properties are looked at."""
    known = parser(V5)
    first = bytes.fromhex("32 08 0002 7474 0001 00 50")
    for _ in range(2):
        assert known.feed(first).messages == [("tt", b"P")]
    assert known.feed(bytes.fromhex("32 08 0002 7473 0002 00 51")).messages == [("ts", b"Q")]
    assert known.feed(bytes.fromhex("32 09 0002 7474 0003 00 5152")).messages == [("tt", b"QR")]
    assert known.feed(bytes.fromhex("32 09 0002 7474 0004 02 0100")).messages == [("tt", b"")]
    for bad, says in (("32 08 0002 7474 0000 00 50", "packet id 0"), ("32 08 0002 742b 0001 00 50", "topic 't[+]'")):
        with pytest.raises(MalformedPacketError, match=says):
            known.feed(bytes.fromhex(bad))


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ("30 80 80 80 80 01", "more than four bytes"),
        ("30 85 00 0001 74 00 00", "more bytes than it needs"),
        ("30 02 0000", "without a topic"),
        ("30 05 0000 010203", "topic ''"),
        ("30 04 0002 2f2b", "topic '/[+]'"),
        ("30 04 0002 2f23", "topic '/#'"),
        (f"30 09 0007 {ANSWER.encode().hex()}", "topic '[+]answer'"),  # the journal's own: nobody can send it
        ("30 03 0001 00", "U\\+0000"),
        ("30 04 0002 c080", "not UTF-8"),
        ("30 05 0003 eda080", "not UTF-8"),
        ("30 05 00ff 740000", "before its payload"),
        ("32 05 0001 74 0000", "packet id 0"),
        ("32 04 0001 74 00", "before its payload"),
        ("34 05 0001 74 0001", "QoS 2"),
        ("36 05 0001 74 0001", "QoS 2 or 3"),
        ("38 03 0001 74", "DUP without QoS"),
        ("00 00", "0x00"),
        ("10 00", "0x10"),
        ("21 02 0000", "0x21"),
        ("42 02 0001", "0x42"),
        ("62 02 0001", "0x62"),
        ("d1 00", "0xd1"),
        ("d0 01 00", "PINGRESP"),
        ("f0 00", "0xf0"),
        ("e0 00", "3.1.1 does not have"),
        ("20 02 0200", "reserved bits"),
        ("20 03 000000", "CONNACK"),
        ("40 02 0000", "without a packet id"),
        ("40 03 000100", "PUBACK"),
        ("90 01 00", "without a packet id"),
    ],
)
def test_what_no_311_broker_may_send_is_refused(data: str, says: str) -> None:
    with pytest.raises(MalformedPacketError, match=says):
        parser().feed(bytes.fromhex(data))


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ("20 03 0000 05", "longer than their packet"),
        ("20 06 0000 03 210000", "of 0"),
        ("20 09 0000 06 210001 210001", "given twice"),
        ("20 05 0000 02 ff00", "not one of MQTT 5"),
        ("20 05 0000 02 2100", "middle of a value"),
        ("20 07 0000 04 1f0001ff", "not UTF-8"),
        ("20 04 0000 00 00", "CONNACK"),
        ("30 04 0001 74 05", "before its payload"),
        ("30 04 0001 74 80", "before its payload"),
        ("30 03 0001 74", "before its payload"),
        ("30 07 0000 03 230001 78", "topic ''"),
        ("90 02 0001", "before its properties"),
    ],
)
def test_what_no_5_broker_may_send_is_refused(data: str, says: str) -> None:
    with pytest.raises(MalformedPacketError, match=says):
        parser(V5).feed(bytes.fromhex(data))


def test_a_311_refusal_of_version_5_is_understood() -> None:
    """A broker that knows no MQTT 5 refuses in its own, shorter format."""
    assert parser(V5).feed(bytes.fromhex("20 02 0001")).controls == [ConnAck(reason_code=0x84)]


@pytest.mark.parametrize(("code", "reason"), [(0, 0), (1, 0x84), (2, 0x85), (3, 0x88), (4, 0x86), (5, 0x87), (9, 0x80)])
def test_a_311_return_code_is_read_as_its_equal(code: int, reason: int) -> None:
    assert parser().feed(bytes((0x20, 2, 0, code))).controls == [ConnAck(reason_code=reason)]


def test_a_duplicate_is_a_message_like_any_other() -> None:
    """Whoever stores it is idempotent; here it must be delivered, because it may not have been the first time."""
    read = parser().feed(packets.publish("t", b"1", packet_id=7, version=V311, duplicate=True))
    assert read.messages == [("t", b"1")]


@pytest.mark.parametrize("version", Version)
@pytest.mark.parametrize("step", [1, 3, 64, 5000])
def test_a_message_that_is_too_long_is_passed_over_and_acknowledged(version: Version, step: int) -> None:
    """Over MQTT 3.1.1 the broker cannot be told, and would send it again for ever."""
    target = parser(version)
    stream = b"".join(
        packets.publish("t", payload, packet_id=number, version=version)
        for number, payload in enumerate((b"a", b"b" * 4000, b"c"), start=1)
    )
    messages, ids = [], []
    for at in range(0, len(stream), step):
        read = target.feed(stream[at : at + step])
        messages += read.messages
        ids += read.packet_ids
        assert target.pending_bytes <= 1000
    assert messages == [("t", b"a"), ("t", b"c")]
    assert ids == [b"\0\1", b"\0\2", b"\0\3"]
    assert target.skipped == 1


def test_a_control_packet_that_is_too_long_is_refused() -> None:
    with pytest.raises(MalformedPacketError, match="more than the limit"):
        parser().feed(bytes.fromhex("90 ff ff 7f"))


def test_a_million_topics_do_not_fill_the_memory() -> None:
    """The cache of topics starts anew when full, and long topics never enter it."""
    target = parser(limit=4000)
    many = (packets.publish(f"t/{number}", b"", packet_id=1, version=V311) for number in range(70_000))
    assert len(target.feed(b"".join(many)).messages) == 70_000
    assert len(target._topics) == 70_000 - 65_536
    target.feed(packets.publish("x" * 3000, b"", packet_id=1, version=V311))
    assert max(map(len, target._topics)) < 3000
