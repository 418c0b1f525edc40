"""Golden vectors: a few devices' raw samples, and what must come of them."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from gateway.inference import micro
from gateway.inference.litert import BatchedModel, Quantiser
from gateway.inference.manifest import Manifest
from gateway.inference.shelf import Vectors, golden_features
from models.training.dataset import Rows

WINDOWS: Final = 24
"""Golden windows of each golden device, spread over its scored life."""
RANDOM: Final = 4096
"""Random int8 inputs beside the golden ones when parity is measured: corners that no simulated window reaches."""


def vectors(manifest: Manifest, model: bytes, rows: Rows) -> Vectors:
    """Return golden vectors from one recording."""
    chosen = _devices(rows)
    recording = rows.recording
    device = np.repeat(np.arange(len(chosen)), [len(recording.times[index]) for index in chosen])
    sent_s = np.concatenate([recording.sent_s[index] for index in chosen])
    order = np.argsort(sent_s, kind="stable")
    blank = Vectors(
        sample_device=device[order],
        sample_s=np.concatenate([recording.times[index] for index in chosen])[order],
        sample_values=np.concatenate([recording.values[index] for index in chosen])[order],
        device=np.empty(0, np.int64),
        end_s=np.empty(0),
        features=np.empty((0, len(manifest.features)), np.float32),
        inputs=np.empty((0, len(manifest.features)), np.int8),
        outputs=np.empty(0, np.int8),
    )
    found = golden_features(manifest, blank, recording.domain)
    keys = [key for place, index in enumerate(chosen) for key in _windows(rows, index, place) if key in found]
    features = np.stack([found[key] for key in keys])
    inputs = Quantiser(manifest)(features)
    return Vectors(
        sample_device=blank.sample_device,
        sample_s=blank.sample_s,
        sample_values=blank.sample_values,
        device=np.array([key[0] for key in keys]),
        end_s=np.array([key[1] for key in keys]),
        features=features,
        inputs=inputs,
        outputs=BatchedModel(model).run(inputs),
    )


def parity_quanta(model: bytes, golden: Vectors) -> int:
    """Return the largest difference between TFLite Micro and LiteRT, over golden and random inputs."""
    rng = np.random.default_rng(0)
    noise = rng.integers(-128, 128, (RANDOM, golden.inputs.shape[1])).astype(np.int8)
    inputs: NDArray[np.int8] = np.concatenate([golden.inputs, noise])
    here, there = BatchedModel(model).run(inputs), micro.run(model, inputs)
    return int(np.abs(here.astype(np.int16) - there).max())


def _devices(rows: Rows) -> list[int]:
    """Return a device with a fault, one with look-alikes only and one without an event, where the fleet has them."""
    names = [device.device for device in rows.recording.devices]
    met = [{truth.kind for truth in rows.recording.truths if truth.device == name} for name in names]
    wanted = (lambda kinds: "fault" in kinds, lambda kinds: kinds == {"look_alike"}, lambda kinds: not kinds)
    first = [next((index for index, kinds in enumerate(met) if want(kinds)), None) for want in wanted]
    return [index for index in first if index is not None]


def _windows(rows: Rows, index: int, place: int) -> list[tuple[int, float]]:
    ends = rows.end_s[(rows.device == index) & rows.scored]
    picked = ends[np.unique(np.linspace(0, len(ends) - 1, WINDOWS).astype(np.int64))] if len(ends) else ends
    return [(place, float(end_s)) for end_s in picked]
