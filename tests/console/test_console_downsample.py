"""Downsampling keeps every extreme and every gap, in whatever blocks the samples come."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.downsample import Buckets, gaps, samples, thinned


def noise(count: int) -> np.ndarray:
    values = np.random.default_rng(3).normal(size=(count, 2)).astype(np.float32)
    values[::7, 1] = np.nan
    return values


@given(cuts=st.lists(st.integers(0, 500), max_size=6), swapped=st.booleans())
def test_any_blocks_in_any_order_give_least_mean_and_greatest_of_each_bucket(
    cuts: list[int],
    *,
    swapped: bool,
) -> None:
    times, values = np.arange(500.0), noise(500)
    edges = sorted({0, 500, *cuts})
    blocks = list(pairwise(edges))
    gathered = Buckets(0.0, 500.0, 10, 2)
    for first, end in reversed(blocks) if swapped else blocks:
        gathered.add(times[first:end], values[first:end])
    envelope = gathered.envelope()
    cells = values.reshape(10, 50, 2).astype(np.float64)
    np.testing.assert_array_equal(envelope.low, np.nanmin(cells, axis=1))
    np.testing.assert_array_equal(envelope.high, np.nanmax(cells, axis=1))
    np.testing.assert_allclose(envelope.mean, np.nanmean(cells, axis=1), rtol=1e-6)
    np.testing.assert_array_equal(envelope.count, np.isfinite(cells).sum(axis=1))


def test_one_spike_in_a_million_samples_is_still_there() -> None:
    values = np.zeros((1_000_000, 1), np.float32)
    values[654_321] = 42.0
    gathered = Buckets(0.0, 1e6, 360, 1)
    gathered.add(np.arange(1e6), values)
    assert gathered.envelope().high.max() == 42.0


def test_bucket_without_a_sample_is_empty_and_not_zero() -> None:
    gathered = Buckets(0.0, 30.0, 3, 1)
    gathered.add(np.array([1.0, 25.0]), np.array([[5.0], [7.0]], np.float32))
    envelope = gathered.envelope()
    assert np.isnan(envelope.mean[1, 0])
    assert np.isnan(envelope.low[1, 0])
    np.testing.assert_array_equal(envelope.times, [5.0, 15.0, 25.0])


def test_samples_outside_the_range_are_not_counted() -> None:
    gathered = Buckets(10.0, 20.0, 2, 1)
    gathered.add(np.array([9.9, 10.0, 19.9, 20.0]), np.full((4, 1), 3.0, np.float32))
    assert gathered.envelope().count.sum() == 2


@pytest.mark.parametrize(("start_s", "end_s", "count"), [(5.0, 5.0, 3), (5.0, 4.0, 3), (0.0, 1.0, 0)])
def test_range_without_room_is_refused(start_s: float, end_s: float, count: int) -> None:
    with pytest.raises(ValueError, match="no bucket"):
        Buckets(start_s, end_s, count, 1)


def test_few_samples_stay_themselves() -> None:
    envelope = samples(np.array([1.0, 2.0]), np.array([[3.0], [np.nan]], np.float32))
    assert envelope.raw
    assert envelope.count.tolist() == [[1], [0]]


def test_gaps_at_the_edges_and_inside_are_found() -> None:
    assert gaps(np.array([5.0, 6.0, 9.0]), 0.0, 10.0, 2.5) == [(0.0, 5.0), (6.0, 9.0)]
    assert gaps(np.empty(0), 0.0, 10.0, 2.5) == [(0.0, 10.0)]
    assert gaps(np.arange(11.0), 0.0, 10.0, 2.5) == []


def test_thinned_line_keeps_its_ends_of_range_and_its_order() -> None:
    values = np.sin(np.arange(10_000) / 50.0)
    values[777], values[8888] = 9.0, -9.0
    times, kept = thinned(np.arange(10_000.0), values, 100)
    assert len(kept) <= 100
    assert {9.0, -9.0} <= set(kept.tolist())
    assert (np.diff(times) > 0).all()


def test_line_of_nothing_but_gaps_is_thinned_to_nothing() -> None:
    times, _ = thinned(np.arange(100.0), np.full(100, np.nan), 10)
    assert len(times) == 0
