"""The runner: features in, scores out, all windows that are ready in one call.

Standardising, clipping and quantising are one multiply-add a feature. The input is resized to the number of windows at
hand: that costs 3 to 7 µs, less than padding a batch to a round size would.
"""

from __future__ import annotations

from time import perf_counter
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gateway.inference.manifest import Manifest
from gateway.inference.runtime import Kernels, interpreter

MAX_BATCH: Final = 1024
"""Windows in one invocation, so that memory stays bounded whatever is ready at once."""


class LiteRtScorer:
    """A :class:`gateway.ports.Scorer` on LiteRT."""

    def __init__(self, content: bytes, manifest: Manifest, *, kernels: Kernels = "reference") -> None:
        """Prepare a checked model."""
        self.feature_names = manifest.feature_names
        self.inference_s = 0.0
        """Time spent in :meth:`score` so far, seconds."""
        self._quantise = Quantiser(manifest)
        self._model = BatchedModel(content, kernels)
        self._scale, self._zero_point = np.float32(manifest.output.scale), np.float32(manifest.output.zero_point)

    def score(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return scores 0…1, shape ``(n,)``, of features ``(n, features)``; a missing feature (NaN) counts as usual."""
        started_s = perf_counter()
        quanta = self._model.run(self._quantise(features))
        scores: NDArray[np.float32] = (quanta.astype(np.float32) - self._zero_point) * self._scale
        self.inference_s += perf_counter() - started_s
        return scores


class Quantiser:
    """Features ``(n, f)`` float32 to the model's int8 inputs; NaN becomes the training mean."""

    def __init__(self, manifest: Manifest) -> None:
        """Fold standardisation and quantisation into one factor and one offset a feature."""
        mean = np.array([feature.mean for feature in manifest.features])
        scale = np.array([feature.scale for feature in manifest.features])
        quantum, zero_point = manifest.input.scale, manifest.input.zero_point
        self._mean = mean.astype(np.float32)
        self._factor = (1.0 / (scale * quantum)).astype(np.float32)
        self._zero_point = np.float32(zero_point)
        reach = manifest.clip / quantum
        self._low = np.float32(max(-128, round(zero_point - reach)))
        self._high = np.float32(min(127, round(zero_point + reach)))

    def __call__(self, features: NDArray[np.float32]) -> NDArray[np.int8]:
        """Return the int8 inputs, shape ``(n, f)``."""
        # the mean goes first: a large value times a large factor minus a large offset would lose the small difference
        standard = (features - self._mean) * self._factor
        np.nan_to_num(standard, copy=False, nan=0.0)
        quanta = np.clip(np.rint(standard + self._zero_point), self._low, self._high)
        inputs: NDArray[np.int8] = quanta.astype(np.int8)
        return inputs


class BatchedModel:
    """An int8 model of one input row and one output, run on many rows at once."""

    def __init__(self, content: bytes, kernels: Kernels = "reference") -> None:
        """Prepare the interpreter for one row."""
        self._interpreter: Any = interpreter(content, kernels=kernels)
        self._input: int = self._interpreter.get_input_details()[0]["index"]
        self._output: int = self._interpreter.get_output_details()[0]["index"]
        self._width = int(self._interpreter.get_input_details()[0]["shape"][1])
        self._rows = 0

    def run(self, inputs: NDArray[np.int8]) -> NDArray[np.int8]:
        """Return the outputs ``(n,)`` of int8 inputs ``(n, f)``."""
        parts = [self._invoke(inputs[start : start + MAX_BATCH]) for start in range(0, len(inputs), MAX_BATCH)]
        return np.concatenate(parts) if parts else np.empty(0, np.int8)

    def _invoke(self, inputs: NDArray[np.int8]) -> NDArray[np.int8]:
        if len(inputs) != self._rows:
            self._interpreter.resize_tensor_input(self._input, (len(inputs), self._width))
            self._interpreter.allocate_tensors()
            self._rows = len(inputs)
        self._interpreter.set_tensor(self._input, inputs)
        self._interpreter.invoke()
        outputs: NDArray[np.int8] = self._interpreter.get_tensor(self._output).reshape(-1)
        return outputs
