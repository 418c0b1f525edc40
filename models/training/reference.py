"""What a model's inputs and scores looked like in training, in ten bins each: what drift is told from later."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from contract.points import SCORE
from gateway.inference.litert import LiteRtScorer
from gateway.inference.manifest import Bins, Manifest, Reference
from models.training.dataset import Rows

DECILES: Final = np.linspace(0.1, 0.9, 9)


def reference(manifest: Manifest, int8_model: bytes, fleets: Sequence[Rows]) -> Reference:
    """Return the reference of a model: the windows of its training fleets that the gateway would score and judge."""
    kept = [fleet.scored & ~fleet.broken for fleet in fleets]
    features = np.concatenate([fleet.features[keep] for fleet, keep in zip(fleets, kept, strict=True)])
    named = zip(manifest.feature_names, features.T, strict=True)
    return Reference(
        windows=len(features),
        devices=sum(len(np.unique(fleet.device[keep])) for fleet, keep in zip(fleets, kept, strict=True)),
        bins={SCORE: bins(LiteRtScorer(int8_model, manifest).score(features))}
        | {name: bins(values) for name, values in named},
    )


def bins(values: NDArray[np.float32]) -> Bins:
    """Return how values ``(n,)`` are spread, undefined ones (NaN) passed over.

    Edges are the deciles that differ; where many values are equal, two bins are as little as there may be, or one.
    """
    defined = np.sort(values[~np.isnan(values)])
    if len(defined) == 0:
        return Bins(edges=(), shares=(1.0,))
    edges = np.unique(np.quantile(defined, DECILES, method="inverted_cdf"))
    upto = np.searchsorted(defined, edges, side="right") / len(defined)
    shares = np.diff(upto, prepend=0.0, append=1.0)
    # the shortest text that is this float32 again
    return Bins(edges=tuple(float(str(edge)) for edge in edges), shares=tuple(round(float(s), 6) for s in shares))
