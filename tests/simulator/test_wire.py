"""A device's packets are those of the standard, and a broker's answers are found however they are cut."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator import wire
from simulator.wire import Answer

SUBACK = 9


def test_connect_with_a_will_and_a_login_is_written_as_the_standard_says() -> None:
    """MQTT 3.1.1, section 3.1: flags are user name, password, will retained at QoS 1, clean session."""
    packet = wire.connect("pump-1", keep_alive_s=30, username="u", password="pw", will=("a/b", b"offline"))
    assert packet == (
        b"\x10\x27\x00\x04MQTT\x04\xee\x00\x1e" + b"\x00\x06pump-1" + b"\x00\x03a/b" + b"\x00\x07offline"
        b"\x00\x01u\x00\x02pw"
    )


def test_publish_has_topic_packet_id_and_payload() -> None:
    assert wire.publish("a/b", b"21.5", 513) == b"\x32\x0b\x00\x03a/b\x02\x0121.5"
    assert wire.publish("a/b", b"21.5", 513, retain=True)[0] == 0x33


@pytest.mark.parametrize(("payload_bytes", "length"), [(121, b"\x7f"), (122, b"\x80\x01"), (16_378, b"\x80\x80\x01")])
def test_long_packets_say_their_length_in_more_bytes(payload_bytes: int, length: bytes) -> None:
    """Section 2.2.3; the topic ``a/`` and the packet id take six bytes."""
    assert wire.publish_head("a/", payload_bytes) == b"\x32" + length + b"\x00\x02a/"


@given(cuts=st.lists(st.integers(0, 14), max_size=6))
def test_answers_are_found_however_the_stream_is_cut(cuts: list[int]) -> None:
    stream = b"\x20\x02\x00\x00" + b"\x40\x02\x12\x34" + b"\xd0\x00" + b"\x90\x03\x00\x01\x80"
    received = bytearray()
    found: list[Answer] = []
    edges = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    for start, end in pairwise(edges):
        received += stream[start:end]
        found += wire.answers(received)
    assert found == [
        Answer(wire.CONNACK, b"\0\0"),
        Answer(wire.PUBACK, b"\x12\x34"),
        Answer(13, b""),
        Answer(SUBACK, b"\x00\x01\x80"),
    ]
    assert not received


def test_acknowledgements_alone_are_read_at_once_and_anything_else_is_left_to_the_parser() -> None:
    acks = b"\x40\x02\x00\x01" + b"\x40\x02\x40\x02" + b"\x40\x02\xff\xff"
    assert wire.acknowledged(acks) == [1, 0x4002, 0xFFFF]
    for other in (acks[:-1], acks + b"\xd0\x00", b"\xd0\x00\xd0\x00", b"\x20\x02\x00\x00", b"\x02\x40\x02\x40"):
        assert wire.acknowledged(other) == []


def test_a_length_of_five_bytes_is_no_mqtt() -> None:
    with pytest.raises(ValueError, match="four bytes"):
        list(wire.answers(bytearray(b"\x40\xff\xff\xff\xff\x01")))
