"""The stability index finds what moved, and does not cry over chance."""

from __future__ import annotations

import numpy as np

from console.drift import drift, worst

RNG = np.random.default_rng(5)
MANY = (1000, 1000)


def test_index_of_shares_worked_out_by_hand() -> None:
    """Shares 0.5, 0.5 against 0.9, 0.1 in the two bins of a median: 0.4 ln 1.8 + (-0.4) ln 0.2 = 0.879."""
    then = np.repeat(np.arange(5.0), 200)
    now = np.repeat(np.arange(5.0), [200, 200, 200, 200, 200])
    assert drift("same", then, now, devices=MANY).index == 0.0
    moved_now = np.repeat([0.0, 4.0], [900, 100])
    index = drift("moved", np.repeat([0.0, 4.0], [500, 500]), moved_now, devices=MANY).index
    assert abs(index - (0.4 * np.log(0.9 / 0.5) - 0.4 * np.log(0.1 / 0.5))) < 1e-2


def test_same_world_is_steady_and_a_shifted_one_has_moved() -> None:
    then = RNG.normal(0, 1, 2000)
    assert drift("same", then, RNG.normal(0, 1, 2000), devices=MANY).verdict == "steady"
    assert drift("shifted", then, RNG.normal(1.5, 1, 2000), devices=MANY).verdict == "moved"


def test_difference_that_few_devices_give_by_chance_is_neither_held_against_the_model_nor_called_steady() -> None:
    then, now = RNG.normal(0, 1, 2000), RNG.normal(0.6, 1, 2000)
    many, few = drift("x", then, now, devices=MANY), drift("x", then, now, devices=(3, 3))
    assert many.index == few.index
    assert (many.verdict, few.verdict) == ("moved", "unknown")


def test_too_few_rows_say_nothing() -> None:
    assert drift("x", RNG.normal(size=2000), RNG.normal(size=5), devices=MANY).verdict == "unknown"
    assert drift("x", RNG.normal(size=2000), np.full(100, np.nan), devices=MANY).verdict == "unknown"


def test_worst_of_several_is_what_counts() -> None:
    steady = drift("a", RNG.normal(size=500), RNG.normal(size=500), devices=MANY)
    moved = drift("b", RNG.normal(size=500), RNG.normal(4, 1, size=500), devices=MANY)
    assert worst([steady, moved]) == "moved"
    assert worst([steady]) == "steady"
    assert worst([]) == "unknown"
