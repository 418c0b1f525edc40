"""A shelf over recorded samples, by the gateway's own windows, features and scorer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from contract.domains import DOMAINS
from gateway.features import FeatureSet
from gateway.frames import Frames, WindowSpec
from gateway.inference.manifest import FLOAT_MODEL
from gateway.inference.shelf import Shelf
from gateway.windows import Windows
from models.training.quantised import Scaling, float_scores

FEED_HOPS: Final = 3
"""Hops of samples that are fed at once: no result depends on it, and few are closed together the quickest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Samples:
    """What ``d`` devices reported, ``m`` samples in any order."""

    device: NDArray[np.int64]
    """Shape ``(m,)``, 0 … d - 1."""
    time_s: NDArray[np.float64]
    """Unix seconds, shape ``(m,)``."""
    values: NDArray[np.float32]
    """Shape ``(m, channels)``, NaN where missing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """``n`` windows that the gateway would score, each device's in order of time."""

    device: NDArray[np.int64]
    end_s: NDArray[np.float64]
    features: NDArray[np.float32]
    int8: NDArray[np.float32]
    """Scores of the shipped model."""
    float32: NDArray[np.float32]
    """Scores of the float model."""


Wanted = Callable[[Frames], NDArray[np.bool_]]
"""``wanted(frames)``: which windows are asked for, shape ``(n,)``; the others are not computed."""


def score(shelf: Shelf, spec: WindowSpec, samples: Samples, wanted: Wanted | None = None) -> Scored:
    """Return the scores of a shelf over samples, every window knowing only what came before its end."""
    device, end_s, features = windows(shelf.manifest.domain, spec, shelf.manifest.feature_names, samples, wanted)
    return Scored(
        device=device,
        end_s=end_s,
        features=features,
        int8=shelf.scorer().score(features),
        float32=float_scores((shelf.folder / FLOAT_MODEL).read_bytes(), scaling_of(shelf)(features)),
    )


def windows(
    domain: str, spec: WindowSpec, names: Sequence[str], samples: Samples, wanted: Wanted | None = None
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float32]]:
    """Return device, end and features of every window that the gateway would score."""
    table, cutter = DOMAINS[domain], Windows(DOMAINS[domain], spec)
    feature_set = FeatureSet(names, table, spec)
    order = np.lexsort((samples.device, samples.time_s))
    hop = np.floor(samples.time_s[order] / (FEED_HOPS * spec.hop_s))
    device, end_s, features = [np.empty(0, np.int64)], [np.empty(0)], [np.empty((0, len(names)), np.float32)]
    for rows in np.split(order, np.flatnonzero(np.diff(hop)) + 1):
        cutter.add(samples.device[rows], samples.time_s[rows], samples.values[rows])
        for frames in cutter.close():
            kept = (frames.coverage >= spec.min_coverage) & ~frames.warming
            if wanted is not None:
                kept &= wanted(frames)
            if kept.any():
                device.append(frames.device[kept])
                end_s.append(frames.end_s[kept])
                features.append(feature_set.compute(frames)[kept])
    found = np.concatenate(device), np.concatenate(end_s)
    by_device = np.lexsort((found[1], found[0]))
    return found[0][by_device], found[1][by_device], np.concatenate(features)[by_device]


def scaling_of(shelf: Shelf) -> Scaling:
    """Return the standardisation that a shelf's manifest states."""
    stated = shelf.manifest
    return Scaling(
        mean=np.array([feature.mean for feature in stated.features]),
        scale=np.array([feature.scale for feature in stated.features]),
        clip=stated.clip,
    )
