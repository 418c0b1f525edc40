"""Formats against the examples of their specifications, and against bytes that anyone may send."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.errors import PayloadError
from gateway.sources.formats import cbor, line_protocol, plain, senml, sparkplug

RFC_8949 = {
    "00": 0,
    "17": 23,
    "1818": 24,
    "1903e8": 1000,
    "1a000f4240": 1_000_000,
    "20": -1,
    "3863": -100,
    "f90000": 0.0,
    "f93e00": 1.5,
    "f97bff": 65504.0,
    "fa47c35000": 100000.0,
    "fb3ff199999999999a": 1.1,
    "fbc010666666666666": -4.1,
    "f4": False,
    "f5": True,
    "f6": None,
    "6449455446": "IETF",
    "4401020304": b"\x01\x02\x03\x04",
    "8301820203820405": [1, [2, 3], [4, 5]],
    "a26161016162820203": {"a": 1, "b": [2, 3]},
    "5f42010243030405ff": b"\x01\x02\x03\x04\x05",
    "7f657374726561646d696e67ff": "streaming",
    "9f018202039f0405ffff": [1, [2, 3], [4, 5]],
    "bf61610161629f0203ffff": {"a": 1, "b": [2, 3]},
    "c074323031332d30332d32315432303a30343a30305a": "2013-03-21T20:04:00Z",
}
"""Appendix A of the RFC, the items that a sensor may send."""

RFC_8428_CBOR = (
    "82a721781c75726e3a6465763a6f773a313065323037336130313038303036333a22fb41d303a15b00106223614120050067766f6c74616765"
    "01615602fb405e066666666666a3006763757272656e74062402fb3ff3333333333333"
)
"""The first two records of the CBOR example of RFC 8428, section 6."""


@pytest.mark.parametrize("hexadecimal", RFC_8949)
def test_cbor_reads_the_examples_of_its_specification(hexadecimal: str) -> None:
    value = cbor.decode(bytes.fromhex(hexadecimal))
    assert value == RFC_8949[hexadecimal]
    assert type(value) is type(RFC_8949[hexadecimal])


NO_CBOR = "18 62c0 61ff 9f01 a1 8201 ff 0000 fc 9b7fffffffffffffff bf61ff a1820000"


@pytest.mark.parametrize("hexadecimal", [*NO_CBOR.split(), "", "81" * 40 + "00"])
def test_cbor_that_is_none_is_refused(hexadecimal: str) -> None:
    with pytest.raises(PayloadError):
        cbor.decode(bytes.fromhex(hexadecimal))


def test_senml_in_cbor_is_the_pack_of_its_specification() -> None:
    pack = senml.labelled(cbor.decode(bytes.fromhex(RFC_8428_CBOR)))
    later, now = senml.records(pack, now_s=0.0)[::-1]
    assert now.time_s == pytest.approx(1276020071.001)
    assert now.fields["urn:dev:ow:10e2073a01080063:current"] == 1.2
    assert now.units["current"] == "A", "the base unit"
    assert later.time_s == pytest.approx(1276020076.001)
    assert later.fields["voltage"] == pytest.approx(120.1)
    assert later.units["voltage"] == "V"


def test_senml_base_values_hold_until_they_change() -> None:
    pack = [{"bn": "a:", "bv": 20.0, "n": "t", "v": 1.0}, {"n": "t", "t": -1, "v": 2}, {"bn": "b:", "n": "t", "v": 3}]
    before, now = senml.records(pack, now_s=2e9)
    assert before.time_s == 2e9 - 1
    assert before.fields == {"t": 22.0, "a:t": 22.0}
    assert now.fields == {"a:t": 21.0, "b:t": 23.0, "t": 23.0}


def test_senml_booleans_and_strings_are_values() -> None:
    (record,) = senml.records([{"n": "door", "vb": True}, {"n": "mode", "vs": "on"}, {"n": "sum", "s": 4}], now_s=2e9)
    assert record.fields == {"door": True, "mode": "on"}


def test_line_protocol_types_escapes_and_missing_time() -> None:
    line = rb'a\ b,tag\,x=c\=d f=1.5,i=2i,u=3u,t=T,s="x, \"y\" z=1"'
    (record,) = line_protocol.records(line)
    assert record.fields == {
        "measurement": "a b",
        "tags.tag,x": "c=d",
        **{name: value for field, value in {"f": 1.5, "i": 2, "u": 3, "t": True, "s": 'x, "y" z=1'}.items()
           for name, value in ((field, value), (f"a b.{field}", value))},
    }  # fmt: skip


@pytest.mark.parametrize(
    "line", [b"m", b"m f", b"m f=", b"m f=x", b"m f=1 x", b"m f=1,", b"m,a f=1", b"m f=1i2", b"\xff"]
)
def test_line_protocol_that_is_none_is_refused(line: bytes) -> None:
    with pytest.raises(PayloadError):
        line_protocol.records(line)


def varint(value: int) -> bytes:
    """Encode as protobuf does."""
    head = bytearray()
    while value > 127:
        head.append(value & 127 | 128)
        value >>= 7
    return bytes([*head, value])


@pytest.mark.parametrize(
    ("datatype", "wire", "value"),
    [(1, 0xFF, -1), (2, 0xFFFE, -2), (3, 2**32 - 5, -5), (4, 2**64 - 7, -7), (3, 5, 5), (7, 2**32 - 5, 2**32 - 5)],
)
def test_sparkplug_whole_numbers_have_the_sign_of_their_type(datatype: int, wire: int, value: int) -> None:
    """``Int8`` … ``Int64`` travel as unsigned numbers (Sparkplug 3.0, section 6.4.16)."""
    field = b"\x50" if datatype < 4 else b"\x58"
    metric = b"\x0a\x01x" + b"\x20" + varint(datatype) + field + varint(wire)
    (read,) = sparkplug.decode(b"\x12" + varint(len(metric)) + metric).metrics
    assert read.measured(read.datatype) == value


@pytest.mark.parametrize(
    "payload", ["7f00ff", "7f41aaff", "5f61aaff", "7f7f6161ffff", "81ff", "a1ff01", "7f6161", "ff"]
)
def test_cbor_strings_in_pieces_and_breaks_stand_where_rfc_8949_has_them(payload: str) -> None:
    """Pieces are strings of the same kind with a length (section 3.2.3); a break ends what is open only (3.2.1)."""
    assert cbor.decode(bytes.fromhex("7f616162c3a4ff")) == "a\u00e4"
    with pytest.raises(PayloadError):
        cbor.decode(bytes.fromhex(payload))


@given(st.binary(max_size=200))
def test_no_bytes_but_those_of_a_format_are_read_and_none_does_harm(payload: bytes) -> None:
    for decode in (cbor.decode, sparkplug.decode, line_protocol.records, plain.json_value, plain.messagepack_value):
        with suppress(PayloadError):  # any other error would end the gateway
            decode(payload)


names = st.sampled_from(["n", "v", "bt", "t", "bv", "vs", "bver", "x_"]) | st.integers(-6, 8)
json_like = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=4),
    max_leaves=12,
)


@given(json_like)
def test_senml_of_any_shape_is_read_or_refused(document: object) -> None:
    with suppress(PayloadError):
        found = senml.records(senml.labelled(document), now_s=2e9)
        assert all(record.time_s is not None for record in found)
