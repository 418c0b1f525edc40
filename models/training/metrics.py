"""How good scores are, row by row: ranking and thresholded metrics, written out."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Bools = NDArray[np.bool_]
Scores = NDArray[np.float32]


def auc(label: Bools, score: Scores) -> float:
    """Return the area under the ROC curve: the chance that a positive row outranks a negative one; ties count half.

    0.5 where there are no rows of one kind, since nothing is ranked.
    """
    positives = int(label.sum())
    negatives = len(label) - positives
    if not positives or not negatives:
        return 0.5
    _, inverse, counts = np.unique(score, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2.0)[inverse]
    return float((ranks[label].sum() - positives * (positives + 1) / 2.0) / (positives * negatives))


def average_precision(label: Bools, score: Scores) -> float:
    """Return the mean precision over the positives, in falling order of score; tied rows enter together."""
    positives = int(label.sum())
    if not positives:
        return 0.0
    values, inverse = np.unique(-score, return_inverse=True)
    hits = np.bincount(inverse, weights=label, minlength=len(values))
    taken = np.cumsum(np.bincount(inverse, minlength=len(values)))
    precision = np.cumsum(hits) / taken
    return float((precision * hits).sum() / positives)


def f1(label: Bools, raised: Bools) -> float:
    """Return the harmonic mean of precision and recall; 0 where nothing was raised rightly."""
    both = int((label & raised).sum())
    return 2.0 * both / max(int(label.sum()) + int(raised.sum()), 1)


def rates(label: Bools, raised: Bools) -> tuple[float, float]:
    """Return recall and false-alarm rate of rows."""
    positives, negatives = max(int(label.sum()), 1), max(int((~label).sum()), 1)
    return float((label & raised).sum() / positives), float((~label & raised).sum() / negatives)
