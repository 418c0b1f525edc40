"""Device faults: each does what its name says, between onset and end and nowhere else."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest

from contract.domains import AGRICULTURE
from contract.messages import Sample
from simulator.device_faults import (
    BatteryDeath,
    ClockSkew,
    Device,
    DeviceFault,
    Drift,
    DropOut,
    Duplicate,
    Reorder,
    StuckValue,
)

ONSET, END, STEPS = 100, 200, 300
HEART = AGRICULTURE.channels[0]


def rng() -> np.random.Generator:
    return np.random.default_rng(1)


def emitted(*faults: DeviceFault) -> list[list[Sample]]:
    """Return what a device sends in each of 300 steps of a second; its heart beats 60 + step % 7."""
    device = Device(faults)
    return [list(device.emit(float(t), {HEART.name: 60.0 + t % 7, "activity_index": 1.0})) for t in range(STEPS)]


def sent(*faults: DeviceFault) -> list[Sample]:
    return [sample for step in emitted(*faults) for sample in step]


def test_a_healthy_device_sends_one_numbered_sample_a_step() -> None:
    samples = sent()
    assert [sample.seq for sample in samples] == list(range(STEPS))
    assert [sample.ts for sample in samples] == [float(t) for t in range(STEPS)]


def test_a_channel_without_a_value_is_absent_and_a_sample_without_any_is_not_sent() -> None:
    device = Device()
    assert device.emit(1.0, {"a": math.nan, "b": 2.0})[0].values == {"b": 2.0}
    assert device.emit(2.0, {"a": math.nan}) == ()


def test_drop_out_loses_most_samples_before_they_are_numbered() -> None:
    """What was never measured is no loss: the numbers stay whole."""
    samples = sent(DropOut(onset_s=ONSET, end_s=END, rng=rng()))
    during = [sample for sample in samples if ONSET <= sample.ts < END]
    assert 10 < len(during) < 50
    assert len(samples) - len(during) == 200
    assert [sample.seq for sample in samples] == list(range(len(samples)))


def test_a_stuck_value_repeats_only_its_channel_and_only_meanwhile() -> None:
    samples = sent(StuckValue(onset_s=ONSET, end_s=END, rng=rng(), channel=HEART.name))
    values = [sample.values[HEART.name] for sample in samples]
    assert set(values[ONSET:END]) == {60.0 + ONSET % 7}
    assert [v for i, v in enumerate(values) if not ONSET <= i < END] == [
        60.0 + i % 7 for i in range(STEPS) if not ONSET <= i < END
    ]


def test_drift_grows_to_its_sigmas_and_ends() -> None:
    samples = sent(Drift(onset_s=ONSET, end_s=END, rng=rng(), channel=HEART, sigmas=3.0))
    off = [sample.values[HEART.name] - (60.0 + t % 7) for t, sample in enumerate(samples)]
    spread = float(np.std([t % 7 for t in range(ONSET)], ddof=1))
    assert off[:ONSET] == [0.0] * ONSET
    assert off[END:] == [0.0] * (STEPS - END)
    assert off[ONSET + 50] == pytest.approx(1.5 * spread, abs=1e-4)
    assert max(off) == off[END - 1] == pytest.approx(3.0 * 0.99 * spread, abs=1e-4)


def test_a_slow_clock_shifts_times_until_it_is_set() -> None:
    samples = sent(ClockSkew(onset_s=0.0, end_s=END, rng=rng(), offset_s=-30.0))
    assert [sample.ts for sample in samples] == [t - 30.0 if t < END else float(t) for t in range(STEPS)]


def test_duplicates_repeat_number_and_time_right_away() -> None:
    steps = emitted(Duplicate(onset_s=ONSET, end_s=END, rng=rng(), share=0.5))
    counts = Counter(len(step) for step in steps[ONSET:END])
    assert set(counts) == {1, 2}
    assert all(len(step) == 1 for step in steps[:ONSET] + steps[END:])
    assert all(step[0] == step[-1] for step in steps)


def test_reordering_swaps_neighbours_and_loses_none() -> None:
    samples = sent(Reorder(onset_s=ONSET, end_s=END, rng=rng()))
    numbers = [sample.seq for sample in samples if sample.seq is not None]
    assert sorted(numbers) == list(range(STEPS))
    assert numbers != sorted(numbers)
    assert max(abs(place - number) for place, number in enumerate(numbers)) == 1
    assert [sample.ts for sample in samples] == [float(number) for number in numbers]


def test_a_flat_battery_sends_nothing_and_takes_no_numbers() -> None:
    device = Device([BatteryDeath(onset_s=ONSET, end_s=END, rng=rng())])
    assert [device.dead(t) for t in (ONSET - 1, ONSET, END - 1, END)] == [False, True, True, False]
    samples = sent(BatteryDeath(onset_s=ONSET, end_s=END, rng=rng()))
    assert not [sample for sample in samples if ONSET <= sample.ts < END]
    assert [sample.seq for sample in samples] == list(range(STEPS - (END - ONSET)))
