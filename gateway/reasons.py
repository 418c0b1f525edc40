"""Why an alert fired: what moved most against the device's own baseline, in words."""

from __future__ import annotations

from typing import Final

import numpy as np

from contract.domains import Channel, Domain
from contract.messages import Reason
from gateway.frames import Doubles, Frames, Moments

LEAST_SAMPLES: Final = 2
"""Samples from which a baseline has a spread."""
LEAST_SIGMA: Final = 1e-3
"""Share of its mean that a baseline's spread counts at least: what stood still and moves has not moved infinitely."""


def why(domain: Domain, frames: Frames, window: int, *, most: int = 3) -> tuple[str, tuple[Reason, ...]]:
    """Return one sentence and the ``most`` channels of one window that are farthest from what is usual.

    Usual is the device's calibration where it has one, else its longest horizon, else its whole life.
    """
    values = frames.values[window].astype(np.float64)
    known = ~np.isnan(values)
    count = known.sum(axis=0)
    now = np.divide(np.where(known, values, 0.0).sum(axis=0), count, out=np.full(len(count), np.nan), where=count > 0)
    usual, spread = _baseline(frames, window)
    sigma = (now - usual) / np.fmax(spread, np.fmax(np.abs(usual) * LEAST_SIGMA, 1e-9))
    order = [int(i) for i in np.argsort(-np.abs(sigma), kind="stable") if np.isfinite(sigma[i])][:most]
    reasons = tuple(
        Reason(feature=domain.channels[i].name, value=float(now[i]), baseline=float(usual[i]), sigma=float(sigma[i]))
        for i in order
    )
    said = [_words(domain.channels[i], reason) for i, reason in zip(order, reasons, strict=True)]
    return ("; ".join(said) or "no baseline of this device to compare with", reasons)


def _baseline(frames: Frames, window: int) -> tuple[Doubles, Doubles]:
    """Return usual mean and standard deviation of each channel, NaN where nothing is known."""
    history = frames.history
    longest = [history.horizons[max(history.horizons)]] if history.horizons else []
    known: list[Moments] = [history.calibration, *longest, history.life]
    mean = np.full(frames.values.shape[2], np.nan)
    spread = mean.copy()
    for moments in known:
        use = np.isnan(mean) & (moments.count[window] >= LEAST_SAMPLES)
        mean, spread = np.where(use, moments.mean[window], mean), np.where(use, moments.std[window], spread)
    return mean, spread


def _words(channel: Channel, reason: Reason) -> str:
    unit = "" if channel.unit == "1" else f" {channel.unit}"
    return f"{channel.name} {_short(reason.value)}{unit}, usually {_short(reason.baseline)} ({reason.sigma:+.1f} σ)"  # noqa: RUF001


def _short(value: float) -> str:
    """Return a number as people write it: three significant digits, whole from 100 on."""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"
