"""Payloads: golden bytes of every message kind, the round trip, and what is refused."""

from __future__ import annotations

import math
import struct
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract import codec
from contract.codec import TelemetryDecoder
from contract.domains import AGRICULTURE, INDUSTRIAL, RETAIL, TRAFFIC, Domain
from contract.errors import PayloadError
from contract.messages import Alert, DeviceState, Health, Reason, Sample

PAYLOADS = Path(__file__).parent.parent / "payloads"

SAMPLE = Sample(ts=1700000000.123, seq=42, values={"heart_rate_bpm": 71.0, "body_temperature_c": 38.6})
UNCOUNTED = Sample(ts=1700000000.0, values={"sales_per_min": 2.0})
BURST = [
    Sample(ts=1700000000.0, seq=7, values={"flow_veh_h": 1200.0}),
    Sample(ts=1700000060.0, seq=8, values={"flow_veh_h": 1260.5}),
]
ALERT = Alert(
    id="abcdefghij",
    site="plant",
    domain="industrial",
    device="pump-1",
    rule="anomaly",
    severity="critical",
    state="firing",
    onset_s=1700000060.0,
    at_s=1700000060.0,
    trigger_s=1700000061.5,
    score=0.93,
    summary="flow_l_min 12.1 L/min, usually 31.8 (-9.4 σ)",  # noqa: RUF001
    reasons=(Reason(feature="flow_l_min", value=12.1, baseline=31.8, sigma=-9.4),),
    model_version="1.0.0",
)


def golden(name: str) -> bytes:
    return (PAYLOADS / name).read_bytes()


def rows(domain: Domain, *payloads: bytes) -> list[tuple[float, ...]]:
    packed = bytearray()
    counts, faults = TelemetryDecoder(domain).read(payloads, packed)
    assert not faults
    found = list(struct.iter_unpack(f"{2 + len(domain.channels)}d", packed))
    assert len(found) == sum(counts)
    return found


def test_encoders_write_the_golden_bytes() -> None:
    assert codec.encode_sample(SAMPLE) == golden("sample.json")
    assert codec.encode_sample(UNCOUNTED) == golden("sample_without_seq.json")
    assert codec.encode_burst(BURST) == golden("burst.json")
    assert codec.encode_alert(ALERT) == golden("alert_firing.json")


@pytest.mark.parametrize("state", list(DeviceState))
def test_states_are_plain_words(state: DeviceState) -> None:
    payload = golden(f"state_{state}.txt")
    assert codec.encode_state(state) == payload
    assert codec.decode_state(payload) is state


def test_health_is_golden_both_ways() -> None:
    health = msgspec.json.decode(golden("health.json"), type=Health)
    assert (health.messages_total, health.uptime_s, health.memory_bytes) == (1000, 12.5, 70 * 2**20)
    assert codec.encode_health(health) == golden("health.json")


def test_golden_telemetry_becomes_rows_in_channel_order() -> None:
    (row,) = rows(AGRICULTURE, golden("sample.json"))
    assert row[:3] == (1700000000.123, 42, 71.0)
    assert row[4] == 38.6
    assert [math.isnan(value) for value in row[3:]] == [True, False, True, True]
    assert [row[:3] for row in rows(TRAFFIC, golden("burst.json"))] == [
        (1700000000.0, 7, 1200.0),
        (1700000060.0, 8, 1260.5),
    ]
    assert rows(RETAIL, golden("sample_without_seq.json"))[0][:2] == (1700000000.0, -1)


def test_golden_alert_decodes() -> None:
    assert codec.decode_alert(golden("alert_firing.json")) == ALERT


numbers = st.floats(allow_nan=False, allow_infinity=False)
samples = st.builds(
    Sample,
    ts=numbers,
    seq=st.none() | st.integers(0, 2**53 - 1),
    values=st.dictionaries(st.sampled_from(INDUSTRIAL.channel_names), numbers),
)


@given(st.lists(samples, min_size=1, max_size=5))
def test_samples_come_back_as_they_went(sent: list[Sample]) -> None:
    payload = codec.encode_sample(sent[0]) if len(sent) == 1 else codec.encode_burst(sent)
    for sample, (ts, seq, *values) in zip(sent, rows(INDUSTRIAL, payload), strict=True):
        assert (ts, seq) == (sample.ts, -1 if sample.seq is None else sample.seq)
        for name, value in zip(INDUSTRIAL.channel_names, values, strict=True):
            assert value == sample.values[name] if name in sample.values else math.isnan(value)


@pytest.mark.parametrize(
    ("ts", "seconds"),
    [
        ("1700000000", 1700000000.0),
        ('"2023-11-14T22:13:20Z"', 1700000000.0),
        ('"2023-11-14T23:13:20.500+01:00"', 1700000000.5),
    ],
)
def test_time_is_unix_seconds_or_rfc_3339(ts: str, seconds: float) -> None:
    assert rows(TRAFFIC, f'{{"ts":{ts}}}'.encode())[0][0] == seconds


def test_unknown_fields_are_ignored_and_null_is_missing() -> None:
    known = b'{"ts":1,"speed_km_h":50}'
    nulls = b'{"ts":1,"battery":{"v":[3.7]},"flow_veh_h":null,"speed_km_h":50,"seq":null}'
    (first, row, last) = rows(TRAFFIC, known, nulls, known)
    assert (row[0], row[4]) == (1.0, 50.0)
    assert math.isnan(row[1])
    assert math.isnan(row[2])
    assert repr(first) == repr(last) == repr(rows(TRAFFIC, known)[0])


BAD = [
    b"",
    b"not json",
    b'{"ts":1',
    b"1",
    b"null",
    b"[[]]",
    b"{}",
    b'{"ts":null}',
    b'{"ts":"yesterday"}',
    b'{"ts":"2023-11-14T22:13:20"}',
    b'{"ts":NaN}',
    b'{"ts":1e999}',
    b'{"ts":1,"speed_km_h":"fast"}',
    b'{"ts":1,"speed_km_h":true}',
    b'{"ts":1,"speed_km_h":Infinity}',
    b'{"ts":1,"seq":-1}',
    b'{"ts":1,"seq":1.5}',
    b'{"ts":1,"seq":9007199254740992}',
    b"\xff\xfe",
    b'{"ts":1,"x":' + b"[" * 50_000,
    b'[{"ts":1},{"ts":"2023-11-14T22:13:20"}]',
]


@pytest.mark.parametrize("payload", BAD, ids=lambda payload: repr(payload[:28]))
def test_bad_telemetry_is_refused_and_leaves_no_rows(payload: bytes) -> None:
    packed = bytearray()
    counts, faults = TelemetryDecoder(TRAFFIC).read([payload], packed)
    assert isinstance(faults[0], PayloadError)
    assert counts == [0]
    assert not packed


@given(st.binary(max_size=200) | st.text(alphabet='{}[]",:0123456789.-etsqnul \\', max_size=80).map(str.encode))
def test_any_bytes_are_rows_or_a_payload_error(payload: bytes) -> None:
    packed = bytearray()
    (count,), faults = TelemetryDecoder(TRAFFIC).read([payload], packed)
    assert len(packed) == count * 5 * 8
    assert not (count and faults)
    assert codec.counters(payload)


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (b'{"ts":1,"seq":5,"speed_km_h":"fast"}', [5]),
        (b'[{"seq":5},{"seq":6,"ts":"?"},{"ts":1}]', [5, 6, -1]),
        (b"[]", [-1]),
        (b"not json", [-1]),
        (b'{"seq":"5"}', [-1]),
        (b'{"x":' + b"[" * 50_000, [-1]),
    ],
    ids=lambda value: repr(value)[:28],
)
def test_counters_are_read_from_what_is_otherwise_bad(payload: bytes, expected: list[int]) -> None:
    assert codec.counters(payload) == expected


@pytest.mark.parametrize("payload", [b"", b"ONLINE", b"gone", b"\xff", b"{}"])
def test_a_state_is_one_of_three_words(payload: bytes) -> None:
    with pytest.raises(PayloadError, match="none of online, stopped, offline"):
        codec.decode_state(payload)


@pytest.mark.parametrize("payload", [b"", b"{}", b"[]", b'{"id":1}'])
def test_a_bad_alert_is_refused(payload: bytes) -> None:
    with pytest.raises(PayloadError):
        codec.decode_alert(payload)


GOOD = (golden("sample.json"), golden("sample_without_seq.json"), b'{"ts":1,"heart_rate_bpm":null,"new":"x"}')


@pytest.mark.parametrize(
    "odd",
    [b"", b"{", b"[]", golden("burst.json"), b'{"ts":"2024-01-01T00:00:00Z"}', b'{"ts":1}{"ts":2}', b'{"ts":"\xff"}'],
)
def test_a_payload_means_the_same_among_others(odd: bytes) -> None:
    """Together they give what each gives alone, wherever what is bad or a burst stands among them."""
    payloads = (odd, *GOOD, odd, odd, *GOOD)
    decoder, alone, together = TelemetryDecoder(AGRICULTURE), bytearray(), bytearray()
    found = [decoder.read([payload], alone) for payload in payloads]
    counts, faults = decoder.read(payloads, together)
    assert counts == [count for (count,), _ in found]
    assert {place: str(error) for place, error in faults.items()} == {
        place: str(fault[0]) for place, (_, fault) in enumerate(found) if fault
    }
    assert together == alone
