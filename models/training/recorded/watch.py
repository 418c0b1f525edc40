"""A series of which nothing is known, watched as the gateway watches a domain of one's own: by an ``unusual`` limit.

Windows, what is usual and the judge are the gateway's own; the threshold is the one that its documentation names
(:data:`gateway.usual.WISE`), which follows from simulated healthy devices and not from any recording.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from contract.domains import Channel, Domain
from contract.topics import DeviceId
from gateway.alerts import Judge
from gateway.alerts import Windows as JudgedWindows
from gateway.features import FeatureSet
from gateway.frames import WindowSpec
from gateway.limits import ChannelLimit, limits
from gateway.sensors import SensorFaults
from gateway.usual import WISE
from gateway.windows import Windows

Doubles = NDArray[np.float64]

NAME: Final = "recorded"
CHANNEL: Final = "value"


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """The windows of one series, shape ``(n,)``, and its alerts."""

    end_s: Doubles
    usual: Doubles
    """What is usual in the hour that begins with the window's end, known before it; NaN: nothing yet."""
    fired_s: Doubles
    """Time of the sample that raised each alert."""


def watch(times_s: Doubles, values: Doubles, *, period_s: float, high: float) -> Watched:
    """Feed a series to windows, features and judge of a domain with one channel.

    :param high: largest value that the channel's sensor could give; the smallest is 0
    """
    domain = Domain(
        name=NAME,
        device="series",
        period_s=period_s,
        channels=(Channel(name=CHANNEL, unit="1", low=0.0, high=high, description="What was recorded"),),
    )
    spec = WindowSpec(
        length_s=2.0 * period_s,
        hop_s=period_s,
        period_s=period_s,
        lateness_s=2.0 * period_s,
        min_coverage=0.0,  # the newest hop speaks for itself
        usual=True,
    )
    (limit,) = limits({"odd": ChannelLimit(channel=CHANNEL, unusual=WISE)}, domain)
    windows, judge = Windows(domain, spec), Judge(NAME, [limit.rule(domain)])
    features = FeatureSet([f"{CHANNEL}_usual"], domain, spec)
    windows.add(np.zeros(len(times_s), np.int64), times_s, values[:, None].astype(np.float32))
    ends, usual, fired = [], [], []
    for frames in windows.close():
        covered = frames.coverage >= spec.min_coverage
        judged = JudgedWindows(frames.device, frames.end_s, frames.trigger_s, covered, frames.warming)
        scores = {limit.name: limit.scores(frames, spec.hop_slots)}
        alerts = judge.judge(
            judged, scores, SensorFaults({}, {}), [DeviceId(NAME, NAME, "one")], lambda _w, _r: ("", ())
        )
        fired += [alert.trigger_s for alert in alerts if alert.state == "firing"]
        ends.append(frames.end_s)
        usual.append(features.compute(frames)[:, 0].astype(np.float64))
    return Watched(end_s=np.concatenate(ends), usual=np.concatenate(usual), fired_s=np.array(fired))
