"""The steps from rows to a model: scaling, the choice of thresholds, and the net itself where TensorFlow is there."""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from gateway.inference import flatbuffer
from gateway.inference.litert import BatchedModel
from gateway.inference.manifest import Judging
from gateway.inference.shelf import load
from models.training import judging, measure, train
from models.training.dataset import Rows, rows_of
from models.training.domains import RECIPES
from models.training.metrics import auc
from models.training.network import Fitted, Net, Part, fit
from models.training.parts import Data
from models.training.quantised import Scaling, float_scores, scaling
from models.training.simulate import Fleet, simulate

SHELVES = Path(__file__).parents[2] / "models"
RECIPE = replace(RECIPES["industrial"], features=("flow_l_min_cal_z", "t2"))
FLEET = Fleet(seed=1_900_001, start_s=1_700_000_000.0, length_s=3600.0, live_s=600.0, devices=6)


@pytest.fixture(scope="module")
def rows() -> Rows:
    world = RECIPE.world()
    return rows_of(simulate(world, FLEET), RECIPE.window.spec, RECIPE.features, RECIPE.labeller(world))


def way(raise_at: float, dwell_s: float = 0.0) -> Judging:
    return Judging(raise_at=raise_at, clear_at=raise_at / 2, raise_dwell_s=dwell_s, clear_dwell_s=20.0, cooldown_s=60.0)


def test_scaling_is_robust_and_puts_missing_features_at_the_middle() -> None:
    rng = np.random.default_rng(3)
    normal = rng.normal(100.0, 5.0, (5000, 2)).astype(np.float32)
    normal[:50, 0] = 1e6  # one in a hundred is wild
    scale = scaling(normal, clip=6.0)
    np.testing.assert_allclose(scale.mean, 100.0, atol=0.5)
    np.testing.assert_allclose(scale.scale, 5.0, rtol=0.1)
    standard = scale(np.array([[np.nan, 1e9], [100.0, -1e9]], np.float32))
    np.testing.assert_allclose(standard, [[0.0, 6.0], [0.0, -6.0]], atol=0.1)


def test_scaling_of_a_feature_that_never_moves_is_finite() -> None:
    scale = scaling(np.full((100, 1), 3.0, np.float32), clip=6.0)
    assert np.isfinite(scale(np.array([[3.0], [4.0]], np.float32))).all()


def test_scores_that_are_the_label_are_judged_right(rows: Rows) -> None:
    (events,) = judging.judged([(rows, rows.label.astype(np.float32))], [way(0.5)], RECIPE)
    assert events.faults >= 1
    assert (events.precision, events.recall) == (1.0, 1.0)


def test_scores_that_are_always_up_are_judged_wrong(rows: Rows) -> None:
    (events,) = judging.judged([(rows, np.ones(len(rows.device), np.float32))], [way(0.5)], RECIPE)
    assert events.alerts >= len(rows.recording.devices) - 1
    assert events.precision < 0.5


def test_choice_takes_the_threshold_that_holds_in_every_set(rows: Rows) -> None:
    """Noise reaches 0.7 now and then, faults reach 0.85: only the threshold between them is right."""
    rng = np.random.default_rng(0)
    noise = np.where(rng.random(len(rows.device)) < 0.1, 0.7, 0.1)
    noisy = np.where(rows.label, 0.85, noise).astype(np.float32)
    chosen = judging.choose({"a": [(rows, noisy)]}, [way(0.5), way(0.8), way(0.9)], RECIPE)
    assert chosen.judging.raise_at == 0.8
    assert chosen.worst == 1.0


def test_among_thresholds_that_do_as_well_on_fleets_the_other_makes_rows_decide(rows: Rows) -> None:
    right = {"a": [(rows, rows.label.astype(np.float32))]}
    label = np.arange(100) < 50
    other = [(label, np.where(label, 0.65, 0.55).astype(np.float32))]
    ways = [way(0.5), way(0.6), way(0.9)]
    assert judging.choose(right, ways, RECIPE, other).judging.raise_at == 0.6
    assert judging.choose(right, ways, RECIPE).judging.raise_at != 0.6


class Knows:
    """A scorer to which the first feature is the score."""

    def __init__(self, _model: bytes, _manifest: object) -> None:
        """Take what the real one takes."""

    def score(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the first feature."""
        return features[:, 0]


def test_a_threshold_at_which_int8_costs_too_much_is_not_put(rows: Rows, monkeypatch: pytest.MonkeyPatch) -> None:
    """All thresholds do as well on these fleets: without the loss the lowest is as good as any."""
    known = replace(rows, features=rows.label.astype(np.float32)[:, None])
    data = Data(train=[], validation={"a": [known]}, watched={}, makes=(), test=[], samples=[])
    fitted = Fitted(float_model=b"", int8_model=b"", curves={}, epoch=0)
    scale = Scaling(mean=np.zeros(1), scale=np.ones(1), clip=1.0)
    shelf = load(SHELVES / "industrial")
    model = measure.Model(manifest=shelf.manifest, fitted=fitted, scale=scale, recipe=RECIPE)
    monkeypatch.setattr(train, "LiteRtScorer", Knows)
    worst = max(RECIPE.raise_at)
    monkeypatch.setattr(measure, "loss_at", lambda _model, _rows, raise_at: 0.0 if raise_at == worst else 0.02)
    assert train.choose(model, data).raise_at == worst
    monkeypatch.setattr(measure, "loss_at", lambda _model, _rows, _raise_at: 0.0)
    assert train.choose(model, data).raise_at != worst


@pytest.mark.skipif(find_spec("tensorflow") is None, reason="TensorFlow (extra train) is not installed")
@pytest.mark.filterwarnings("ignore")  # TensorFlow's own
def test_fitted_net_ranks_as_float_and_int8_and_may_run_anywhere() -> None:
    rng = np.random.default_rng(1)
    features = rng.standard_normal((2000, 4)).astype(np.float32)
    part = Part(features, (features[:, 0] * features[:, 1]) > 0.5, np.ones(2000, np.float32))
    fitted = fit(part, {"same": part}, Net(hidden=(16, 8), epochs=12, rate=1e-2))
    assert flatbuffer.findings(flatbuffer.read(fitted.int8_model)) == []
    given = flatbuffer.read(fitted.int8_model).inputs[0]
    quanta = np.clip(np.rint(features / given.scale) + given.zero_point, -128, 127).astype(np.int8)
    whole = auc(part.label, float_scores(fitted.float_model, features))
    assert whole > 0.95
    assert auc(part.label, BatchedModel(fitted.int8_model).run(quanta).astype(np.float32)) > whole - 0.01


@pytest.mark.skipif(find_spec("tensorflow") is None, reason="TensorFlow (extra train) is not installed")
@pytest.mark.filterwarnings("ignore")  # TensorFlow's own
def test_a_net_is_the_same_to_the_byte_whatever_was_fitted_before() -> None:
    """Else ``make train``, which fits all shelves in one process, and ``models train DOMAIN`` made different files."""
    features = np.random.default_rng(2).standard_normal((600, 3)).astype(np.float32)
    part = Part(features, features[:, 0] > 0.0, np.ones(600, np.float32))
    one, other = Net(hidden=(4,), epochs=1), Net(hidden=(5, 4), epochs=1)
    first = fit(part, {"same": part}, one)
    fit(part, {"same": part}, other)
    again = fit(part, {"same": part}, one)
    assert (again.int8_model, again.float_model) == (first.int8_model, first.float_model)
