"""Charts of the gateway's health reports. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from console.charts.parts import LEFT_PX, RIGHT_PX, Options, base, line, pairs, time_axis, value_axis
from console.downsample import thinned
from contract.points import Point

MOST_POINTS: Final = 600


@dataclass(frozen=True, slots=True, kw_only=True)
class Gauge:
    """One figure of the gateway over time."""

    name: str
    field: str
    """Field of a health report."""
    meaning: str
    per_s: bool = False
    """Whether the field counts up, and its rate is shown."""
    scale: float = 1.0


GAUGES: Final = (
    Gauge(name="messages a second", field="messages_total", per_s=True, meaning="taken from the broker"),
    Gauge(name="batches waiting", field="batches_waiting", meaning="journaled, not yet processed: how far it lags"),
    Gauge(name="backlog", field="outbox_entries", meaning="entries that a store has not taken yet"),
    Gauge(name="oldest in backlog, s", field="outbox_age_s", meaning="age of the oldest such entry"),
    Gauge(
        name="inference, ms a second",
        field="inference_s",
        per_s=True,
        scale=1000.0,
        meaning="time spent in the models",
    ),
    Gauge(name="windows a second", field="windows_total", per_s=True, meaning="closed and turned into features"),
    Gauge(name="memory, MiB", field="memory_bytes", scale=2.0**-20, meaning="resident memory of the gateway"),
    Gauge(
        name="written, KiB a second",
        field="written_bytes",
        per_s=True,
        scale=2.0**-10,
        meaning="what it wrote to the disk",
    ),
)


def options(gauge: Gauge, reports: Sequence[Point]) -> Options:
    """Return one chart; ``reports`` by time."""
    times, values = series(gauge, reports)
    ends = (float(times[0]), float(times[-1])) if len(times) > 1 else (0.0, 1.0)
    area: Options = {"areaStyle": {"color": "$data", "opacity": 0.12}}
    axis = value_axis(0, 0.0)
    axis["axisLabel"] |= {"showMinLabel": True}
    return base() | {
        "grid": [{"left": LEFT_PX, "right": RIGHT_PX, "top": 10, "bottom": 24}],
        "xAxis": [time_axis(0, *ends, labels=True)],
        "yAxis": [axis],
        "series": [line(gauge.name, pairs(times, values), **area)],
    }


def series(gauge: Gauge, reports: Sequence[Point]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return times, Unix seconds, and values of a gauge, thinned; a rate stands at the later of its two reports."""
    times = np.array([report.time_ns / 1e9 for report in reports])
    values = np.array([float(report.fields.get(gauge.field, np.nan)) for report in reports]) * gauge.scale
    if gauge.per_s and len(times):
        # a restart of the gateway sets some counters back; nothing is known of that moment
        steps, spans_s = np.diff(values), np.diff(times)
        # two reports may follow each other at once, when the gateway stops: no rate can be told from that
        usual_s = float(np.median(spans_s)) if len(spans_s) else 1.0
        values = np.where(steps < 0, np.nan, steps) / np.maximum(spans_s, max(usual_s / 2, 1e-9))
        times = times[1:]
    return thinned(times, values, MOST_POINTS)
