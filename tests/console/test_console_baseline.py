"""What is usual of a device is not moved by the fault that it is held against."""

from __future__ import annotations

import numpy as np

from console.baseline import FEWEST, WIDTH, bands, moved
from contract.points import FieldValue


def test_band_of_a_normal_is_its_mean_and_deviation() -> None:
    (band,) = bands(np.random.default_rng(0).normal(50.0, 2.0, (20_000, 1)))
    assert band is not None
    assert abs(band.middle - 50.0) < 0.1
    assert abs(band.spread - 2.0) < 0.1
    assert abs(band.high - (50.0 + WIDTH * 2.0)) < 0.5


def test_fault_of_a_tenth_of_the_time_stays_outside_its_band() -> None:
    values = np.random.default_rng(0).normal(50.0, 1.0, (1000, 1))
    values[:100] += 30.0
    (band,) = bands(values)
    assert band is not None
    assert band.high < 60.0
    assert band.sigmas(80.0) > 20.0


def test_too_few_or_no_values_have_no_band() -> None:
    assert bands(np.zeros((FEWEST - 1, 1))) == [None]
    assert bands(np.full((100, 1), np.nan)) == [None]


def test_what_never_moved_has_not_moved_infinitely_far() -> None:
    (band,) = bands(np.full((100, 1), 5.0))
    assert band is not None
    assert np.isfinite(band.sigmas(5.1))


def test_feature_that_moved_most_comes_first_and_words_are_passed_over() -> None:
    rng = np.random.default_rng(0)
    past: list[dict[str, FieldValue]] = [
        {"a": float(a), "b": float(b), "hour": 3, "model_version": "1"}
        for a, b in zip(rng.normal(0, 1, 50), rng.normal(0, 1, 50), strict=True)
    ]
    found = moved([*past, {"a": 2.0, "b": -30.0, "hour": 23, "model_version": "2"}], 5)
    assert [one.feature for one in found] == ["b", "a"]
    assert found[0].sigma < -20.0
    assert -1.0 <= found[0].share < found[1].share


def test_first_window_of_a_device_has_nothing_to_compare_with() -> None:
    assert moved([{"a": 1.0}], 5) == []
    assert moved([], 5) == []
