"""No part of the data knows of another."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from models.training.domains import RECIPES
from models.training.guard import Keys, LeakError, check_disjoint, split_by_time
from models.training.simulate import FIRST_SEED

WINDOW_S = 60.0


def keys(device: str, ends_s: list[float]) -> Keys:
    return Keys(device=np.array([device] * len(ends_s)), end_s=np.array(ends_s))


def refused(train: Keys, held_out: Keys) -> None:
    check_disjoint(train, held_out, window_s=WINDOW_S, embargo_s=WINDOW_S)


def test_parts_apart_in_device_and_time_pass() -> None:
    refused(keys("a", [0.0, 100.0]), keys("b", [220.0, 400.0]))
    refused(keys("a", [220.0, 400.0]), keys("b", [0.0, 100.0]))


def test_shared_device_is_a_leak() -> None:
    with pytest.raises(LeakError, match="a among them"):
        refused(keys("a", [0.0]), keys("a", [1e6]))


@pytest.mark.parametrize("end_s", [0.0, 100.0, 159.0, 219.0])
def test_windows_that_overlap_or_lie_within_the_embargo_are_a_leak(end_s: float) -> None:
    with pytest.raises(LeakError, match="embargo"):
        refused(keys("a", [0.0, 100.0]), keys("b", [end_s, 1000.0]))


def test_shuffled_split_is_a_leak() -> None:
    """Every second window held out: neighbours share most of their samples."""
    ends = np.arange(100) * 10.0
    with pytest.raises(LeakError):
        refused(keys("a", ends[::2].tolist()), keys("b", ends[1::2].tolist()))


def test_split_by_time_leaves_an_embargo_between_the_windows() -> None:
    ends = np.arange(0.0, 1000.0, 10.0)
    before, after = split_by_time(ends, 500.0, window_s=WINDOW_S, embargo_s=WINDOW_S)
    assert ends[before].max() == 500.0
    # the first window after it begins an embargo later: 500 + 60 … 620
    assert ends[after].min() == 620.0
    assert not (before & after).any()


@pytest.mark.parametrize("domain", RECIPES)
def test_recipes_draw_parts_from_seeds_and_years_of_their_own(domain: str) -> None:
    recipe = RECIPES[domain]
    plans = {part: recipe.plan(part) for part in ("train", "validation", "test")}
    seeds = [fleet.seed for plan in plans.values() for fleet in plan]
    assert len(set(seeds)) == len(seeds)
    assert min(seeds) >= FIRST_SEED
    spans = sorted(
        (min(fleet.start_s for fleet in plan), max(fleet.start_s + fleet.length_s for fleet in plan))
        for plan in plans.values()
    )
    embargo_s = recipe.window.length_s
    assert all(next_[0] - last[1] >= embargo_s for last, next_ in pairwise(spans))
    assert recipe.plan("train") == plans["train"]
