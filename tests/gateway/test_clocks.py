"""Clocks in doubt: points are kept and marked, and one device's clock never moves another's windows."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import pytest

from contract import codec, topics
from contract.messages import Sample
from contract.points import CLOCK_QUALITY, Point
from contract.topics import DeviceId
from gateway.clocks import Doubt
from gateway.ports import Batch, Message
from tests.batches import PUMP, START_S, USUAL, minutes, pipeline, reading

OTHER = DeviceId("plant", "industrial", "pump-2")


def at(second: float, seq: int, *, device: DeviceId = PUMP) -> Message:
    """Return one message whose counter and clock need not agree."""
    values = {name: value + 0.001 * (seq % 7) for name, value in USUAL.items()}
    return topics.telemetry(device), codec.encode_sample(Sample(ts=START_S + second, seq=seq, values=values))


def windows(batches: Sequence[Batch], device: DeviceId = PUMP) -> dict[float, Point]:
    """Return the windows of a device by their end, seconds after the start."""
    through = pipeline()
    outputs = [through.process(batch) for batch in batches]
    return {
        point.time_ns / 1e9 - START_S: point
        for part in outputs
        for point in part.points
        if point.measurement == "industrial" and point.tags["device"] == device.device
    }


def doubts(found: dict[float, Point]) -> dict[float, float]:
    """Return the marks of the windows that have one."""
    return {end: point.fields[CLOCK_QUALITY] for end, point in found.items() if CLOCK_QUALITY in point.fields}  # type: ignore[misc]


def cut(messages: Sequence[Message], size: int, received_s: float = START_S + 86_400) -> list[Batch]:
    """Cut messages into batches, all received at one time."""
    return [Batch(n, received_s, messages[i : i + size]) for n, i in enumerate(range(0, len(messages), size), 1)]


def test_clocks_that_agree_leave_no_mark() -> None:
    assert doubts(windows(cut(minutes(3), 7))) == {}


def test_device_ahead_of_the_gateway_is_kept_and_marked() -> None:
    found = windows([Batch(n + 1, START_S + n - 60, [reading(n)]) for n in range(120)])
    assert len(found) == 11
    assert set(doubts(found).values()) == {Doubt.AHEAD}


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_clock_that_steps_back_marks_the_same_windows_whatever_the_batching(size: int) -> None:
    """Sixty seconds back after a minute: the windows that were open then say so."""
    messages = [
        *(at(n, n) for n in range(90)),
        *(at(n - 60, n) for n in range(90, 100)),
        *(at(n, n) for n in range(100, 240)),
    ]
    marked = doubts(windows(cut(messages, size)))
    assert set(marked.values()) == {Doubt.STEPPED_BACK}
    assert sorted(marked) == [90.0, 100.0, 110.0, 120.0, 130.0, 140.0]


def test_clock_that_repeats_itself_is_marked() -> None:
    messages = [at(n if n != 50 else 49, n) for n in range(120)]
    assert set(doubts(windows(cut(messages, 10))).values()) == {Doubt.REPEATED}


def test_gateway_clock_that_steps_back_keeps_what_devices_send_and_marks_it() -> None:
    """A Pi without a clock starts an hour in the past: its devices seem to be of the future, and are right."""
    batches = [Batch(1, START_S, minutes(1))]
    batches += [Batch(2 + n, START_S - 3600 + n, [reading(60 + n)]) for n in range(60)]
    batches += [Batch(100 + n, START_S + 120 + n, [reading(120 + n)]) for n in range(60)]
    found = windows(batches)
    assert {70.0, 80.0, 90.0, 100.0, 110.0} <= {end for end, mark in doubts(found).items() if mark == Doubt.GATEWAY}
    assert len(found) == 17


def test_one_device_s_clock_never_moves_another_s_windows() -> None:
    alone = windows(cut([at(n, n, device=OTHER) for n in range(180)], 9), OTHER)
    wild = [at((n * 37) % 200 - 100 if n % 3 else 290, n) for n in range(180)]
    both = [message for n in range(180) for message in (wild[n], at(n, n, device=OTHER))]
    assert windows(cut(both, 18), OTHER) == alone


def test_marks_survive_a_restart() -> None:
    messages = [
        *(at(n, n) for n in range(90)),
        *(at(n - 60, n) for n in range(90, 100)),
        *(at(n, n) for n in range(100, 240)),
    ]
    batches = cut(messages, 10)
    straight, first, second = pipeline(), pipeline(), pipeline()
    expected = [straight.process(batch) for batch in batches]
    before = [first.process(batch) for batch in batches[:12]]
    second.load(first.dump())
    assert [*before, *(second.process(batch) for batch in batches[12:])] == expected
    assert msgspec.msgpack.encode(expected)
