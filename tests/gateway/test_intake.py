"""Intake: messages become columns, bad ones a reason; how they were batched makes no difference."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract import codec, topics
from contract.domains import DOMAINS, INDUSTRIAL, TRAFFIC
from contract.messages import DeviceState, Sample
from contract.topics import DeviceId
from gateway.intake import Intake, IntakeLimits, StateChange, Taken
from gateway.ports import Batch, Message

NOW = 1_700_000_000.0
LOOP = DeviceId("town", "traffic", "loop-1")
OTHER = DeviceId("town", "traffic", "loop-2")
PUMP = DeviceId("plant", "industrial", "pump-1")


def reading(device: DeviceId, ts: float = NOW, seq: int | None = None, **values: float) -> Message:
    return topics.telemetry(device), codec.encode_sample(Sample(ts=ts, seq=seq, values=values))


def raw(payload: bytes, device: DeviceId = LOOP) -> Message:
    return topics.telemetry(device), payload


def intake(**limits: float) -> Intake:
    return Intake(DOMAINS, IntakeLimits(**limits))  # type: ignore[arg-type]  # floats stand for whole numbers too


def take(messages: Iterable[Message], into: Intake | None = None, received_s: float = NOW) -> Taken:
    return (into or intake()).take(Batch(1, received_s, list(messages)))


def reasons(taken: Taken) -> list[str]:
    return [found.reason for found in taken.quarantined]


def test_samples_become_columns_in_order_of_arrival() -> None:
    taken = take(
        [
            reading(LOOP, seq=3, flow_veh_h=1200.0),
            reading(PUMP, ts=NOW + 1, current_a=1.5),
            reading(OTHER, seq=9, speed_km_h=80.0),
            reading(LOOP, ts=NOW + 60, seq=4),
        ]
    )
    loops = taken.columns["traffic"]
    assert loops.domain is TRAFFIC
    assert loops.device.tolist() == [0, 1, 0]
    assert loops.ts.tolist() == [NOW, NOW, NOW + 60]
    assert loops.seq.tolist() == [3, 9, 4]
    np.testing.assert_array_equal(
        loops.values, np.array([[1200, np.nan, np.nan], [np.nan, np.nan, 80], [np.nan] * 3], np.float32)
    )
    pumps = taken.columns["industrial"]
    assert (pumps.device.tolist(), pumps.seq.tolist()) == ([0], [-1])
    assert pumps.values[0, INDUSTRIAL.channel_names.index("current_a")] == 1.5
    assert taken.quarantined == []
    assert taken.refusals == {}


def test_devices_are_numbered_in_order_of_first_sight() -> None:
    room = intake()
    take([reading(OTHER), reading(PUMP)], room)
    take([reading(LOOP), reading(OTHER)], room)
    assert room.devices("traffic") == [OTHER, LOOP]
    assert room.devices("industrial") == [PUMP]
    assert room.devices("retail") == []


def test_a_burst_is_as_many_samples() -> None:
    burst = codec.encode_burst([Sample(ts=NOW + i, seq=i, values={"flow_veh_h": i}) for i in range(5)])
    loops = take([raw(burst), reading(OTHER)]).columns["traffic"]
    assert loops.device.tolist() == [0] * 5 + [1]
    assert loops.seq.tolist() == [0, 1, 2, 3, 4, -1]


def test_null_is_a_missing_value_and_no_counter() -> None:
    loops = take([raw(b'{"ts":1700000000,"seq":null,"flow_veh_h":null}')]).columns["traffic"]
    assert loops.seq.tolist() == [-1]
    assert np.isnan(loops.values).all()


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        (raw(b"not json"), "json: "),
        (raw(b'{"ts":1700000000,"flow_veh_h":"many"}'), "json: "),
        (raw(b'{"ts":1700000000,"flow_veh_h":1e999}'), "json: "),
        (raw(b'{"flow_veh_h":1}'), "json: "),
        (reading(LOOP, speed_km_h=-0.1), "range: speed_km_h = -0.1 is outside 0 … 250 km/h"),
        (reading(LOOP, occupancy_pct=100.1), "range: occupancy_pct"),
        (reading(LOOP, occupancy_pct=1e300), "range: occupancy_pct"),
        (reading(LOOP, ts=NOW + 301), "future: "),
        (reading(LOOP, ts=12.5), "clock: "),
        (raw(b'{"ts":-1e300}'), "clock: "),
        (raw(b"{" + b" " * 70_000), "size: 70001 bytes"),
        (("fleet/v1/town/traffic/loop-1", b""), "topic: "),
        (("fleet/v1/town/traffic/LOOP/telemetry", b""), "topic: "),
        (("some/where", b'{"ts":1700000000}'), "topic: "),
        ((topics.alert(LOOP), b"{}"), "topic: alerts are written by the gateway"),
        ((topics.state(LOOP), b'{"ts":1700000000}'), "state: "),
        (reading(DeviceId("town", "weather", "mast-1")), "domain: 'weather' is none of"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_bad_message_is_quarantined_with_its_reason_and_stops_nothing(message: Message, kind: str) -> None:
    taken = take([reading(LOOP), message, reading(OTHER)])
    (found,) = taken.quarantined
    assert found.reason.startswith(kind)
    assert (found.position, found.index, found.received_s, found.topic) == (1, 1, NOW, message[0])
    assert found.payload == message[1][:65536]
    assert len(taken.columns["traffic"].ts) == 2


def test_values_at_the_ends_of_the_range_pass() -> None:
    sides = [{channel.name: side} for channel in TRAFFIC.channels for side in (channel.low, channel.high)]
    ends = [(topics.telemetry(LOOP), codec.encode_sample(Sample(ts=NOW, values=side))) for side in sides]
    assert reasons(take([*ends, reading(LOOP, ts=NOW + 300), reading(LOOP, ts=946_684_800.0)])) == []


def test_only_the_bad_samples_of_a_burst_are_refused() -> None:
    values = [10.0, -5.0, 20.0, 300.0]
    burst = codec.encode_burst([Sample(ts=NOW + i, seq=i, values={"speed_km_h": v}) for i, v in enumerate(values)])
    taken = take([raw(burst)])
    assert taken.columns["traffic"].seq.tolist() == [0, 2]
    assert taken.refusals["traffic"].seq.tolist() == [1, 3]
    (found,) = taken.quarantined
    assert found.reason.startswith("range: speed_km_h = -5 ")
    assert "2 of 4 samples" in found.reason
    assert found.payload == burst


def test_refusals_carry_the_counter_where_it_can_be_read() -> None:
    taken = take([raw(b'{"ts":1,"seq":7}'), raw(b'{"seq":8}'), raw(b'{"seq":9,'), raw(b"[]")])
    refused = taken.refusals["traffic"]
    assert sorted(refused.seq.tolist()) == [-1, 7, 8]
    assert refused.device.tolist() == [0, 0, 0]


def test_a_gateway_without_a_clock_cannot_call_anything_the_future() -> None:
    assert reasons(take([reading(LOOP)], received_s=12.0)) == []


def test_states_are_passed_on_and_register_the_device() -> None:
    room = intake()
    taken = take([(topics.state(LOOP), b"online"), (topics.state(OTHER), b"offline"), (topics.state(LOOP), b"")], room)
    assert taken.states == [StateChange(LOOP, 0, DeviceState.ONLINE), StateChange(OTHER, 1, DeviceState.OFFLINE)]
    assert reasons(taken) == []
    assert room.devices("traffic") == [LOOP, OTHER]


def test_devices_beyond_the_limit_are_refused_and_known_ones_are_not() -> None:
    room = intake(max_devices=2)
    taken = take([reading(LOOP), reading(PUMP), *(reading(OTHER) for _ in range(3)), reading(LOOP)], room)
    assert [reason[:9] for reason in reasons(taken)] == ["devices: "] * 3
    assert len(taken.columns["traffic"].ts) == 2
    assert room.devices("traffic") == [LOOP]


def test_a_flood_is_cut_to_the_rate_and_quarantined_once_a_batch() -> None:
    room = intake(max_messages_per_s=2.0, burst_s=5.0)
    flood = [reading(LOOP, seq=i) for i in range(30)]
    taken = take([*flood, reading(OTHER)], room)
    assert taken.columns["traffic"].seq.tolist() == [*range(10), -1]
    assert taken.refusals["traffic"].seq.tolist() == list(range(10, 30))
    (found,) = taken.quarantined
    assert found.index == 10
    assert found.reason.startswith("rate: more than 2 messages a second; 20 of this batch")
    later = take(flood, room, NOW + 3.0)
    assert later.columns["traffic"].seq.tolist() == list(range(6))


def test_garbage_counts_towards_the_rate() -> None:
    taken = take([raw(b"?")] * 30, intake(max_messages_per_s=1.0, burst_s=5.0))
    assert [reason[:5] for reason in reasons(taken)] == ["json:"] * 5 + ["rate:"]


def test_a_backlog_in_bursts_is_not_a_flood() -> None:
    burst = codec.encode_burst([Sample(ts=NOW - 600 + i, seq=i, values={}) for i in range(600)])
    taken = take([raw(burst)] * 6, intake(max_messages_per_s=1.0, burst_s=6.0))
    assert len(taken.columns["traffic"].ts) == 3600


def test_listening_neither_jumps_nor_runs_backwards_with_the_gateways_clock() -> None:
    room = intake(max_pause_s=15.0)
    for received_s in (NOW, NOW + 5, NOW + 86_400, NOW + 10, NOW + 12):
        take([reading(LOOP)] if received_s == NOW + 5 else [], room, received_s)
    assert room.listening_s == 5 + 15 + 0 + 2
    assert room.heard_s("traffic").tolist() == [5.0]


def outcome(messages: list[Message], cuts: list[int], *, reload: bool = False) -> list[object]:
    """Return everything that an intake says of messages cut into batches."""
    room = intake()
    found: list[object] = []
    states: list[object] = []
    samples: list[tuple[object, ...]] = []
    for start, end in zip([0, *cuts], [*cuts, len(messages)], strict=True):
        taken = take(messages[start:end], room)
        found += [(start + one.index, one.topic, one.reason) for one in taken.quarantined]
        states += taken.states
        for name, columns in taken.columns.items():
            rows = zip(columns.device.tolist(), columns.ts.tolist(), columns.seq.tolist(), columns.values, strict=True)
            samples += [(name, device, ts, seq, values.tobytes()) for device, ts, seq, values in rows]
        if reload:
            state = room.dump()
            room = intake()
            room.load(state)
    return [found, states, sorted(samples, key=repr), [room.devices(name) for name in DOMAINS]]


devices = st.sampled_from([LOOP, OTHER, PUMP])
good = st.builds(reading, devices, st.floats(NOW - 1e6, NOW), st.none() | st.integers(0, 99))
bad = st.sampled_from([raw(b"?"), reading(LOOP, speed_km_h=-1.0), ("x", b""), (topics.state(PUMP), b"stopped")])


@given(messages=st.lists(good | bad, max_size=20), at=st.lists(st.integers(0, 20), max_size=4), reload=st.booleans())
def test_neither_batching_nor_a_restart_changes_the_result(
    messages: list[Message], at: list[int], *, reload: bool
) -> None:
    cuts = sorted(min(cut, len(messages)) for cut in at)
    assert outcome(messages, cuts, reload=reload) == outcome(messages, [])


@given(st.lists(st.tuples(st.text(max_size=40) | st.sampled_from([topics.telemetry(LOOP)]), st.binary(max_size=60))))
def test_any_bytes_on_any_topic_are_survived(messages: list[Message]) -> None:
    taken = take(messages)
    assert len(taken.quarantined) <= len(messages)


def test_a_restart_with_other_domains_keeps_those_that_are_left() -> None:
    room, fewer = intake(), Intake({"traffic": TRAFFIC, "industrial": INDUSTRIAL}, IntakeLimits())
    take([reading(LOOP), reading(DeviceId("farm", "agriculture", "cow-1"))], room)
    fewer.load(room.dump())
    assert (fewer.devices("traffic"), fewer.devices("industrial")) == ([LOOP], [])
    assert take([reading(LOOP)], fewer).columns["traffic"].device.tolist() == [0]
