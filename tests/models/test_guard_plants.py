"""Each leak is planted, and the guard finds it; what is honest passes."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from models.training.guard import Keys, LeakError, check_causal, check_disjoint, check_no_clock, check_no_label

TIMES_S = np.arange(600.0)
VALUES = np.random.default_rng(1).normal(size=(600, 1)).astype(np.float32)
ENDS_S = np.arange(60.0, 600.0, 10.0)


def _means(values: NDArray[np.float32], ahead_s: int) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """Return the mean of a minute before each end, and ``ahead_s`` after it."""
    rows = [values[int(end) - 60 : int(end) + ahead_s].mean(axis=0) for end in ENDS_S]
    return ENDS_S, np.array(rows, np.float32)


def test_a_window_that_reaches_one_sample_into_the_future_is_found() -> None:
    with pytest.raises(LeakError, match="after the window's end"):
        check_causal(lambda values: _means(values, 1), TIMES_S, VALUES, 300.0)
    check_causal(lambda values: _means(values, 0), TIMES_S, VALUES, 300.0)


def test_standardising_with_all_data_before_the_split_is_found() -> None:
    def standardised(values: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
        return _means((values - values.mean()) / values.std(), 0)

    with pytest.raises(LeakError):
        check_causal(standardised, TIMES_S, VALUES, 300.0)


def test_a_shuffled_split_is_found() -> None:
    device = np.repeat(["a/1", "b/2"], 300)
    chosen = np.random.default_rng(2).random(600) < 0.5
    train, held_out = (Keys(device=device[part], end_s=TIMES_S[part]) for part in (chosen, ~chosen))
    with pytest.raises(LeakError, match="trained on and held out"):
        check_disjoint(train, held_out, window_s=60.0, embargo_s=60.0)


def test_rows_shuffled_in_time_over_other_devices_are_found() -> None:
    chosen = np.random.default_rng(2).random(600) < 0.5
    train = Keys(device=np.full(chosen.sum(), "a/1"), end_s=TIMES_S[chosen])
    held_out = Keys(device=np.full((~chosen).sum(), "b/2"), end_s=TIMES_S[~chosen])
    with pytest.raises(LeakError, match="apart in time"):
        check_disjoint(train, held_out, window_s=60.0, embargo_s=60.0)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_feature_made_of_the_label_is_found_even_under_noise(sign: float) -> None:
    rng = np.random.default_rng(3)
    label = rng.random(2000) < 0.2
    honest = (label + rng.normal(0.0, 0.6, 2000)).astype(np.float32)
    made = (sign * (label + rng.normal(0.0, 0.1, 2000))).astype(np.float32)
    check_no_label(honest[:, None], label, ["honest"])
    with pytest.raises(LeakError, match="made alone"):
        check_no_label(np.stack([honest, made], axis=1), label, ["honest", "made"])


def test_time_since_start_is_found_and_the_hour_of_the_day_is_not() -> None:
    device = np.repeat(np.arange(4), 288)
    end_s = np.tile(np.arange(288) * 600.0, 4) + device * 7000.0
    hour = np.sin(2 * np.pi * end_s / 86400.0).astype(np.float32)
    age = np.sqrt(end_s - device * 7000.0 + 1.0).astype(np.float32)
    check_no_clock(hour[:, None], device, end_s, ["hour_sin"])
    with pytest.raises(LeakError, match="root_of_age is a clock"):
        check_no_clock(np.stack([hour, age], axis=1), device, end_s, ["hour_sin", "root_of_age"])
