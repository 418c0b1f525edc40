"""Windows and labels of a simulated fleet."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from contract.domains import INDUSTRIAL
from contract.topics import DeviceId
from contract.truth import Truth
from gateway.frames import WindowSpec
from gateway.windows import Windows
from models.training.dataset import Rows, fault_labels, future_labels, rows_of
from models.training.domains import RECIPES
from models.training.simulate import Fleet, Recording, simulate

FLEET = Fleet(seed=1_900_000, start_s=1_700_000_000.0, length_s=1800.0, live_s=600.0, devices=3)
RECIPE = RECIPES["industrial"]
SPEC = WindowSpec(length_s=60.0, hop_s=10.0, period_s=1.0, lateness_s=2.0)
PUMP = DeviceId("plant", "industrial", "pump-1")


@pytest.fixture(scope="module")
def recording() -> Recording:
    return simulate(RECIPE.world(), FLEET)


def cut(recording: Recording) -> Rows:
    return rows_of(recording, RECIPE.window.spec, RECIPE.features, RECIPE.labeller(RECIPE.world()))


def test_same_fleet_gives_the_same_samples(recording: Recording) -> None:
    again = simulate(RECIPE.world(), FLEET)
    assert again.truths == recording.truths
    for first, second in zip(recording.values, again.values, strict=True):
        np.testing.assert_array_equal(first, second)


def test_features_know_nothing_of_the_future(recording: Recording) -> None:
    """Wild samples after a moment change no feature of a window that closed before it."""
    middle_s = FLEET.start_s + 900.0
    spoilt = tuple(
        np.where((times >= middle_s)[:, None], np.float32(7.0) * values, values)
        for times, values in zip(recording.times, recording.values, strict=True)
    )
    known, other = cut(recording), cut(replace(recording, values=spoilt))
    before = known.end_s <= middle_s
    np.testing.assert_array_equal(known.features[before], other.features[before])
    assert not np.array_equal(known.features, other.features, equal_nan=True)


def test_windows_in_calibration_are_not_scored(recording: Recording) -> None:
    rows = cut(recording)
    first_scored_s = rows.end_s[rows.scored].min()
    assert first_scored_s >= FLEET.start_s + RECIPE.window.calibration_s
    assert rows.scored.any()


def bare(physical: list[float], truths: tuple[Truth, ...] = ()) -> Recording:
    """Return a recording of one pump whose every channel shows the given values, from time 0."""
    values = np.repeat(np.array(physical, np.float32)[None, :, None], len(INDUSTRIAL.channels), axis=2)
    return Recording(
        domain=INDUSTRIAL,
        devices=(PUMP,),
        times=(np.arange(len(physical), dtype=np.float64),),
        values=(values[0],),
        sent_s=(np.arange(len(physical), dtype=np.float64),),
        physical=values,
        start_s=0.0,
        truths=truths,
    )


def test_fault_labels_leave_out_what_nobody_could_say() -> None:
    leak = Truth(
        fault="leak", kind="fault", site="plant", domain="industrial", device="pump-1", onset_s=1000.0, end_s=1500.0
    )
    ends = np.arange(960.0, 1600.0, 10.0)
    label, weight = fault_labels(60.0, {"leak": 100.0})(bare([0.0], (leak,)), SPEC, np.zeros(len(ends), int), ends)
    assert ends[label].min() == 1060.0
    assert ends[label].max() == 1400.0
    unsure = ends[weight == 0.0]
    # the settling after the onset; the aftermath and the windows that still reach into it
    assert unsure.tolist() == [*np.arange(1010.0, 1060.0, 10.0), *np.arange(1410.0, 1560.0, 10.0)]


def test_look_alike_is_negative_with_full_weight() -> None:
    alike = Truth(
        fault="stop", kind="look_alike", site="plant", domain="industrial", device="pump-1", onset_s=0.0, end_s=900.0
    )
    label, weight = fault_labels(60.0, {})(
        bare([0.0], (alike,)), SPEC, np.zeros(3, int), np.array([100.0, 500.0, 890.0])
    )
    assert not label.any()
    assert (weight == 1.0).all()


def test_future_labels_look_ahead_exactly_as_far_as_they_say() -> None:
    """The value falls below the bound at step 50; windows that end from step 41 on see it within 10 s."""
    physical = [1.0] * 50 + [0.0] * 50
    labeller = future_labels("flow_l_min", below=0.5, within_s=10.0, unsure_below=0.7)
    ends = np.arange(30.0, 60.0)
    label, weight = labeller(bare(physical), SPEC, np.zeros(len(ends), int), ends)
    # the last sample of a window that ends at 41 is step 40; ten steps on is step 50
    assert ends[label].min() == 41.0
    assert (weight == 1.0).all()


def test_future_labels_do_not_guess_beyond_the_end_of_the_recording() -> None:
    labeller = future_labels("flow_l_min", below=0.5, within_s=10.0, unsure_below=0.7)
    label, weight = labeller(bare([1.0] * 100), SPEC, np.zeros(2, int), np.array([50.0, 95.0]))
    assert not label.any()
    assert weight.tolist() == [1.0, 0.0]


@pytest.mark.parametrize("domain", RECIPES)
def test_windows_of_every_recipe_keep_the_budget_of_8_kib_a_device(domain: str) -> None:
    recipe = RECIPES[domain]
    assert Windows(recipe.world().domain, recipe.window.spec).bytes_per_device <= 8192
