"""Parts that the charts share. Times are milliseconds, as ECharts wants them; colours are names of the style sheet."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Options = dict[str, Any]

FONT: Final = 'system-ui, "Segoe UI", Roboto, "Noto Sans", sans-serif'
LEFT_PX: Final = 58
RIGHT_PX: Final = 14


def base() -> Options:
    """Return what every chart has."""
    return {
        "animation": False,
        "textStyle": {"fontFamily": FONT, "fontSize": 11},
        "axisPointer": {"link": [{"xAxisIndex": "all"}], "lineStyle": {"color": "$dim"}},
        "tooltip": {
            "trigger": "axis",
            # rich text is drawn: HTML with styles in it is not allowed by our policy
            "renderMode": "richText",
            "confine": True,
            "backgroundColor": "$panel",
            "borderColor": "$line-soft",
            "textStyle": {"color": "$ink", "fontSize": 11},
            "valueFormatter": "@significant",
        },
    }


def time_axis(grid: int, start_s: float, end_s: float, *, labels: bool) -> Options:
    """Return an axis of time."""
    return {
        "type": "time",
        "gridIndex": grid,
        "min": round(start_s * 1000),
        "max": round(end_s * 1000),
        "axisLine": {"lineStyle": {"color": "$line-soft"}},
        "axisTick": {"show": labels, "lineStyle": {"color": "$line-soft"}},
        "axisLabel": {"show": labels, "color": "$dim", "hideOverlap": True, "fontSize": 10},
        "splitLine": {"show": False},
        "axisPointer": {"label": {"show": labels, "backgroundColor": "$ink", "color": "$panel"}},
    }


def value_axis(grid: int, low: float | None = None, high: float | None = None) -> Options:
    """Return an axis of values; from data where no ends are given."""
    return {
        "type": "value",
        "gridIndex": grid,
        "scale": True,
        "min": low,
        "max": high,
        "splitNumber": 2,
        "axisLine": {"show": False},
        "axisTick": {"show": False},
        "axisLabel": {"color": "$dim", "fontSize": 10, "formatter": "@significant", "showMinLabel": low is None},
        "splitLine": {"lineStyle": {"color": "$line-soft"}},
    }


def title(text: str, top_px: float, more: str = "") -> Options:
    """Return the heading of a panel, at its upper left corner."""
    return {
        "text": f"{{name|{text}}}  {{more|{more}}}" if more else f"{{name|{text}}}",
        "left": LEFT_PX - 4,
        "top": top_px,
        "padding": 0,
        "textStyle": {
            "fontWeight": 400,
            "rich": {
                "name": {"fontSize": 12, "fontWeight": 600, "color": "$ink", "fontFamily": FONT},
                "more": {"fontSize": 11, "color": "$dim", "fontFamily": FONT},
            },
        },
    }


def pairs(times: NDArray[np.float64], values: NDArray[np.float64]) -> list[list[float | None]]:
    """Return points as ECharts takes them: milliseconds and value, ``None`` where there is none."""
    rounded = [float(f"{value:.5g}") if value == value else None for value in values.tolist()]  # noqa: PLR0124  # NaN
    return [[t, v] for t, v in zip(np.round(times * 1000).tolist(), rounded, strict=True)]


def line(name: str, data: list[list[float | None]], axis: int = 0, **more: Any) -> Options:
    """Return a plain line."""
    return {
        "type": "line",
        "name": name,
        "xAxisIndex": axis,
        "yAxisIndex": axis,
        "data": data,
        "showSymbol": False,
        "connectNulls": False,
        "lineStyle": {"width": 1.4, "color": "$data"},
        "itemStyle": {"color": "$data"},
        "emphasis": {"disabled": True},
        **more,
    }
