"""The device's chart: score, every channel with what is usual of it, and where samples are missing or late. Pure.

One panel above the other on one axis of time, so that cause and effect stand in a column.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from console import words
from console.baseline import Band
from console.charts.parts import LEFT_PX, RIGHT_PX, Options, base, line, pairs, time_axis, title, value_axis
from console.downsample import Envelope
from contract.domains import Channel

PANEL_PX: Final = 78
HEAD_PX: Final = 24
STRIP_PX: Final = 22
FOOT_PX: Final = 62
SHADES: Final = {"alerting": 0.16, "broken": 0.18, "silent": 0.22}
"""How strongly the times of an alert are shaded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Region:
    """A time in which an alert fired."""

    start_s: float
    end_s: float
    status: str
    """``alerting``, ``broken`` or ``silent``: its colour."""
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceData:
    """What the chart shows."""

    start_s: float
    end_s: float
    channels: Sequence[Channel]
    coarse: Envelope
    """Over the whole range."""
    fine: Envelope | None = None
    """Over the part that is zoomed into, in its place."""
    bands: Sequence[Band | None] = ()
    score_s: NDArray[np.float64]
    score: NDArray[np.float64]
    raise_at: float | None = None
    clear_at: float | None = None
    regions: Sequence[Region] = ()
    gaps: Sequence[tuple[float, float]] = ()
    late_s: Sequence[float] = ()


def height_px(data: DeviceData) -> int:
    """Return how high the chart must be."""
    return (len(data.channels) + 1) * (PANEL_PX + HEAD_PX) + STRIP_PX + HEAD_PX + FOOT_PX


def options(data: DeviceData) -> Options:
    """Return the chart: grid 0 is the score, 1 … n the channels, the last the samples themselves."""
    panels = len(data.channels) + 2
    tops = [HEAD_PX + i * (PANEL_PX + HEAD_PX) for i in range(panels)]
    heights = [PANEL_PX] * (panels - 1) + [STRIP_PX]
    envelope = _merged(data.coarse, data.fine)
    return base() | {
        "title": [
            title("score", 4, _thresholds(data)),
            *(
                title(words.channel(channel.name), top - HEAD_PX + 6, _range(channel))
                for channel, top in zip(data.channels, tops[1:], strict=False)
            ),
            title("samples", tops[-1] - HEAD_PX + 6, "shaded where none came; ▲ came late"),
        ],
        "grid": [
            {"left": LEFT_PX, "right": RIGHT_PX, "top": top, "height": height}
            for top, height in zip(tops, heights, strict=True)
        ],
        "xAxis": [time_axis(i, data.start_s, data.end_s, labels=i == panels - 1) for i in range(panels)],
        "yAxis": [value_axis(0, 0.0, 1.0), *_channel_axes(data, envelope), _hidden(panels - 1)],
        "dataZoom": _zoom(panels),
        "series": [_score(data), *_channels(data, envelope), _samples(data, panels - 1)],
    }


def _score(data: DeviceData) -> Options:
    limits = [("raised", data.raise_at, "$alerting"), ("cleared", data.clear_at, "$online")]
    marks = [_limit(at, colour, name) for name, at, colour in limits if at is not None]
    drawn = line("score", pairs(data.score_s, data.score), lineStyle={"width": 1.6, "color": "$score"})
    return drawn | {
        "itemStyle": {"color": "$score"},
        "markLine": _lines(marks),
        "markArea": {"silent": True, "data": _shaded(data.regions)},
    }


def _channels(data: DeviceData, envelope: Envelope) -> list[Options]:
    series = []
    for i, channel in enumerate(data.channels):
        low, high, mean = (table[:, i] for table in (envelope.low, envelope.high, envelope.mean))
        band = data.bands[i] if i < len(data.bands) else None
        hidden = {"tooltip": {"show": False}, "stack": f"range {i}", "stackStrategy": "all", "silent": True}
        series += [
            line(f"{channel.name} least", pairs(envelope.times, low), i + 1, **hidden, lineStyle={"opacity": 0}),
            line(
                f"{channel.name} range",
                pairs(envelope.times, high - low),
                i + 1,
                **hidden,
                lineStyle={"opacity": 0},
                areaStyle={"color": "$data", "opacity": 0.3},
            ),
            line(channel.name, pairs(envelope.times, mean), i + 1)
            | {
                "markLine": _lines([_limit(channel.low, "$limit", "low"), _limit(channel.high, "$limit", "high")]),
                "markArea": {"silent": True, "data": [*_usual(band), *_shaded(data.regions)]},
            },
        ]
    return series


def _samples(data: DeviceData, axis: int) -> Options:
    return {
        "type": "scatter",
        "name": "late",
        "xAxisIndex": axis,
        "yAxisIndex": axis,
        "symbol": "triangle",
        "symbolSize": 7,
        "itemStyle": {"color": "$late"},
        "data": [[round(at_s * 1000), 0.5] for at_s in data.late_s],
        "markArea": {
            "silent": True,
            "itemStyle": {"color": "$silent/0.45"},
            "data": [[{"xAxis": round(a * 1000)}, {"xAxis": round(b * 1000)}] for a, b in data.gaps],
        },
    }


def _usual(band: Band | None) -> list[list[Options]]:
    if band is None:
        return []
    shade = {"color": "$usual/0.14"}
    return [[{"yAxis": band.low, "itemStyle": shade, "name": "usual", "label": {"show": False}}, {"yAxis": band.high}]]


def _shaded(regions: Sequence[Region]) -> list[list[Options]]:
    return [
        [
            {
                "xAxis": round(region.start_s * 1000),
                "itemStyle": {"color": f"${region.status}/{SHADES.get(region.status, 0.16)}"},
            },
            {"xAxis": round(region.end_s * 1000)},
        ]
        for region in regions
    ]


def _lines(marks: list[Options]) -> Options:
    return {"silent": True, "symbol": "none", "animation": False, "data": marks}


def _limit(at: float, colour: str, name: str) -> Options:
    style = {"color": colour, "type": "dashed", "width": 1}
    return {"yAxis": at, "name": name, "lineStyle": style, "label": {"show": False}}


def _channel_axes(data: DeviceData, envelope: Envelope) -> list[Options]:
    axes = []
    for i, channel in enumerate(data.channels):
        known = np.concatenate((envelope.low[:, i], envelope.high[:, i]))
        known = known[np.isfinite(known)]
        band = data.bands[i] if i < len(data.bands) else None
        edges = [] if band is None else [max(band.low, channel.low), min(band.high, channel.high)]
        ends = [*edges, *([float(known.min()), float(known.max())] if len(known) else [])]
        if not ends:
            axes.append(value_axis(i + 1, 0.0, 1.0))
            continue
        low, high = min(ends), max(ends)
        room = (high - low) * 0.06 or abs(high) * 0.06 or 1.0
        axes.append(value_axis(i + 1, low - room, high + room) | {"axisLabel": _quiet_ends()})
    return axes


def _quiet_ends() -> Options:
    quiet = {"showMinLabel": False, "showMaxLabel": False}
    return {"color": "$dim", "fontSize": 10, "formatter": "@significant", **quiet}


def _hidden(grid: int) -> Options:
    return {"type": "value", "gridIndex": grid, "min": 0, "max": 1, "show": False}


def _zoom(panels: int) -> list[Options]:
    shared: dict[str, Any] = {"xAxisIndex": list(range(panels)), "filterMode": "none", "throttle": 60}
    slider = {
        "height": 18,
        "bottom": 8,
        "left": LEFT_PX,
        "right": RIGHT_PX,
        "borderColor": "$line-soft",
        "fillerColor": "$accent/0.16",
        "handleStyle": {"color": "$accent", "borderColor": "$accent"},
        "moveHandleStyle": {"color": "$dim"},
        "dataBackground": {"lineStyle": {"opacity": 0}, "areaStyle": {"opacity": 0}},
        "selectedDataBackground": {"lineStyle": {"opacity": 0}, "areaStyle": {"opacity": 0}},
        "textStyle": {"color": "$dim", "fontSize": 10},
    }
    # plain scrolling is the page's; with shift it zooms
    inside = {"zoomOnMouseWheel": "shift", "moveOnMouseMove": True, "moveOnMouseWheel": False}
    return [{"type": "inside", **inside, **shared}, {"type": "slider", **slider, **shared}]


def _merged(coarse: Envelope, fine: Envelope | None) -> Envelope:
    """Put the finer data into the place of the coarser."""
    if fine is None or not len(fine.times):
        return coarse
    before, after = coarse.times < fine.times[0], coarse.times > fine.times[-1]

    def joined(name: str) -> NDArray[Any]:
        whole, part = getattr(coarse, name), getattr(fine, name)
        return np.concatenate((whole[before], part, whole[after]))

    return Envelope(
        times=joined("times"),
        mean=joined("mean"),
        low=joined("low"),
        high=joined("high"),
        count=joined("count"),
        bucket_s=coarse.bucket_s,
    )


def _range(channel: Channel) -> str:
    unit = "" if channel.unit == "1" else f" {channel.unit}"
    return f"{channel.description}; valid {words.number(channel.low)} to {words.number(channel.high)}{unit}"


def _thresholds(data: DeviceData) -> str:
    if data.raise_at is None or data.clear_at is None:
        return "no model"
    return f"of the model; alert from {data.raise_at:g} on, cleared below {data.clear_at:g}"
