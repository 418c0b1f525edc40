"""The runner scores many windows as it scores one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gateway.inference.litert import MAX_BATCH, Quantiser
from gateway.inference.shelf import Shelf, load

SHELVES = Path(__file__).parents[3] / "models"


@pytest.fixture(scope="module")
def shelf() -> Shelf:
    return load(SHELVES / "industrial")


def drawn(shelf: Shelf, count: int) -> np.ndarray:
    """Draw windows around the training's spread, wild ones among them."""
    rng = np.random.default_rng(5)
    scale = np.array([feature.scale for feature in shelf.manifest.features])
    mean = np.array([feature.mean for feature in shelf.manifest.features])
    return (mean + 4.0 * scale * rng.standard_normal((count, len(scale)))).astype(np.float32)


@pytest.mark.parametrize("count", [1, 2, 17, MAX_BATCH, MAX_BATCH + 3])
def test_batch_scores_equal_one_by_one(shelf: Shelf, count: int) -> None:
    features = drawn(shelf, count)
    scorer = shelf.scorer()
    together = scorer.score(features)
    assert together.shape == (count,)
    assert together.dtype == np.float32
    alone = np.concatenate([scorer.score(features[row : row + 1]) for row in range(count)])
    np.testing.assert_array_equal(together, alone)


def test_no_window_gives_no_score(shelf: Shelf) -> None:
    assert shelf.scorer().score(np.empty((0, len(shelf.manifest.features)), np.float32)).shape == (0,)


def test_scores_lie_between_0_and_1_and_tell_windows_apart(shelf: Shelf) -> None:
    scores = shelf.scorer().score(drawn(shelf, 500))
    assert scores.min() >= 0.0
    assert scores.max() <= 1.0
    assert scores.max() - scores.min() > 0.5


def test_optimised_kernels_stay_within_the_stated_bound_on_golden_vectors(shelf: Shelf) -> None:
    features, stated = shelf.vectors.features, shelf.manifest
    away = np.abs(shelf.scorer("optimised").score(features) - shelf.scorer("reference").score(features))
    assert away.max() <= (stated.parity_quanta + 0.01) * stated.output.scale


def test_missing_feature_counts_as_usual(shelf: Shelf) -> None:
    mean = np.array([[feature.mean for feature in shelf.manifest.features]], np.float32)
    scorer = shelf.scorer()
    np.testing.assert_array_equal(scorer.score(np.full_like(mean, np.nan)), scorer.score(mean))


def test_quantiser_follows_its_definition(shelf: Shelf) -> None:
    """``round(clip((x - mean) / scale, ±clip) / input scale) + zero point``, written out in double precision."""
    stated = shelf.manifest
    features = drawn(shelf, 200)
    mean = np.array([feature.mean for feature in stated.features])
    scale = np.array([feature.scale for feature in stated.features])
    standard = np.clip((features - mean) / scale, -stated.clip, stated.clip)
    expected = np.clip(np.rint(standard / stated.input.scale) + stated.input.zero_point, -128, 127)
    away = np.abs(Quantiser(stated)(features) - expected)
    assert away.max() <= 1.0  # single against double precision at a half
    assert (away > 0).mean() < 0.01
