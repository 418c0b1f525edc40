"""Many faults as few."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from simulator.turns import in_turn


@dataclass(frozen=True)
class Add:
    """Adds an amount while it is there."""

    onset_s: float
    end_s: float
    amount: float

    def bend(self, parameters: float, t_s: float) -> float:
        """Return the sum."""
        return parameters + self.amount if self.onset_s <= t_s < self.end_s else parameters


@pytest.mark.parametrize("seed", range(5))
def test_faults_in_turn_bend_as_all_of_them_would(seed: int) -> None:
    """Whatever overlaps whatever: the sum is that of the faults that are there."""
    rng = np.random.default_rng(seed)
    onsets = rng.integers(0, 100, 30).tolist()
    faults = [
        Add(onset, onset + length, 2.0**i)
        for i, (onset, length) in enumerate(zip(onsets, [3, 10, 25] * 10, strict=True))
    ]
    few = in_turn(faults)
    assert len(few) < len(faults)
    for t_s in np.arange(-1.0, 130.0, 0.5).tolist():
        one_by_one = together = 0.0
        for fault in faults:
            one_by_one = fault.bend(one_by_one, t_s)
        for turn in few:
            together = turn.bend(together, t_s)
        assert together == one_by_one


def test_faults_that_never_meet_become_one() -> None:
    (turn,) = in_turn([Add(20.0, 30.0, 2.0), Add(0.0, 10.0, 1.0), Add(10.0, 20.0, 4.0)])
    assert (turn.onset_s, turn.end_s) == (0.0, 30.0)
    assert in_turn([]) == []
