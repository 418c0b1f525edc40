"""What a shelf is trained and validated on: recorded rows split by device and time, groups that weigh their shares."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from edgefleet.models_cli import models
from gateway.inference.manifest import Metric
from models.training.augment import Augmentation, jitter
from models.training.dataset import future_labels
from models.training.domains import RECIPES
from models.training.guard import LeakError, check_before, check_disjoint
from models.training.measure import QUANTISATION_LOSS, lost
from models.training.parts import Examples, Group, balanced, gather, split, trained_on
from models.training.quantised import Scaling
from models.training.recipes import Recorded
from models.training.recorded import VARIABLE, DataError, Folder, needed
from models.training.simulate import Recording

HOUR_S = 3600.0


def never_read(_folder: Folder, _until_s: float) -> Recording:
    raise NotImplementedError


SOURCE = Recorded(
    name="tills",
    words="tills",
    labeller=future_labels("stock_fraction", below=0.5, within_s=HOUR_S, unsure_below=0.5),
    share=0.5,
    period_s=HOUR_S,
    read=never_read,
    files=("tills/*.csv",),
    licence="CC BY 4.0",
    attribution="Nobody.",
    scored_from_s=2000.0 * HOUR_S,
    embargo_s=24.0 * HOUR_S,
)


def examples(devices: int, hours: int, positive: float = 0.1) -> Examples:
    count = devices * hours
    rng = np.random.default_rng(0)
    return Examples(
        device=np.repeat([f"shop/{number:02d}" for number in range(devices)], hours),
        end_s=np.tile(HOUR_S * np.arange(1.0, hours + 1.0), devices),
        features=rng.normal(size=(count, 1)).astype(np.float32),
        label=rng.random(count) < positive,
        weight=np.ones(count, np.float32),
    )


def test_recorded_rows_are_validated_on_other_devices_and_later() -> None:
    rows = examples(10, 1000)
    train, held_out = split(rows, SOURCE, 2 * HOUR_S)
    check_disjoint(rows.only(train).keys, rows.only(held_out).keys, window_s=2 * HOUR_S, embargo_s=SOURCE.embargo_s)
    assert len(np.unique(rows.device[train])) == 8
    assert len(np.unique(rows.device[held_out])) == 2
    assert rows.end_s[held_out].max() == rows.end_s.max()
    assert rows.end_s[train].max() == pytest.approx(0.8 * rows.end_s.max(), rel=0.01)


def test_rows_in_the_embargo_before_what_is_scored_are_refused() -> None:
    assert SOURCE.until_s == 1976.0 * HOUR_S
    check_before(examples(2, 1976).keys, SOURCE.until_s)
    with pytest.raises(LeakError, match="2 rows"):
        check_before(examples(2, 1977).keys, SOURCE.until_s)


def test_each_group_weighs_its_share_however_many_rows_it_has_and_positives_half_of_it() -> None:
    few, many = examples(2, 100, 0.5), examples(10, 1000, 0.01)
    scale = Scaling(mean=np.zeros(1), scale=np.ones(1), clip=6.0)
    part = trained_on([Group(name="a", rows=few, share=0.2), Group(name="b", rows=many, share=0.6)], scale)
    assert part.weight.mean() == pytest.approx(1.0, rel=1e-5)
    first = slice(0, 200)
    assert part.weight[first].sum() / part.weight.sum() == pytest.approx(0.25, rel=1e-4)
    for rows in (slice(0, 200), slice(200, None)):
        weight, label = part.weight[rows], part.label[rows]
        assert weight[label].sum() == pytest.approx(weight[~label].sum(), rel=1e-4)


def test_a_group_may_give_its_positives_more_than_half_of_its_weight() -> None:
    rows = examples(2, 100, 0.1)
    weight = balanced(Group(name="a", rows=rows, share=0.2, positives=0.7))
    assert weight.sum() == pytest.approx(1.0)
    assert weight[rows.label].sum() == pytest.approx(0.7)


def test_rows_that_weigh_less_keep_their_proportion() -> None:
    rows = examples(2, 100, 0.5)
    half = replace(rows, weight=np.where(np.arange(200) < 100, 0.5, 1.0).astype(np.float32))
    weight = balanced(Group(name="a", rows=half, share=1.0))
    positives = np.flatnonzero(rows.label)
    early, late = positives[positives < 100], positives[positives >= 100]
    assert weight[late[0]] == pytest.approx(2.0 * weight[early[0]])


def test_a_model_that_loses_by_int8_is_named_and_one_that_does_not_is_let_pass() -> None:
    whole = Metric(name="row AUC", data="test", int8=0.9, float32=0.9 + QUANTISATION_LOSS / 2)
    worse = Metric(name="row F1", data="test", int8=0.9, float32=0.9 + 2 * QUANTISATION_LOSS)
    delay = Metric(name="median delay s", data="test", int8=10.0, float32=900.0, better="lower")
    assert lost([whole, delay]) == []
    assert lost([whole, worse, delay]) == ["int8 loses 0.020 of row F1 on test"]


def test_training_without_the_recorded_data_says_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    with pytest.raises(DataError, match="tills"):
        needed(None, ["tills"])
    result = CliRunner().invoke(models, ["train", "retail", "--models", str(tmp_path)])
    assert result.exit_code == 2
    assert "FreshRetail" in result.stderr
    assert VARIABLE in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_every_recorded_source_states_a_permissive_licence_and_keeps_an_embargo() -> None:
    pairs = [(source, recipe.window) for recipe in RECIPES.values() for source in recipe.recorded]
    sources = [source for source, _ in pairs]
    assert all(source.embargo_s >= source.spec(window).length_s for source, window in pairs)
    assert sources
    for source in sources:
        assert source.licence in {"CC BY 4.0", "MIT"}
        assert source.attribution


def test_what_is_only_tried_takes_no_weight_from_what_is_used() -> None:
    used = Augmentation(name="used", bend=jitter(0.1), every=1)
    recipe = replace(
        RECIPES["retail"],
        makes=(),
        augmentations=(used, replace(used, name="tried", used=False)),
        fleets={"train": 2, "validation": 2, "test": 1},
        devices=2,
        life_s=6 * HOUR_S,
        shown_s=(5 * HOUR_S, HOUR_S),
    )
    plain, tried = (gather(recipe, None, lambda _what, _share: None, tried=also) for also in (False, True))
    assert [group.name for group in plain.train] == ["fleets", "used"]
    assert [group.name for group in tried.train] == ["fleets", "used", "tried"]
    kept = [group for group in tried.train if group.name != "tried"]
    assert [group.share for group in kept] == [group.share for group in plain.train] == [0.5, 0.5]
    for one, other in zip(plain.train, kept, strict=True):
        np.testing.assert_array_equal(one.rows.features, other.rows.features)
