"""The reference says how training's windows were spread, ties and all."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import ValidationError

from contract.points import SCORE
from gateway.inference import manifest as manifests
from gateway.inference.manifest import Bins, Manifest
from gateway.inference.shelf import load
from models.training.dataset import rows_of
from models.training.domains import RECIPES
from models.training.reference import bins, reference
from models.training.simulate import Fleet, simulate

SHELF = Path(__file__).parents[2] / "models" / "industrial"
FLEET = Fleet(seed=1_900_002, start_s=1_700_000_000.0, length_s=1800.0, live_s=600.0, devices=3)


def shares(values: NDArray[np.float32], edges: tuple[float, ...]) -> list[float]:
    """Count by hand: how many values lie above one edge and not above the next."""
    bounds = [-np.inf, *np.array(edges, np.float32), np.inf]
    return [float(np.mean((values > low) & (values <= high))) for low, high in pairwise(bounds)]


def test_smooth_values_have_ten_bins_of_a_tenth() -> None:
    values = np.random.default_rng(1).normal(size=10_000).astype(np.float32)
    found = bins([values])
    assert len(found.edges) == 9
    assert found.shares == pytest.approx([0.1] * 10, abs=1e-3)
    assert found.edges[4] == pytest.approx(0.0, abs=0.05)


@pytest.mark.parametrize("ones", [0.03, 0.5, 0.97])
def test_values_that_repeat_keep_their_true_shares(ones: float) -> None:
    """A flag that is 0 or 1, and a third of a number that no short text holds."""
    values = np.where(np.arange(1000) < 1000 * ones, np.float32(1 / 3), np.float32(0.0)).astype(np.float32)
    found = bins([values])
    assert found.shares == pytest.approx(shares(values, found.edges))
    assert len(found.edges) == len(set(found.edges))


def test_undefined_values_are_passed_over_and_none_at_all_is_one_open_bin() -> None:
    assert bins([np.array([np.nan, 1.0, 2.0], np.float32)]).shares == pytest.approx([0.5, 0.5, 0.0])
    assert bins([np.full(5, np.nan, np.float32)]) == Bins(edges=(), shares=(1.0,), usual=0.0)


def test_reference_covers_every_input_and_the_score_of_what_would_be_scored(tmp_path: Path) -> None:
    recipe = RECIPES["industrial"]
    shelf = load(SHELF)
    world = recipe.world()
    rows = rows_of(
        simulate(world, FLEET), shelf.manifest.window.spec, shelf.manifest.feature_names, recipe.labeller(world)
    )
    found = reference(shelf.manifest, (SHELF / manifests.MODEL).read_bytes(), [rows, rows])
    assert found.bins.keys() == {SCORE, *shelf.manifest.feature_names}
    assert found.windows == 2 * int((rows.scored & ~rows.broken).sum())
    assert found.devices == 2 * FLEET.devices
    told = shelf.manifest.model_copy(update={"reference": found})
    manifests.write(tmp_path, told)
    assert manifests.read(tmp_path) == told


def test_usual_is_how_far_the_oddest_fleet_lies_from_all_together() -> None:
    """Of two fleets one has zeros only; of both together a third are ones: shares of 1, 0 against 2/3, 1/3."""
    zeros, both = np.zeros(600, np.float32), np.repeat(np.array([0.0, 1.0], np.float32), [200, 400])
    found = bins([zeros, both])
    assert found.edges == (0.0, 1.0)
    assert found.shares == pytest.approx([2 / 3, 1 / 3, 0.0], abs=1e-6)
    assert found.usual == pytest.approx(np.log(1.5) / 3 - (1 / 3 - 1e-3) * np.log(3e-3), rel=0.01)
    assert bins([both, both]).usual == 0.0


@pytest.mark.parametrize(("edges", "shares"), [((1.0,), (1.0,)), ((2.0, 1.0), (0.2, 0.3, 0.5))])
def test_bins_that_do_not_fit_their_edges_are_refused(edges: tuple[float, ...], shares: tuple[float, ...]) -> None:
    with pytest.raises(ValidationError):
        Bins(edges=edges, shares=shares, usual=0.0)


def test_shelf_without_a_reference_is_still_a_shelf() -> None:
    stated = manifests.read(SHELF).model_dump(exclude={"reference"})
    assert Manifest.model_validate(stated).reference is None
