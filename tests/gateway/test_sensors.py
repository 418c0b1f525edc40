"""Broken sensors: flat lines, saturation and impossible rates are found; healthy and absent values are not blamed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from contract.domains import Channel, Domain
from gateway.frames import Frames, History, Moments
from gateway.sensors import FLAT_LINE, IMPOSSIBLE_RATE, SATURATION, SensorFaults, Sensors

NAN = float("nan")
HOP, SLOTS = 2, 6
LEVEL = Channel(name="level_m", unit="m", low=0.0, high=10.0, description="", max_rate_per_s=1.0, flat_line_s=8.0)
HEAT = Channel(name="heat_c", unit="°C", low=-40.0, high=60.0, description="")
TANK = Domain(name="tank", device="tank", period_s=1.0, channels=(LEVEL, HEAT))


def frames(series: NDArray[np.float32], device: int = 0, first_end: int = HOP) -> Frames:
    """Cut one device's series, shape ``(slots, channels)``, one value a second, into overlapping windows."""
    padded = np.concatenate([np.full((SLOTS, series.shape[1]), NAN, np.float32), series])
    stops = np.arange(first_end, len(series) + 1, HOP)
    values = np.stack([padded[stop : stop + SLOTS] for stop in stops])
    return bare(np.full(len(stops), device), stops.astype(float), values)


def bare(device: NDArray[np.int64], end_s: NDArray[np.float64], values: NDArray[np.float32]) -> Frames:
    n, channels = len(device), values.shape[2]
    nothing = Moments(np.zeros((n, channels), np.int64), *(np.full((n, channels), NAN) for _ in range(2)))
    ones = np.ones(n)
    return Frames(device, end_s, values, ones.astype(np.float32), end_s, ones == 0, History(nothing, nothing, {}))


def level(*values: float, heat: float | None = None) -> NDArray[np.float32]:
    """Return a series of levels; the other channel moves, or stands at ``heat``."""
    other = np.linspace(10, 20, len(values)) if heat is None else np.full(len(values), heat)
    return np.column_stack([values, other]).astype(np.float32)


def check(series: NDArray[np.float32]) -> SensorFaults:
    return Sensors(TANK, hop_s=HOP).check(frames(series))


def flagged(found: SensorFaults, rule: str) -> list[float]:
    """Return the ends of the windows in which a rule is up, seconds."""
    return [float(HOP * (i + 1)) for i in np.flatnonzero(found.flags[rule])]


def test_a_value_that_stands_still_is_a_flat_line_once_it_did_so_long_enough() -> None:
    found = check(level(1.0, 1.1, *[1.2] * 12, 1.3, 1.4))
    assert flagged(found, FLAT_LINE) == [12.0, 14.0]  # at rest from 2 s on, eight seconds later at 10 s
    assert found.words[5, FLAT_LINE] == "level_m has not changed for 8 s"
    assert flagged(found, SATURATION) == flagged(found, IMPOSSIBLE_RATE) == []


def test_a_flat_line_is_counted_across_windows_and_restarts() -> None:
    whole = frames(level(*[1.2] * 14))
    room = Sensors(TANK, hop_s=HOP)
    ups = []
    for i in range(len(whole)):
        one = bare(whole.device[i : i + 1], whole.end_s[i : i + 1], whole.values[i : i + 1])
        ups += room.check(one).flags[FLAT_LINE].tolist()
        state = room.dump()
        room = Sensors(TANK, hop_s=HOP)
        room.load(state)
    assert ups == check(level(*[1.2] * 14)).flags[FLAT_LINE].tolist()
    assert sum(ups) == 3


def test_a_channel_that_may_rest_is_never_flat() -> None:
    rising = np.linspace(1.0, 2.0, 40)
    assert flagged(check(level(*rising, heat=21.0)), FLAT_LINE) == []


def test_missing_samples_neither_break_nor_make_a_flat_line() -> None:
    assert flagged(check(level(*[1.2, 1.2, NAN] * 5)), FLAT_LINE) != []
    assert flagged(check(level(1.2, *[NAN] * 20, 1.2)), FLAT_LINE) == []
    assert flagged(check(level(*[NAN] * 20)), FLAT_LINE) == []


@pytest.mark.parametrize(("value", "up"), [(60.0, True), (-40.0, True), (59.9, False)])
def test_a_window_of_nothing_but_an_end_of_the_range_is_saturated(value: float, up: bool) -> None:  # noqa: FBT001
    found = check(level(*np.linspace(1.0, 2.0, 8), heat=value))
    assert flagged(found, SATURATION) == ([4.0, 6.0, 8.0] if up else [])
    if up:
        assert found.words[1, SATURATION] == "heat_c stands at an end of its range, -40 … 60 °C"


def test_zero_is_where_quantities_rest_and_a_peak_is_no_saturation() -> None:
    assert flagged(check(level(*[0.0] * 6)), SATURATION) == []
    assert flagged(check(level(*[9.5, 10.0] * 4)), SATURATION) == []


def test_a_jump_that_is_too_fast_is_seen_once_in_the_hop_where_it_happens() -> None:
    found = check(level(1.0, 1.5, 2.0, 5.0, 5.5, 6.0, 6.5, 7.0))
    assert flagged(found, IMPOSSIBLE_RATE) == [4.0]
    assert found.words[1, IMPOSSIBLE_RATE] == "level_m jumped faster than the 1 m a second that are possible"


def test_a_jump_between_two_hops_is_seen() -> None:
    assert flagged(check(level(1.0, 1.1, 5.0, 5.1)), IMPOSSIBLE_RATE) == [4.0]


def test_a_rate_is_taken_over_the_time_between_neighbours() -> None:
    assert flagged(check(level(1.0, NAN, NAN, 3.9, 4.0, 4.1)), IMPOSSIBLE_RATE) == []
    assert flagged(check(level(1.0, NAN, NAN, 4.1, 4.2, 4.3)), IMPOSSIBLE_RATE) == [4.0]


def test_a_channel_without_a_rate_may_jump() -> None:
    series = level(*np.linspace(1.0, 2.0, 8))
    series[4:, 1] += 30.0
    assert flagged(check(series), IMPOSSIBLE_RATE) == []


series_of_levels = st.lists(st.sampled_from([0.0, 0.5, 0.5, 1.0, 4.0, 10.0, NAN]), min_size=HOP, max_size=24).map(
    lambda values: level(*values[: len(values) // HOP * HOP])
)


@given(st.lists(series_of_levels, min_size=1, max_size=4), st.permutations(range(4)))
def test_devices_together_are_judged_as_each_alone(series: list[NDArray[np.float32]], names: list[int]) -> None:
    alone = [frames(one, device) for one, device in zip(series, names, strict=False)]
    device, end_s = (np.concatenate([getattr(part, name) for part in alone]) for name in ("device", "end_s"))
    order = np.lexsort((device, end_s))
    together = bare(device[order], end_s[order], np.concatenate([part.values for part in alone])[order])
    found = Sensors(TANK, hop_s=HOP).check(together)
    for part in alone:
        expected = Sensors(TANK, hop_s=HOP).check(replace(part, device=np.zeros(len(part), np.int64)))
        mine = together.device == part.device[0]
        for rule, flags in expected.flags.items():
            assert found.flags[rule][mine].tolist() == flags.tolist()
