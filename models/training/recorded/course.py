"""A recorded series as one device, through the gateway's own windows and features and the shelf's own net."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from contract.domains import DOMAINS
from contract.topics import DeviceId
from gateway.alerts import Judge, Rule
from gateway.alerts import Windows as JudgedWindows
from gateway.features import FeatureSet
from gateway.inference.manifest import FLOAT_MODEL
from gateway.inference.shelf import Shelf
from gateway.sensors import SensorFaults
from gateway.windows import Windows
from models.training.quantised import Scaling, float_scores

Doubles = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """The ``n`` windows of one device, in order of time."""

    end_s: Doubles
    trigger_s: Doubles
    """Time of the sample that closed each window: nobody knows its score before."""
    scored: Flags
    """Covered and past the calibration."""
    features: NDArray[np.float32]
    score: Doubles
    """0 where nothing is scored."""
    plain: Doubles
    """The float model's."""

    def newest(self, times_s: Doubles, values: Doubles) -> Doubles:
        """Return the value of the newest window that had closed at each time; 0 before the first."""
        at = np.searchsorted(self.trigger_s, times_s, side="right") - 1
        return np.where(at >= 0, values[np.maximum(at, 0)], 0.0)


def course(shelf: Shelf, times_s: Doubles, values: dict[str, Doubles], *, period_s: float | None = None) -> Course:
    """Feed a series to the gateway's windows and score them.

    :param values: by channel, ``(m,)``; the other channels are missing
    :param period_s: time between samples where it is not the shelf's; as a site would set it
    """
    stated = shelf.manifest
    domain = DOMAINS[stated.domain]
    spec = stated.window.spec
    if period_s is not None:
        spec = replace(spec, period_s=period_s, lateness_s=2 * period_s)
        domain = replace(domain, period_s=period_s)
    table = np.full((len(times_s), len(domain.channels)), np.nan, np.float32)
    for name, column in values.items():
        table[:, domain.channel_names.index(name)] = column
    windows, wanted = Windows(domain, spec), FeatureSet(stated.feature_names, domain, spec)
    windows.add(np.zeros(len(times_s), np.int64), times_s, table)
    frames = [frame for frame in windows.close() if len(frame)]
    features = np.concatenate([wanted.compute(frame) for frame in frames])
    scored = np.concatenate([(frame.coverage >= spec.min_coverage) & ~frame.warming for frame in frames])
    return Course(
        end_s=np.concatenate([frame.end_s for frame in frames]),
        trigger_s=np.concatenate([frame.trigger_s for frame in frames]),
        scored=scored,
        features=features,
        score=np.where(scored, shelf.scorer().score(features), 0.0).astype(np.float64),
        plain=np.where(scored, _plain(shelf, features), 0.0).astype(np.float64),
    )


def _plain(shelf: Shelf, features: NDArray[np.float32]) -> NDArray[np.float32]:
    stated = shelf.manifest
    scale = Scaling(
        mean=np.array([feature.mean for feature in stated.features]),
        scale=np.array([feature.scale for feature in stated.features]),
        clip=stated.clip,
    )
    return float_scores((shelf.folder / FLOAT_MODEL).read_bytes(), scale(features))


def firings(shelf: Shelf, found: Course) -> Doubles:
    """Return when the shelf's alert would have fired, by the gateway's own judge: closing times of windows."""
    stated, count = shelf.manifest, len(found.end_s)
    rule = Rule(
        name=stated.rule, domain=stated.domain, kind="model", severity=stated.severity, **stated.judging.model_dump()
    )
    judge = Judge(stated.domain, [rule])
    windows = JudgedWindows(
        np.zeros(count, np.int64), found.end_s, found.trigger_s, np.ones(count, np.bool_), ~found.scored
    )
    scores = np.where(found.scored, found.score, np.nan).astype(np.float32)
    device: Sequence[DeviceId] = [DeviceId("recorded", stated.domain, "one")]
    alerts = judge.judge(windows, {rule.name: scores}, SensorFaults({}, {}), device, lambda _window, _rule: ("", ()))
    return np.array(
        [alert.fired_s if hasattr(alert, "fired_s") else alert.onset_s for alert in alerts if alert.state == "firing"]
    )
