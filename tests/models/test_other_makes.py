"""Recordings of another make: test benches and loop detectors that are known by their statistics alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from contract.domains import AGRICULTURE, INDUSTRIAL
from gateway.inference.manifest import Window
from models.training.benches import CALIBRATED_S, FAULTS, FLOW, GONE_S, SETTLE_S, TEMPERATURE, benches, off
from models.training.loops import BOUND_KM_H, PERIOD_S, SPEED, loops
from models.training.simulate import Fleet, Recording
from models.training.slow_devices import DAY_S, feverish, thermometers

TEMPERATURE_C = AGRICULTURE.channel_names.index("body_temperature_c")


def fleet(seed: int, length_s: float) -> Fleet:
    """Return a small fleet."""
    return Fleet(seed=seed, start_s=1.7e9, length_s=length_s, live_s=1.0, devices=6)


@pytest.mark.parametrize(("make", "length_s"), [(benches, 2400.0), (loops, 3.0 * DAY_S), (thermometers, 30.0 * DAY_S)])
def test_same_seed_same_recording(make: object, length_s: float) -> None:
    """A seed fixes every value and truth; another seed gives others."""
    assert callable(make)
    first, again, other = (make(fleet(seed, length_s)) for seed in (1, 1, 2))
    assert isinstance(first, Recording)
    np.testing.assert_array_equal(first.physical, again.physical)
    assert first.truths == again.truths
    assert not np.array_equal(first.physical, other.physical, equal_nan=True)


def test_benches_have_faults_after_the_calibration_only_and_lack_channels() -> None:
    """No fault begins before the calibration is over; some device lacks a channel for ever, none lacks it at times."""
    recordings = [benches(fleet(seed, 2400.0)) for seed in range(4)]
    truths = [truth for recording in recordings for truth in recording.truths]
    assert {truth.fault for truth in truths} == set(FAULTS)
    assert min(truth.onset_s for truth in truths) >= 1.7e9 + CALIBRATED_S
    lacking = np.concatenate([np.isnan(recording.physical).mean(axis=1) for recording in recordings])
    assert set(np.unique(lacking)) == {0.0, 1.0}


def test_values_lie_within_the_channels_ranges() -> None:
    """Nothing that the gateway would refuse."""
    values = np.concatenate([benches(fleet(seed, 2400.0)).physical for seed in range(3)])
    low, high = (np.array([getattr(channel, end) for channel in INDUSTRIAL.channels]) for end in ("low", "high"))
    assert np.nanmin(values[..., FLOW]) >= 0.0
    assert (np.nan_to_num(values, nan=1.0) >= low).all()
    assert (np.nan_to_num(values, nan=1.0) <= high).all()


def test_a_bench_is_off_from_soon_after_a_faults_onset_to_its_end_and_normal_soon_after() -> None:
    """In between nobody could say; what is labelled lies in a fault, what is not and counts lies in none."""
    recording = benches(fleet(1, 2400.0))
    truth = recording.truths[0]
    device = [each.device for each in recording.devices].index(truth.device)
    ends = np.array(
        [
            truth.onset_s,
            truth.onset_s + SETTLE_S - 1.0,
            truth.onset_s + SETTLE_S,
            truth.end_s,
            truth.end_s + 1.0,
            truth.end_s + GONE_S,
        ]
    )
    spec = Window(length_s=20.0, hop_s=10.0, period_s=1.0, lateness_s=2.0, min_coverage=0.5).spec
    label, weight = off(recording, spec, np.full(len(ends), device), ends)
    assert label.tolist() == [False, False, True, True, False, False]
    assert (weight > 0.0).tolist() == [True, False, True, True, False, True]


def test_a_bench_warms_by_itself_slower_than_a_motor_without_cooling() -> None:
    """Over ten minutes by ten kelvin at most: the simulated motors gain more than twenty without their cooling."""
    gains = []
    for seed in range(4):
        warm = benches(fleet(seed, 2400.0)).physical[:, :, TEMPERATURE]
        gains.append(np.nanmax(warm[:, 600:] - warm[:, :-600], initial=0.0))
    assert max(gains) < 15.0


def test_thermometers_read_once_a_day_and_fevers_stay_for_days() -> None:
    """Nothing but a temperature; over a fever's days it lies above the animal's own, and the first is not labelled."""
    recording = thermometers(replace(fleet(5, 30.0 * DAY_S), devices=60))
    assert np.isnan(np.delete(recording.physical, TEMPERATURE_C, axis=2)).all()
    celsius, names = recording.physical[:, :, TEMPERATURE_C], [device.device for device in recording.devices]
    assert celsius.shape == (60, 30)
    rises = []
    for truth in recording.truths:
        mine = names.index(truth.device)
        ill = (recording.times[mine] >= truth.onset_s) & (recording.times[mine] <= truth.end_s)
        assert ill.sum() >= 3
        rises.append(celsius[mine][ill].mean() - celsius[mine][~ill].mean())
    assert np.mean(rises) > 0.5
    truth = recording.truths[0]
    ends = np.array([truth.onset_s - 1.0, truth.onset_s + 0.5 * DAY_S, truth.onset_s + 1.5 * DAY_S])
    spec = Window(length_s=3600.0, hop_s=600.0, period_s=60.0, lateness_s=120.0, min_coverage=0.01).spec
    label, weight = feverish(recording, spec, np.full(3, names.index(truth.device)), ends)
    assert label.tolist() == [False, False, True]
    assert (weight > 0.0).tolist() == [True, False, True]


def test_loops_give_speed_alone_and_name_their_queues() -> None:
    """Each slow sample lies in a named queue of its device; the windows of thirty minutes can be cut."""
    recording = loops(fleet(3, 3.0 * 86400.0))
    assert recording.domain.period_s == PERIOD_S
    for place, device in enumerate(recording.devices):
        values = recording.values[place]
        assert np.isnan(np.delete(values, SPEED, axis=1)).all()
        slow = recording.times[place][values[:, SPEED] < BOUND_KM_H]
        mine = [truth for truth in recording.truths if truth.device == device.device]
        assert all(any(truth.onset_s <= t_s <= truth.end_s for truth in mine) for t_s in slow)
    assert recording.truths
    Window(length_s=1800.0, hop_s=300.0, period_s=PERIOD_S, lateness_s=600.0, min_coverage=0.5)
