"""Has the world moved away from what a model was trained on? Population stability index, with a verdict in words. Pure.

A shelf's reference says how each input and the score were spread in training, and how far the oddest single training
fleet lay from all of them together: site, season and weather make that much, and it is not held against the present;
nor is what few devices make by chance, which is told from how far they differ among themselves. With the logarithmic
mean ``L = (now - then) / ln(now / then)`` the index is ``sum((now - then)^2 / L)``; of shares that are means over
devices, chance gives ``sum(variance / devices / L)`` (the idea of Rao and Scott, *Annals of Statistics* 12, 1984).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from contract.stability import LEAST_SHARE, stability_index

Verdict = Literal["steady", "moving", "moved", "unknown"]

FEWEST: Final = 100
"""Windows from which an index says something."""
FEWEST_DEVICES: Final = 5
"""Devices from which it can be told how far they differ among themselves."""
FEW_INPUTS: Final = 10
"""One input in so many may be wide of the mark by chance, before the model counts as moved."""
MOVING: Final = 0.10
MOVED: Final = 0.25
WORDS: Final[dict[Verdict, str]] = {
    "steady": "as in training",
    "moving": "somewhat different from training; watch it",
    "moved": "no longer what the model was trained on",
    "unknown": "too little has come in to tell",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Bins:
    """How one quantity was spread in training."""

    edges: NDArray[np.float32]
    """Upper edges of all bins but the last, rising."""
    shares: Sequence[float]
    """Share of training's windows in each bin, one more than edges."""
    usual: float
    """Index of the oddest training fleet against all of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """How far one quantity has moved."""

    name: str
    index: float
    """Population stability index; NaN where it is unknown."""
    usual: float
    """Index that is not held against the present: the oddest training fleet's and that of few devices by chance."""
    verdict: Verdict

    @property
    def beyond(self) -> float:
        """How far the index lies beyond what is usual; NaN where it is unknown."""
        return self.index - self.usual


def drift(name: str, then: Bins, now: NDArray[np.float32], device: NDArray[np.int64]) -> Drift:
    """Compare recent values, shape ``(n,)``, each of a device with that number, with training's; NaN is passed over.

    Every device counts alike, however many windows it has.
    """
    defined = ~np.isnan(now)
    now, (known, device) = now[defined], np.unique(device[defined], return_inverse=True)
    if len(now) < FEWEST or len(known) < FEWEST_DEVICES:
        return Drift(name=name, index=np.nan, usual=np.nan, verdict="unknown")
    counts = np.zeros((len(known), len(then.shares)))
    np.add.at(counts, (device, np.searchsorted(then.edges, now, side="left")), 1.0)
    each = counts / counts.sum(axis=1, keepdims=True)
    index = stability_index(then.shares, each.mean(axis=0).tolist())
    usual = then.usual + _by_chance(np.array(then.shares), each)
    return Drift(name=name, index=index, usual=usual, verdict=_verdict(index - usual))


def overall(drifts: Sequence[Drift]) -> Verdict:
    """Return the verdict over several quantities: what one in :data:`FEW_INPUTS` of those that are known reaches."""
    order: tuple[Verdict, ...] = ("moved", "moving", "steady")
    known = sorted((one.verdict for one in drifts if one.verdict != "unknown"), key=order.index)
    return known[max(len(known) // FEW_INPUTS, 1) - 1] if known else "unknown"


def _by_chance(then: NDArray[np.float64], each: NDArray[np.float64]) -> float:
    """Return the index by chance of the devices' shares, shape ``(devices, bins)``."""
    before, after = np.maximum(then, LEAST_SHARE), np.maximum(each.mean(axis=0), LEAST_SHARE)
    logs = np.log(after / before)
    same = np.abs(logs) < 1e-6
    mean = np.where(same, before, (after - before) / np.where(same, 1.0, logs))
    return float(np.sum(each.var(axis=0, ddof=1) / len(each) / mean))


def _verdict(beyond: float) -> Verdict:
    if beyond >= MOVED:
        return "moved"
    return "moving" if beyond >= MOVING else "steady"
