"""The pictures of a card: precision and recall, delay, calibration and learning curves, as small SVG files.

The same numbers give the same bytes: fixed identifiers and no date.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from models.training.network import Fitted

FOLDER: Final = "plots"
POINTS: Final = 200
"""Points of a curve: more are not seen, and a picture stays small."""
BINS: Final = 10

Bools = NDArray[np.bool_]
Scores = NDArray[np.float32]


def draw(folder: Path, fitted: Fitted, test: tuple[Bools, Scores, Scores], delays_s: Sequence[float]) -> list[str]:
    """Write the pictures of a shelf into ``folder/plots``; return their paths below the folder, with what they show.

    :param test: label, int8 score and float score of the test rows, each of shape ``(n,)``
    :param delays_s: from each detected fault's onset to its first alert, seconds
    """
    label, int8, float32 = test
    (folder / FOLDER).mkdir(parents=True, exist_ok=True)
    return [
        _save(folder, "precision_recall", _precision_recall(label, {"int8": int8, "float": float32})),
        _save(folder, "delay", _delay(delays_s)),
        _save(folder, "calibration", _calibration(label, int8)),
        _save(folder, "learning", _learning(fitted)),
    ]


def precision_recall(label: Bools, score: Scores) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return recall and precision at every distinct score, the highest first."""
    values, inverse = np.unique(-score, return_inverse=True)
    hits = np.cumsum(np.bincount(inverse, weights=label, minlength=len(values)))
    taken = np.cumsum(np.bincount(inverse, minlength=len(values)))
    recall = hits / max(int(label.sum()), 1)
    return np.asarray(recall, np.float64), np.asarray(hits / taken, np.float64)


def reliability(label: Bools, score: Scores) -> list[tuple[float, float, int]]:
    """Return mean score, share of positives and count of each tenth of the scores that holds any row."""
    tenth = np.minimum((score * BINS).astype(np.int64), BINS - 1)
    rows = [tenth == each for each in range(BINS)]
    return [(float(score[row].mean()), float(label[row].mean()), int(row.sum())) for row in rows if row.any()]


def _precision_recall(label: Bools, scores: dict[str, Scores]) -> Any:
    figure, axes = _figure("recall", "precision")
    for name, score in scores.items():
        recall, precision = precision_recall(label, score)
        chosen = np.unique(np.linspace(0, len(recall) - 1, POINTS).astype(np.int64))
        axes.plot(recall[chosen], precision[chosen], label=name)
    axes.axhline(float(label.mean()), linestyle=":", color="grey", label="always positive")
    axes.set(xlim=(0, 1), ylim=(0, 1.02))
    axes.legend()
    return figure


def _delay(delays_s: Sequence[float]) -> Any:
    figure, axes = _figure("minutes from onset to alert", "share of the detected faults")
    minutes = np.sort(np.asarray(delays_s, np.float64)) / 60.0
    if len(minutes):
        axes.step(minutes, np.arange(1, len(minutes) + 1) / len(minutes), where="post")
    axes.set(ylim=(0, 1.02))
    return figure


def _calibration(label: Bools, score: Scores) -> Any:
    figure, axes = _figure("score", "share of positive rows")
    found = reliability(label, score)
    axes.plot([0, 1], [0, 1], linestyle=":", color="grey")
    axes.plot([mean for mean, _, _ in found], [share for _, share, _ in found], marker="o")
    axes.set(xlim=(0, 1), ylim=(0, 1.02))
    return figure


def _learning(fitted: Fitted) -> Any:
    figure, axes = _figure("epoch", "average precision")
    epochs = np.arange(1, len(fitted.curves["loss"]) + 1)
    for name, curve in fitted.curves.items():
        axes.plot(epochs, curve, label=name, linestyle="--" if name == "loss" else "-")
    axes.axvline(fitted.epoch + 1, color="grey", linestyle=":", label="kept")
    axes.legend()
    return figure


def _figure(x: str, y: str) -> tuple[Any, Any]:
    from matplotlib.figure import Figure  # noqa: PLC0415  # an extra, wanted only when training

    figure = Figure(figsize=(4.2, 3.0), layout="tight")
    axes = figure.add_subplot()
    axes.set(xlabel=x, ylabel=y)
    axes.grid(visible=True, alpha=0.3)
    return figure, axes


def _save(folder: Path, name: str, figure: Any) -> str:
    from matplotlib import rc_context  # noqa: PLC0415  # likewise

    path = f"{FOLDER}/{name}.svg"
    with rc_context({"svg.hashsalt": "edgefleet", "svg.fonttype": "none"}):
        figure.savefig(folder / path, metadata={"Date": None, "Creator": None})
    return path
