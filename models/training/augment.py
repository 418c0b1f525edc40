"""Recordings bent so that a model leans on no one channel, gain or rhythm: raw samples, before any window is cut.

A channel that is dropped is missing in every sample of its device, so its features are what serving gives for a sensor
that is not there. Labels stay what they were: they come of the physical values, and of times that bend with the rest.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from msgspec import structs
from numpy.typing import NDArray

from models.training.simulate import Recording

Doubles = NDArray[np.float64]
Bend = Callable[[Recording, np.random.Generator], Recording]


@dataclass(frozen=True, slots=True, kw_only=True)
class Augmentation:
    """Training fleets a second time, bent."""

    name: str
    """What is done, for the card: ``drop-out of channels``."""
    bend: Bend
    every: int = 2
    """Each so-manyth training fleet is taken again."""
    used: bool = True
    """Whether the shelf is trained with it; where not, the card's comparison says what it would change."""


def drop_channels(chance: float) -> Bend:
    """Take away each channel of each device with a chance, never all of them."""

    def bend(recording: Recording, rng: np.random.Generator) -> Recording:
        values = []
        for sent in recording.values:
            spared = np.arange(sent.shape[1]) == rng.integers(sent.shape[1])
            gone = (rng.random(sent.shape[1]) < chance) & ~spared
            values.append(np.where(gone, np.float32(np.nan), sent))
        return replace(recording, values=tuple(values))

    return bend


def jitter(strength: float) -> Bend:
    """Add white noise to every channel, in the device's own standard deviations."""

    def bend(recording: Recording, rng: np.random.Generator) -> Recording:
        return replace(recording, values=tuple(_noisy(sent, strength, rng) for sent in recording.values))

    return bend


def gain(spread: float, *channels: str) -> Bend:
    """Multiply channels of each device by a factor of its own, log-normal, and keep them in their range."""

    def bend(recording: Recording, rng: np.random.Generator) -> Recording:
        table = recording.domain.channels
        chosen = np.array([channel.name in channels for channel in table])
        high = np.array([channel.high for channel in table], np.float32)
        values = []
        for sent in recording.values:
            factor = np.where(chosen, np.exp(rng.normal(0.0, spread, len(table))), 1.0).astype(np.float32)
            values.append(np.where(chosen, np.minimum(sent * factor, high), sent))
        return replace(recording, values=tuple(values))

    return bend


def warp(strength: float) -> Bend:
    """Let time run faster and slower: by up to ``strength`` of its speed, back in step at both ends."""

    def bend(recording: Recording, rng: np.random.Generator) -> Recording:
        length_s = recording.end_s - recording.start_s
        turns = int(rng.integers(1, 4))
        swing_s = rng.uniform(0.3, 1.0) * strength * length_s / (2 * np.pi * turns) * rng.choice((-1.0, 1.0))

        def shown_at(times_s: Doubles) -> Doubles:
            """Return the time whose values are shown at each time; monotone as long as the strength is below 1."""
            shown: Doubles = times_s + swing_s * np.sin(2 * np.pi * turns * (times_s - recording.start_s) / length_s)
            return shown

        count: int = recording.physical.shape[1]
        steps: Doubles = np.asarray(recording.start_s + recording.domain.period_s * np.arange(count), np.float64)
        told = {field: np.array([getattr(one, field) for one in recording.truths]) for field in ("onset_s", "end_s")}
        back = {field: np.interp(times, shown_at(steps), steps) for field, times in told.items()}
        return replace(
            recording,
            values=tuple(
                sent[_nearest(times, shown_at(times))]
                for sent, times in zip(recording.values, recording.times, strict=True)
            ),
            physical=np.take(recording.physical, _nearest(steps, shown_at(steps)), axis=1),
            truths=tuple(
                structs.replace(one, onset_s=float(onset_s), end_s=float(end_s))
                for one, onset_s, end_s in zip(recording.truths, back["onset_s"], back["end_s"], strict=True)
            ),
        )

    return bend


def _noisy(sent: NDArray[np.float32], strength: float, rng: np.random.Generator) -> NDArray[np.float32]:
    known = ~np.isnan(sent)
    mean = np.where(known, sent, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    deviation = np.sqrt(np.where(known, np.square(sent - mean), 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1))
    noisy: NDArray[np.float32] = (sent + strength * deviation * rng.standard_normal(sent.shape)).astype(np.float32)
    return noisy


def _nearest(times_s: Doubles, wanted_s: Doubles) -> NDArray[np.int64]:
    """Return, for each wanted time, the row whose time is nearest; times may be in any order."""
    order = np.argsort(times_s, kind="stable")
    sorted_s = times_s[order]
    after = np.clip(np.searchsorted(sorted_s, wanted_s), 1, max(len(sorted_s) - 1, 1))
    nearer = wanted_s - sorted_s[after - 1] < sorted_s[np.minimum(after, len(sorted_s) - 1)] - wanted_s
    found: NDArray[np.int64] = order[np.where(nearer, after - 1, np.minimum(after, len(sorted_s) - 1))]
    return found
