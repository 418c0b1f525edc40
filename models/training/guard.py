"""What training must not know: the guard against leaks, run before every fit.

=====================  =====================================================================================
leak                   how it is found
=====================  =====================================================================================
future values          features are computed again with everything after a time changed: none before may move
shuffled split         parts may share no device, and lie an embargo apart in time
label in a feature     no feature may tell the label all by itself
time since start       no feature may rise or fall with a device's age on nearly every device
=====================  =====================================================================================
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from models.training.metrics import auc

TELLS_ALL: Final = 0.999
"""AUC of a single feature from which on it can only be the label in disguise."""
IS_A_CLOCK: Final = 0.995
"""Median rank correlation with a device's age from which on a feature is a clock. Means over a life come near 0.9."""
LEAST_ROWS: Final = 30
"""Rows of either label, or of a device, below which nothing is concluded."""


class LeakError(Exception):
    """Training would see what it is tested on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """Where each row of a part comes from, shape ``(n,)``."""

    device: NDArray[np.str_]
    """Site and device."""
    end_s: NDArray[np.float64]
    """End of the row's window, Unix seconds."""


def check_disjoint(train: Keys, held_out: Keys, *, window_s: float, embargo_s: float) -> None:
    """Refuse two parts that share a device, or whose windows lie closer in time than the embargo.

    :param window_s: length of a window, seconds: rows that share a sample overlap
    :param embargo_s: least time between the windows of the two parts, seconds; one window is the rule
    :raises LeakError: they do; names the device or the times
    """
    shared = np.intersect1d(train.device, held_out.device)
    if len(shared):
        raise LeakError(f"{len(shared)} devices are trained on and held out, {shared[0]} among them")
    earlier, later = sorted((train.end_s, held_out.end_s), key=lambda ends: float(ends.min()))
    gap_s = float(later.min()) - window_s - float(earlier.max())
    if gap_s < embargo_s:
        raise LeakError(f"the parts lie {gap_s:.0f} s apart in time, less than the embargo of {embargo_s:.0f} s")


def check_before(rows: Keys, until_s: float) -> None:
    """Refuse rows that end after a time: from an embargo later on, others are scored.

    :raises LeakError: one does
    """
    late = int((rows.end_s > until_s).sum())
    if late:
        raise LeakError(f"{late} rows end after {until_s:.0f} s: they lie in what is scored, or in the embargo before")


def split_by_time(
    end_s: NDArray[np.float64], at_s: float, *, window_s: float, embargo_s: float
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return masks of the rows before and after a time, those in between left out of both.

    The rows before end at ``at_s`` at the latest; the windows after begin one embargo later.
    """
    return end_s <= at_s, end_s - window_s >= at_s + embargo_s


def check_causal(
    features: Callable[[NDArray[np.float32]], tuple[NDArray[np.float64], NDArray[np.float32]]],
    time_s: NDArray[np.float64],
    values: NDArray[np.float32],
    at_s: float,
) -> None:
    """Refuse features that change when only later samples do.

    :param features: ``features(values)`` returns ends ``(n,)`` and features ``(n, f)`` of windows, in the same order
    :param time_s: times of the samples, shape ``(m,)``
    :param values: shape ``(m, channels)``
    :param at_s: samples from here on are changed; windows that end here or before must not notice, Unix seconds
    :raises LeakError: they do; names the columns
    """
    ends_s, before = features(values)
    spoilt = values.copy()
    later = time_s >= at_s
    spoilt[later] = spoilt[later][::-1] * np.float32(1.5) + np.float32(1.0)
    _, after = features(spoilt)
    past = ends_s <= at_s
    same = (before[past] == after[past]) | (np.isnan(before[past]) & np.isnan(after[past]))
    moved = np.flatnonzero(~same.all(axis=0))
    if len(moved):
        raise LeakError(f"features {moved.tolist()} know what comes after the window's end")


def check_no_label(features: NDArray[np.float32], label: NDArray[np.bool_], names: Sequence[str]) -> None:
    """Refuse features ``(n, f)`` one of which ranks the label ``(n,)`` all but perfectly by itself.

    :raises LeakError: one does; names it
    """
    if min(int(label.sum()), int((~label).sum())) < LEAST_ROWS:
        return
    for column, name in enumerate(names):
        known = ~np.isnan(features[:, column])
        area = auc(label[known], features[known, column])
        if max(area, 1.0 - area) >= TELLS_ALL:
            raise LeakError(f"{name} alone tells the label (AUC {max(area, 1.0 - area):.4f}): it is made of it")


def check_no_clock(
    features: NDArray[np.float32], device: NDArray[np.int64], end_s: NDArray[np.float64], names: Sequence[str]
) -> None:
    """Refuse features ``(n, f)`` that tell how long ago a device began.

    :raises LeakError: one does; names it
    """
    groups = [np.flatnonzero(device == each) for each in np.unique(device)]
    for column, name in enumerate(names):
        found = [
            abs(_rank_correlation(end_s[rows], features[rows, column])) for rows in groups if len(rows) >= LEAST_ROWS
        ]
        if found and float(np.median(found)) >= IS_A_CLOCK:
            raise LeakError(f"{name} is a clock: it goes with the time since a device's start")


def _rank_correlation(one: NDArray[np.float64], other: NDArray[np.float32]) -> float:
    """Return Spearman's correlation; ties share a rank, 0 where one of the two does not move or is undefined."""
    known = ~np.isnan(other)
    if known.sum() < LEAST_ROWS:
        return 0.0
    ranks = [_ranks(one[known]), _ranks(other[known].astype(np.float64))]
    if min(float(rank.std()) for rank in ranks) < 1e-9:
        return 0.0
    return float(np.corrcoef(ranks[0], ranks[1])[0, 1])


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks: NDArray[np.float64] = (np.cumsum(counts) - (counts - 1) / 2.0)[inverse]
    return ranks
