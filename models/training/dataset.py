"""Windows of a simulated fleet, as serving cuts and measures them, with labels and everything the judge needs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gateway.features import FeatureSet
from gateway.frames import Frames, WindowSpec
from gateway.sensors import SensorFaults, Sensors
from gateway.windows import Windows
from models.training.simulate import Recording

FEED_HOPS = 3
"""Hops of samples that are fed at once; no result depends on it, and few are closed together the quickest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """``n`` windows of one recording, each device's in order of time."""

    recording: Recording
    device: NDArray[np.int64]
    end_s: NDArray[np.float64]
    trigger_s: NDArray[np.float64]
    covered: NDArray[np.bool_]
    warming: NDArray[np.bool_]
    broken: NDArray[np.bool_]
    """A sensor fault is seen: the device's model rules are suspended."""
    faults: tuple[SensorFaults, ...]
    """Sensor faults of each run of rows, in order; the runs' lengths are ``runs``."""
    runs: tuple[int, ...]
    features: NDArray[np.float32]
    """Shape ``(n, features)``; NaN where undefined."""
    label: NDArray[np.bool_]
    weight: NDArray[np.float32]
    """0: nobody could say, the row is not trained on and not counted."""

    @property
    def scored(self) -> NDArray[np.bool_]:
        """Rows that the gateway would score and judge."""
        return self.covered & ~self.warming

    @property
    def counted(self) -> NDArray[np.bool_]:
        """Rows that say something of a model: scored, sensors whole, and somebody could say."""
        return self.scored & ~self.broken & (self.weight > 0.0)


Labels = tuple[NDArray[np.bool_], NDArray[np.float32]]
Labeller = Callable[[Recording, WindowSpec, NDArray[np.int64], NDArray[np.float64]], Labels]
"""``labeller(recording, spec, device, end_s)`` returns label and weight of windows, shape ``(n,)``."""


def rows_of(recording: Recording, spec: WindowSpec, names: Sequence[str], labeller: Labeller) -> Rows:
    """Cut a recording into windows and compute their features with the gateway's own code."""
    features, sensors = FeatureSet(names, recording.domain, spec), Sensors(recording.domain, hop_s=spec.hop_s)
    faults, runs = [], []
    columns: dict[str, list[NDArray[Any]]] = {}
    for frame in _frames(recording, spec):
        faults.append(sensors.check(frame))
        runs.append(len(frame))
        row = {
            "device": frame.device,
            "end_s": frame.end_s,
            "trigger_s": frame.trigger_s,
            "covered": frame.coverage >= spec.min_coverage,
            "warming": frame.warming,
            "broken": _any(faults[-1], len(frame)),
            "features": features.compute(frame),
        }
        for name, column in row.items():
            columns.setdefault(name, []).append(column)
    whole: dict[str, Any] = {name: np.concatenate(parts) for name, parts in columns.items()}
    label, weight = labeller(recording, spec, whole["device"], whole["end_s"])
    return Rows(recording=recording, faults=tuple(faults), runs=tuple(runs), label=label, weight=weight, **whole)


def _frames(recording: Recording, spec: WindowSpec) -> Iterator[Frames]:
    """Feed the samples in the order in which they were sent, all devices together."""
    windows = Windows(recording.domain, spec)
    device = np.repeat(np.arange(len(recording.times)), [len(times) for times in recording.times])
    sent_s = np.concatenate(recording.sent_s)
    order = np.argsort(sent_s, kind="stable")
    times, values = np.concatenate(recording.times)[order], np.concatenate(recording.values)[order]
    device, sent_s = device[order], sent_s[order]
    cuts = np.searchsorted(sent_s, np.arange(recording.start_s, sent_s[-1], FEED_HOPS * spec.hop_s)[1:])
    for rows in np.split(np.arange(len(order)), cuts):
        windows.add(device[rows], times[rows], values[rows])
        yield from (frame for frame in windows.close() if len(frame))


def _any(faults: SensorFaults, count: int) -> NDArray[np.bool_]:
    flags: NDArray[np.bool_] = np.zeros(count, np.bool_)
    for raised in faults.flags.values():
        flags |= raised
    return flags


def fault_labels(settle_s: float, aftermaths_s: dict[str, float]) -> Labeller:
    """Label windows that lie in a fault.

    Nobody could say of the first ``settle_s`` after an onset, or of windows that reach into the time after a fault.
    """

    def label(recording: Recording, spec: WindowSpec, device: NDArray[np.int64], end_s: NDArray[np.float64]) -> Labels:
        labels, weights = np.zeros(len(device), np.bool_), np.ones(len(device), np.float32)
        place = {identity.device: index for index, identity in enumerate(recording.devices)}
        for truth in recording.truths:
            if truth.kind != "fault":
                continue
            mine = device == place[truth.device]
            over_s = truth.end_s - aftermaths_s.get(truth.fault, 0.0)
            touched = mine & (end_s > truth.onset_s) & (end_s - spec.length_s < truth.end_s)
            inside = mine & (end_s >= truth.onset_s + settle_s) & (end_s <= over_s)
            labels |= inside
            weights[touched & ~inside] = 0.0
        return labels, weights

    return label


def future_labels(channel: str, *, below: float, within_s: float, unsure_below: float) -> Labeller:
    """Label windows after which a channel's physical value falls below a bound within a time, or lies there now.

    Nobody could say of windows whose lowest value lies between the bound and ``unsure_below``.
    """

    def label(recording: Recording, _spec: WindowSpec, device: NDArray[np.int64], end_s: NDArray[np.float64]) -> Labels:
        at = recording.domain.channel_names.index(channel)
        period_s = recording.domain.period_s
        lowest = _lowest_ahead(recording.physical[:, :, at], round(within_s / period_s))
        # the last sample of a window is the one a period before its end
        step = np.round((end_s - recording.start_s) / period_s).astype(np.int64) - 1
        seen = lowest[device, np.clip(step, 0, lowest.shape[1] - 1)]
        known = step + round(within_s / period_s) < lowest.shape[1]
        labels = seen < below
        weights = np.where(labels | (known & (seen >= unsure_below)), 1.0, 0.0)
        return labels, weights.astype(np.float32)

    return label


def _lowest_ahead(values: NDArray[np.float32], steps: int) -> NDArray[np.float32]:
    """Return the least of each value and the ``steps`` after it, along the second axis."""
    padded = np.pad(values, ((0, 0), (0, steps)), constant_values=np.inf)
    views = np.lib.stride_tricks.sliding_window_view(padded, steps + 1, axis=1)
    lowest: NDArray[np.float32] = np.nanmin(views, axis=2)
    return lowest
