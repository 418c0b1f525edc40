"""The stability index, by hand."""

from __future__ import annotations

from math import log

import pytest

from contract.stability import LEAST_SHARE, stability_index


def test_index_worked_out_by_hand() -> None:
    """Halves against 0.9 and 0.1: 0.4 ln 1.8 - 0.4 ln 0.2 = 0.879."""
    assert stability_index([0.5, 0.5], [0.9, 0.1]) == pytest.approx(0.4 * log(0.9 / 0.5) - 0.4 * log(0.1 / 0.5))
    assert stability_index([0.5, 0.5], [0.9, 0.1]) == pytest.approx(0.879, abs=1e-3)


def test_no_change_is_nothing_and_both_ways_are_alike() -> None:
    assert stability_index([0.2, 0.3, 0.5], [0.2, 0.3, 0.5]) == 0.0
    assert stability_index([0.2, 0.8], [0.6, 0.4]) == pytest.approx(stability_index([0.6, 0.4], [0.2, 0.8]))


def test_empty_bin_is_far_but_not_infinitely() -> None:
    assert stability_index([1.0, 0.0], [0.0, 1.0]) == pytest.approx(2 * log(1 / LEAST_SHARE), rel=0.01)
