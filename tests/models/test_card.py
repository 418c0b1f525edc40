"""A card says where validation sets disagree, and what was measured on recorded data, in its place."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

from models.training.ablation import Variant
from models.training.card import RECORDED, comparison, disagreement, with_recorded
from models.training.network import Fitted, Net, best_of
from models.training.plots import draw, precision_recall, reliability
from models.training.recorded.rows import Row

ROW = Row(data="Cows", metric="found", int8=17.0, floor=15.0, goal=18.0, naive={"40 °C rule": 15.0}, note="23 cows")


def fitted(**curves: tuple[float, ...]) -> Fitted:
    named = {"loss": (0.5, 0.4, 0.3), **curves}
    return Fitted(float_model=b"", int8_model=b"", curves=named, epoch=1)


def test_sets_that_agree_are_said_to_agree() -> None:
    assert disagreement(fitted(one=(0.9, 0.95, 0.95), other=(0.9, 0.94, 0.94)))[0].startswith("The sets agree")


def test_a_set_that_ranks_lower_and_one_that_peaked_elsewhere_are_named() -> None:
    said = "\n".join(disagreement(fitted(one=(0.9, 0.95, 0.95), other=(0.80, 0.70, 0.60))))
    assert "other ranks 0.700 where one ranks 0.950" in said
    assert "other alone would have kept epoch 1, 0.100 better" in said


def test_comparison_names_the_set_that_loses_most_without_each_part() -> None:
    shipped = Variant(name="as shipped", ranks={"fleets": 0.9, "tills": 0.3})
    without = Variant(name="without weight decay", ranks={"fleets": 0.91, "tills": 0.25})
    said = "\n".join(comparison([shipped, without], "retail"))
    assert "| without weight decay | 0.9100 | 0.2500 | -0.0500, tills |" in said
    assert "--ablate" in "\n".join(comparison([], "retail"))


def test_recorded_figures_take_their_place_and_are_replaced_by_newer_ones() -> None:
    card = f"# cows\n\n{RECORDED}\n\nNot measured yet.\n\n## Limits\n\nMany.\n"
    once = with_recorded(card, [ROW], ["Tried: a fever curve."])
    assert "| Cows | found | 17 |  | 15, reached | 18, missed | 40 °C rule 15 | 23 cows |" in once
    assert "Tried: a fever curve." in once
    assert "Not measured yet" not in once
    assert once.endswith("## Limits\n\nMany.\n")
    assert with_recorded(once, [ROW], ["Tried: a fever curve."]) == once


def test_the_epoch_kept_is_the_worst_sets_best_or_the_one_nearest_to_every_sets_own_best() -> None:
    easy, hard = (0.90, 0.99, 0.95), (0.30, 0.31, 0.33)
    assert best_of([easy, hard], Net(against="worst")) == 2
    assert best_of([easy, hard], Net()) == 1


def test_precision_and_recall_of_four_rows() -> None:
    label = np.array([True, False, True, False])
    recall, precision = precision_recall(label, np.array([0.9, 0.8, 0.7, 0.7], np.float32))
    assert recall.tolist() == [0.5, 0.5, 1.0]
    assert precision.tolist() == [1.0, 0.5, 0.5]


def test_calibrated_scores_lie_on_the_diagonal() -> None:
    rng = np.random.default_rng(4)
    score = rng.random(200_000).astype(np.float32)
    label = rng.random(200_000) < score
    assert len(reliability(label, score)) == 10
    assert all(abs(mean - share) < 0.02 for mean, share, _ in reliability(label, score))


def test_pictures_are_small_and_the_same_every_time(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    rng = np.random.default_rng(5)
    score = rng.random(30_000).astype(np.float32)
    rows = (rng.random(30_000) < score, score, score)
    for folder in ("a", "b"):
        drawn = draw(tmp_path / folder, fitted(one=(0.9, 0.95, 0.95)), rows, [60.0, 120.0])
    assert len(drawn) == 4
    for path, folder in itertools.product(drawn, "ab"):
        assert (tmp_path / folder / path).stat().st_size < 100_000
    assert all((tmp_path / "a" / path).read_bytes() == (tmp_path / "b" / path).read_bytes() for path in drawn)
