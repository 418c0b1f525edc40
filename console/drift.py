"""Has the world moved away from what a model was trained on? Population stability index, with a verdict in words. Pure.

The index compares shares of rows in the bins that hold equal shares of the reference:
``sum((now - then) * ln(now / then))``. Below 0.1 nothing moved, beyond 0.25 something did (Siddiqi, *Credit Risk
Scorecards*, 2006). Few devices give a large index by chance alone, about ``(bins - 1) * (1/n + 1/m)``, for the windows
of one device resemble each other and count as one; this much is not held against the model, nor called steady.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

Verdict = Literal["steady", "moving", "moved", "unknown"]

BINS: Final = 5
FEWEST: Final = 30
"""Rows, then and now, from which an index says something."""
LEAST_SHARE: Final = 1e-3
"""Share that an empty bin counts as."""
MOVING: Final = 0.10
MOVED: Final = 0.25
WORDS: Final[dict[Verdict, str]] = {
    "steady": "as in training",
    "moving": "somewhat different from training; watch it",
    "moved": "no longer what the model was trained on",
    "unknown": "too few devices to tell",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """How far one quantity has moved."""

    name: str
    index: float
    """Population stability index; NaN where it is unknown."""
    by_chance: float
    """Index that so few devices give even if nothing moved."""
    verdict: Verdict

    @property
    def words(self) -> str:
        """The verdict, for people."""
        return WORDS[self.verdict]


def drift(name: str, then: NDArray[np.floating], now: NDArray[np.floating], *, devices: tuple[int, int]) -> Drift:
    """Compare rows of one quantity, each of shape ``(n,)``, of so many devices then and now; NaN is passed over."""
    then, now = then[~np.isnan(then)], now[~np.isnan(now)]
    if min(len(then), len(now)) < FEWEST or min(devices) < 1:
        return Drift(name=name, index=np.nan, by_chance=np.nan, verdict="unknown")
    edges = np.unique(np.quantile(then, np.linspace(0, 1, BINS + 1)[1:-1]))
    before, after = _shares(then, edges), _shares(now, edges)
    index = float(np.sum((after - before) * np.log(after / before)))
    by_chance = len(edges) * (1 / devices[0] + 1 / devices[1])
    return Drift(name=name, index=index, by_chance=by_chance, verdict=_verdict(index, by_chance))


def worst(drifts: list[Drift]) -> Verdict:
    """Return the verdict over several quantities: that of the one that moved most."""
    order: tuple[Verdict, ...] = ("steady", "unknown", "moving", "moved")
    return max((one.verdict for one in drifts), key=order.index, default="unknown")


def _shares(values: NDArray[np.floating], edges: NDArray[np.floating]) -> NDArray[np.float64]:
    counts = np.bincount(np.searchsorted(edges, values, side="right"), minlength=len(edges) + 1)
    shares = np.maximum(counts / len(values), LEAST_SHARE)
    return np.asarray(shares / shares.sum(), np.float64)


def _verdict(index: float, by_chance: float) -> Verdict:
    if index < MOVING:
        return "steady"
    if index - by_chance >= MOVED:
        return "moved"
    if by_chance >= MOVING:
        return "unknown"
    return "moving" if index - by_chance >= MOVING else "steady"
