"""What a model's inputs and scores looked like in training, in ten bins each: what drift is told from later."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from contract.points import SCORE
from contract.stability import stability_index
from gateway.inference.litert import LiteRtScorer
from gateway.inference.manifest import Bins, Manifest, Reference
from models.training.dataset import Rows

DECILES: Final = np.linspace(0.1, 0.9, 9)


def reference(manifest: Manifest, int8_model: bytes, fleets: Sequence[Rows]) -> Reference:
    """Return the reference of a model: the windows of fleets that the gateway would score and judge."""
    kept = [fleet.scored & ~fleet.broken for fleet in fleets]
    features = [fleet.features[keep] for fleet, keep in zip(fleets, kept, strict=True)]
    scorer = LiteRtScorer(int8_model, manifest)
    spread = {SCORE: bins([scorer.score(rows) for rows in features])}
    for column, name in enumerate(manifest.feature_names):
        spread[name] = bins([rows[:, column] for rows in features])
    return Reference(
        windows=sum(map(len, features)),
        devices=sum(len(np.unique(fleet.device[keep])) for fleet, keep in zip(fleets, kept, strict=True)),
        bins=spread,
    )


def bins(fleets: Sequence[NDArray[np.float32]]) -> Bins:
    """Return how the values of fleets, each ``(n,)``, are spread together; undefined ones (NaN) are passed over.

    Edges are the deciles that differ, so values that repeat make fewer bins.
    """
    defined = [values for fleet in fleets if len(values := fleet[~np.isnan(fleet)])]
    together = np.concatenate(defined) if defined else np.empty(0, np.float32)
    if len(together) == 0:
        return Bins(edges=(), shares=(1.0,), usual=0.0)
    edges = np.unique(np.quantile(together, DECILES, method="inverted_cdf"))
    shares = _shares(together, edges)
    return Bins(
        edges=tuple(float(str(edge)) for edge in edges),  # the shortest text that is this float32 again
        shares=tuple(shares),
        usual=_short(max(stability_index(shares, _shares(values, edges)) for values in defined)),
    )


def _shares(values: NDArray[np.float32], edges: NDArray[np.float32]) -> list[float]:
    counts = np.bincount(np.searchsorted(edges, values, side="left"), minlength=len(edges) + 1)
    return [_short(share) for share in (counts / len(values)).tolist()]


def _short(value: float) -> float:
    return round(value, 6)
