"""A cow lives a cow's day; a disease shows on her as its mechanism says, and what only looks like one does not."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Any

import numpy as np
import pytest

from contract.domains import AGRICULTURE
from contract.topics import DeviceId
from simulator import cow as behaviour
from simulator.agriculture import WORLD
from simulator.cow import HEALTHY, Condition, Cow
from simulator.weather import DAY_S
from simulator.worlds import Fault

HOUR_S = 3600.0
START_S = 1_763_769_600.0
"""Midnight of a day in November: no cow is warm from the weather alone."""
ONSET_S, END_S = START_S + 7.0 * HOUR_S, START_S + 19.0 * HOUR_S
HEIGHT = slice(12 * 60, 17 * 60)
"""Readings in which an event is at its height: 12 to 17 h."""
PULSE, PRESSURE, CORE, ACTIVITY, RUMINATION = range(5)
LABELS = [event.label for event in WORLD.events]
HERD = range(12)

Trace = np.ndarray[Any, np.dtype[np.float64]]


def trace(
    seed: int = 1, *, faults: Sequence[Fault[Condition]] = (), hours: float = 24.0, names: Sequence[str] = ("c1",)
) -> Trace:
    """Return the readings of ``c1``, one row a minute."""
    plants = WORLD.plants("farm", names, seed=seed, start_s=START_S, faults={"c1": faults})
    plant = next(plant for plant in plants if plant.devices == (DeviceId("farm", "agriculture", "c1"),))
    rows = [plant.step(START_S + 60.0 * minute)[0] for minute in range(int(60 * hours))]
    return np.array([[row[name] for name in AGRICULTURE.channel_names] for row in rows])


def event(label: str, seed: int) -> Fault[Condition]:
    return WORLD.event(label).make(ONSET_S, END_S, np.random.default_rng(seed))


def shifts(label: str) -> Trace:
    """Return, for each cow of a herd, how far the event moves each channel's mean against the same cow without it."""
    return np.array(
        [
            trace(seed, faults=[event(label, seed)])[HEIGHT].mean(axis=0) - trace(seed)[HEIGHT].mean(axis=0)
            for seed in HERD
        ]
    )


def doings(seed: int, days: int) -> list[behaviour.Doing]:
    """Return what a healthy cow does, minute by minute."""
    (cow,) = WORLD.plants("farm", ["c1"], seed=seed, start_s=START_S, faults={})
    assert isinstance(cow, Cow)
    done = []
    for minute in range(days * 1440):
        cow.step(START_S + 60.0 * minute)
        done.append(cow._doing)
    return done


def test_same_seed_gives_the_same_readings_whatever_else_is_in_the_herd() -> None:
    alone, in_herd = trace(), trace(names=("c0", "c1", "c2"))
    assert np.array_equal(alone, in_herd)
    assert not np.array_equal(alone, trace(seed=2))


@pytest.mark.parametrize("label", LABELS)
def test_an_event_changes_nothing_before_its_onset(label: str) -> None:
    assert np.array_equal(trace(faults=[event(label, 3)], hours=7.0), trace(hours=7.0))


@pytest.mark.parametrize("label", sorted(set(LABELS) - {"heat_stress"}))
def test_an_event_bends_nothing_outside_its_span(label: str) -> None:
    fault = event(label, 3)
    for t_s in (ONSET_S - 60.0, END_S, END_S + 60.0):
        assert fault.bend(HEALTHY, t_s) == HEALTHY
    assert fault.bend(HEALTHY, (ONSET_S + END_S) / 2.0) != HEALTHY


def test_respiratory_disease_brings_fever_fast_heart_high_pressure_and_dullness() -> None:
    moved = shifts("respiratory_disease")
    assert moved[:, CORE].min() > 0.9
    assert moved[:, PULSE].min() > 8.0
    assert moved[:, PRESSURE].min() > 3.0
    assert moved[:, ACTIVITY].mean() < 0.0
    assert moved[:, RUMINATION].mean() < -5.0


def test_mastitis_brings_fever_and_less_rumination() -> None:
    moved = shifts("mastitis")
    assert moved[:, CORE].min() > 0.6
    assert moved[:, PULSE].min() > 4.0
    assert moved[:, RUMINATION].mean() < -4.0


def test_lameness_brings_stillness_and_pain_but_no_fever() -> None:
    moved = shifts("lameness")
    assert np.abs(moved[:, CORE]).max() < 0.2
    assert moved[:, ACTIVITY].mean() < -0.05
    assert moved[:, PULSE].mean() > 2.0
    assert moved[:, PRESSURE].min() > 3.0


def test_oestrus_brings_restlessness_and_only_a_little_warmth() -> None:
    """She moves more, where every disease makes a cow move no more; her warmth stays below a fever."""
    moved = shifts("oestrus")
    assert moved[:, ACTIVITY].min() > 0.1
    assert moved[:, CORE].min() > 0.1
    assert moved[:, CORE].max() < 0.7
    assert moved[:, RUMINATION].mean() < 0.0


def test_heat_stress_warms_the_whole_herd_in_the_afternoon_and_opens_the_vessels() -> None:
    """Pressure falls, where every disease raises it; the night cools the herd again."""
    for seed in HERD:
        hot, plain = (trace(seed, faults=faults, hours=26.0) for faults in ([event("heat_stress", seed)], []))
        warmed = hot[:, CORE] - plain[:, CORE]
        assert 0.2 < warmed[16 * 60 : 18 * 60].mean() < 1.0
        assert warmed[10 * 60 : 11 * 60].mean() < warmed[16 * 60 : 17 * 60].mean()
        assert abs(warmed[25 * 60 :].mean()) < 0.15
        assert (hot - plain)[15 * 60 : 18 * 60, PRESSURE].mean() < -2.0
    assert WORLD.event("heat_stress").whole_site


def test_fever_rises_over_hours_not_at_once() -> None:
    for label in ("respiratory_disease", "mastitis"):
        warmed = trace(faults=[event(label, 1)])[:, CORE] - trace()[:, CORE]
        height = warmed[HEIGHT].max()
        assert warmed[7 * 60 + 30] < 0.25 * height
        assert warmed[12 * 60] > 0.7 * height


def test_a_healthy_cow_divides_her_day_as_cows_do() -> None:
    """Hours a day and bouts lie in the ranges of the literature named in the module."""
    for seed in range(4):
        done = doings(seed, days=10)
        hours = {doing: minutes / 600.0 for doing, minutes in Counter(done).items()}
        bouts = Counter(doing for doing, _ in groupby(done))
        assert 7.0 < hours[behaviour.RUMINATING] < 10.0
        assert 4.0 < hours[behaviour.FEEDING] < 6.0
        assert 10.0 < hours[behaviour.LYING] + hours[behaviour.RUMINATING] < 16.0
        assert 7.0 < bouts[behaviour.FEEDING] / 10.0 < 14.0
        assert 9.0 < bouts[behaviour.RUMINATING] / 10.0 < 18.0


def test_no_cud_is_chewed_that_was_not_eaten() -> None:
    """Mass balance: over days rumination never exceeds what feeding has left."""
    for seed in range(4):
        minutes = Counter(doings(seed, days=10))
        eaten = behaviour.CUD_PER_FEEDING * minutes[behaviour.FEEDING]
        assert 0.5 * eaten < minutes[behaviour.RUMINATING] < eaten


def test_rumination_is_the_sum_over_the_last_hour() -> None:
    """It says how many of the last sixty minutes she ruminated, within what the collar mishears."""
    (cow,) = WORLD.plants("farm", ["c1"], seed=4, start_s=START_S, faults={})
    assert isinstance(cow, Cow)
    last_hour: list[bool] = []
    for minute in range(600):
        shown = cow.step(START_S + 60.0 * minute)[0]["rumination_min_h"]
        last_hour = [*last_hour, cow._doing is behaviour.RUMINATING][-60:]
        if minute >= 60:
            assert 0.85 * sum(last_hour) <= shown <= sum(last_hour) + 2.5


def test_temperature_peaks_in_the_evening() -> None:
    course = np.mean([trace(seed, hours=96.0)[:, CORE].reshape(-1, 24, 60).mean(axis=(0, 2)) for seed in HERD], axis=0)
    assert 17 <= int(course.argmax()) <= 22
    assert 0.3 < float(course.max() - course.min()) < 0.8


def test_a_month_with_every_event_stays_in_range_and_never_rests() -> None:
    """No value leaves the channel's range, jumps faster than it may, or repeats as long as a broken sensor's would."""
    rng = np.random.default_rng(9)
    onsets = (START_S + i * DAY_S + 7.0 * HOUR_S for i in range(100))
    faults = [
        event_type.make(onset_s, onset_s + event_type.duration_s[1], rng)
        for event_type, onset_s in zip(WORLD.events * 6, onsets, strict=False)
    ]
    course = trace(5, faults=faults, hours=30 * 24.0)
    assert np.isfinite(course).all()
    for index, channel in enumerate(AGRICULTURE.channels):
        values = course[:, index]
        assert channel.low <= values.min()
        assert values.max() <= channel.high
        if channel.max_rate_per_s is not None:
            assert np.abs(np.diff(values)).max() < 60.0 * channel.max_rate_per_s
        if channel.flat_line_s is not None:
            assert 60.0 * max(len(list(run)) for _, run in groupby(values.tolist())) < 0.5 * channel.flat_line_s


def test_every_sensor_has_noise_of_its_own() -> None:
    """Nearly every reading differs from the one before, in every channel that has no memory of an hour."""
    steps = np.diff(trace()[:, [PULSE, PRESSURE, CORE, ACTIVITY]], axis=0)
    assert (steps != 0.0).mean(axis=0).min() > 0.8
    assert (steps < 0.0).mean(axis=0).min() > 0.3


def test_a_step_costs_few_calls() -> None:
    """Training steps millions of minutes: a step may make no more than some dozens of calls, in Python or C."""
    plant = WORLD.plants("farm", ["c1"], seed=1, start_s=START_S, faults={})[0]
    assert calls(lambda: [plant.step(START_S + 60.0 * minute) for minute in range(1000)]) < 80 * 1000


def calls(work: Callable[[], object]) -> int:
    """Return how many functions are called while ``work`` runs."""
    count = 0

    def see(_frame: object, kind: str, _argument: object) -> None:
        nonlocal count
        count += kind in {"call", "c_call"}

    before = sys.getprofile()
    sys.setprofile(see)
    try:
        work()
    finally:
        sys.setprofile(before)
    return count


def test_world_holds_every_name_once() -> None:
    plants = WORLD.plants("farm", ["a", "b", "c"], seed=1, start_s=START_S, faults={})
    assert [plant.devices[0].device for plant in plants] == ["a", "b", "c"]
