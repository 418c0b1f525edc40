"""From a fitted net to numbers: scaling, the manifest's quantisation, and scores of both forms of the model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gateway.inference.manifest import Feature
from gateway.inference.runtime import interpreter

LEAST_SCALE: Final = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class Scaling:
    """Standardisation of features ``(n, f)``: robust, clipped, undefined ones at the mean."""

    mean: NDArray[np.float64]
    scale: NDArray[np.float64]
    clip: float

    def __call__(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return standardised features, as the net sees them."""
        standard = np.clip((features - self.mean) / self.scale, -self.clip, self.clip)
        return np.nan_to_num(standard, nan=0.0).astype(np.float32)

    def features(self, names: Sequence[str]) -> tuple[Feature, ...]:
        """Return the manifest's rows."""
        rows = zip(names, self.mean.tolist(), self.scale.tolist(), strict=True)
        return tuple(Feature(name=name, mean=mean, scale=scale) for name, mean, scale in rows)


def scaling(normal: NDArray[np.float32], clip: float) -> Scaling:
    """Return the scaling of features under normal operation: median, and the spread that holds nine tenths.

    Medians and percentiles, so that a few wild windows do not squeeze all others together.
    """
    low, middle, high = np.nanpercentile(normal.astype(np.float64), (5.0, 50.0, 95.0), axis=0)
    spread = (high - low) / 3.29
    # a feature that hardly moves in normal windows may still move in others: its size is the next best scale
    spread = np.where(spread > LEAST_SCALE, spread, np.maximum(np.nanstd(normal, axis=0), 0.0))
    mean, scale = _short(np.nan_to_num(middle)), _short(np.where(spread > LEAST_SCALE, spread, 1.0))
    return Scaling(mean=mean, scale=scale, clip=clip)


def _short(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return values to six digits: what a person can read in a manifest."""
    return np.array([float(f"{value:.6g}") for value in values])


def float_scores(model: bytes, standard: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the scores ``(n,)`` of the float model, of standardised features ``(n, f)``."""
    runner = interpreter(model)
    given, taken = runner.get_input_details()[0]["index"], runner.get_output_details()[0]["index"]
    runner.resize_tensor_input(given, standard.shape)
    runner.allocate_tensors()
    runner.set_tensor(given, standard)
    runner.invoke()
    scores: NDArray[np.float32] = runner.get_tensor(taken).reshape(-1)
    return scores
