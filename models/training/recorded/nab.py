"""The Numenta Anomaly Benchmark: standard profile, one frozen threshold for all files, as its scorer counts.

A detection in a labelled window earns more the earlier it comes; one outside costs 0.11 of a weight, a missed window a
whole one. The first 15 % of a file (750 rows at most) are probation. 0 is a detector that says nothing, 100 a perfect
one (Lavin and Ahmad 2015).
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import erfc, exp
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from models.training.recorded import Folder

LABELS: Final = "nab/labels/combined_windows_subset.json"
FALSE_WEIGHT: Final = 0.11
PROBATION: Final = 0.15
PROBATION_OF: Final = 5000
"""Rows beyond these do not lengthen the probation."""

Doubles = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One file."""

    name: str
    times_s: Doubles
    level: Doubles
    windows: tuple[tuple[int, int], ...]
    """First and last row of each labelled window."""

    @property
    def probation(self) -> int:
        """Rows that are not scored."""
        return int(min(PROBATION * len(self.level), PROBATION * PROBATION_OF))


def series(folder: Folder) -> list[Series]:
    """Read the files that have labels."""
    labels: Mapping[str, Sequence[tuple[str, str]]] = json.loads(folder.read(LABELS))
    return [_series(folder, name, windows) for name, windows in labels.items()]


def _series(folder: Folder, name: str, windows: Sequence[tuple[str, str]]) -> Series:
    table = pd.read_csv(io.BytesIO(folder.read(f"nab/data/{name}")))
    stamps = pd.to_datetime(table["timestamp"])
    bounds = []
    for first, last in windows:
        inside = np.flatnonzero(((stamps >= pd.Timestamp(first)) & (stamps <= pd.Timestamp(last))).to_numpy())
        bounds.append((int(inside[0]), int(inside[-1])))
    return Series(
        name=name,
        times_s=np.asarray((stamps - pd.Timestamp(0)) / pd.Timedelta(seconds=1), np.float64),
        level=table["value"].to_numpy(np.float64),
        windows=tuple(bounds),
    )


def score(files: Sequence[Series], raised: Sequence[Flags]) -> float:
    """Return the pooled score, 0 … 100, of detections (one flag a row of each file)."""
    raw = sum(_raw(one, flags) for one, flags in zip(files, raised, strict=True))
    count = sum(len(one.windows) for one in files)
    return 100.0 * (raw + count) / (2.0 * count)


def _raw(one: Series, raised: Flags) -> float:
    """Return the sum of rewards and costs of one file; every window missed is -1."""
    rows = np.flatnonzero(raised)
    rows = rows[rows >= one.probation]
    total = 0.0
    for first, last in one.windows:
        inside = rows[(rows >= first) & (rows <= last)]
        total += _sigmoid(-(last - inside[0] + 1) / (last - first + 1)) / _sigmoid(-1.0) if len(inside) else -1.0
    for row in rows.tolist():
        if not any(first <= row <= last for first, last in one.windows):
            total += FALSE_WEIGHT * _after(one, row)
    return total


def _after(one: Series, row: int) -> float:
    """Return the cost of a false detection: little soon after a window, -1 far from one."""
    past = [(first, last) for first, last in one.windows if last < row]
    if not past:
        return -1.0
    first, last = past[-1]
    return _sigmoid((row - last) / max(last - first, 1))


def _sigmoid(position: float) -> float:
    return -1.0 if position > 3.0 else 2.0 / (1.0 + exp(5.0 * position)) - 1.0


def random_score(files: Sequence[Series], repeats: int = 20) -> float:
    """Return what a row's uniform random number reaches, at the threshold that suits it best."""
    rng = np.random.default_rng(0)
    runs = [[rng.random(len(one.level)) for one in files] for _ in range(repeats)]
    bounds = 1.0 - np.geomspace(1e-5, 0.3, 40)
    return max(float(np.mean([score(files, [values >= bound for values in run]) for run in runs])) for bound in bounds)


def windowed_gaussian(files: Sequence[Series]) -> float:
    """Return what the tail probability of a Gaussian over the past 6400 rows reaches, at its best threshold."""
    tails = [_tail(one.level) for one in files]
    return max(score(files, [tail >= bound for tail in tails]) for bound in 1.0 - np.geomspace(1e-14, 0.1, 60))


def _tail(values: Doubles, window: int = 6400, step: int = 10) -> Doubles:
    """Return ``1 - Q(|z|)`` of each value against the newest Gaussian of a window that moves in steps."""
    found, mean, std = np.zeros(len(values)), 0.0, 1.0
    for row, value in enumerate(values.tolist()):
        if row > step and row % step == 0:
            past = values[max(0, row - window) : row]
            mean, std = float(past.mean()), max(float(past.std()), 1e-6)
        found[row] = 1.0 - 0.5 * erfc(abs(value - mean) / std * 0.5**0.5)
    return found
