"""What all dashboards share: how one is begun, how a panel is dressed, and the annotations of alerts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from grafana_foundation_sdk.builders import common as look
from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.builders.stat import Panel as Stat
from grafana_foundation_sdk.builders.table import Panel as Table
from grafana_foundation_sdk.builders.timeseries import Panel as Timeseries
from grafana_foundation_sdk.models.common import LegendDisplayMode, LegendPlacement, LineInterpolation
from grafana_foundation_sdk.models.dashboard import (
    AnnotationQuery,
    DashboardCursorSync,
    DashboardLinkType,
    DynamicConfigValue,
    Threshold,
    ThresholdsMode,
    VariableOption,
    VariableRefresh,
    VariableSort,
)

from contract import points
from grafana.health import FIRING
from grafana.influxql import ALERTS, FEATURES, Query, select, source, tag_values

TAG: Final = "edgefleet"
"""Stands on everything that we make in a Grafana."""
NOW: Final = "now"
WIDTH: Final = 24


class Board(build.Dashboard):  # type: ignore[misc]  # the SDK is published without types
    """A dashboard whose panels get their numbers in the order in which they are added."""

    def __init__(self, uid: str, title: str, description: str, *, since: str = "now-6h") -> None:
        """Begin an empty one that links to the others."""
        super().__init__(title)
        self._last_id = 0
        self.uid(uid).description(description).tags([TAG]).timezone("browser").time(since, NOW).refresh("30s")
        self.readonly().tooltip(DashboardCursorSync.CROSSHAIR)
        link = build.DashboardLink("edgefleet").type(DashboardLinkType.DASHBOARDS).tags([TAG])
        self.link(link.as_dropdown(True).include_vars(True).keep_time(True))  # noqa: FBT003  # the SDK's way

    def add(self, *panels: Any) -> Board:
        """Add panels from left to right; a row is full at 24."""
        for panel in panels:
            self._last_id += 1
            self.with_panel(panel.id(self._last_id))
        return self

    def row(self, title: str) -> Board:
        """Begin a titled row."""
        self._last_id += 1
        self.with_row(build.Row(title).id(self._last_id))
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class Dress:
    """What every panel has."""

    title: str
    description: str
    unit: str
    width: int
    height: int
    no_value: str = "no data"
    uid: str = FEATURES
    targets: Sequence[Query] = field(default_factory=tuple)


def dressed(panel: Any, dress: Dress) -> Any:
    """Return a panel with its title, description, unit, size, queries, and what stands there without data."""
    panel.title(dress.title).description(dress.description).unit(dress.unit).no_value(dress.no_value)
    panel.span(dress.width).height(dress.height).datasource(source(dress.uid))
    return panel.targets(list(dress.targets))


def lines(dress: Dress) -> Any:
    """Return curves over time."""
    panel = dressed(Timeseries(), dress)
    legend = look.VizLegendOptions().display_mode(LegendDisplayMode.LIST).placement(LegendPlacement.BOTTOM)
    return panel.legend(legend.show_legend(True)).line_width(1).span_nulls(3_600_000)  # noqa: FBT003


def number(dress: Dress) -> Any:
    """Return one large number for each series."""
    reduce = look.ReduceDataOptions().calcs(["lastNotNull"])
    return dressed(Stat(), dress).reduce_options(reduce)


def table(dress: Dress) -> Any:
    """Return rows."""
    return dressed(Table(), dress)


def thresholds(*steps: tuple[float | None, str]) -> Any:
    """Return colours by value: from each value on, upwards; the first value is None."""
    return (
        build.ThresholdsConfig()
        .mode(ThresholdsMode.ABSOLUTE)
        .steps([Threshold(value=value, color=colour) for value, colour in steps])
    )


def as_region(panel: Any, ref_id: str) -> Any:
    """Show the series of one query as a shaded region from 0 to 1, without a line."""
    properties = {
        "custom.lineWidth": 0,
        "custom.fillOpacity": 25,
        "custom.lineInterpolation": LineInterpolation.STEP_AFTER,
        "color": {"mode": "fixed", "fixedColor": FIRING.colour},
        "unit": "none",
    }
    return panel.override_by_query(ref_id, _values(properties))


def as_baseline(panel: Any, ref_id: str) -> Any:
    """Show the series of one query as a thin dashed line."""
    properties = {"custom.lineStyle": {"fill": "dash", "dash": [8, 8]}, "custom.fillOpacity": 0}
    return panel.override_by_query(ref_id, _values(properties))


def _values(properties: dict[str, object]) -> list[DynamicConfigValue]:
    return [DynamicConfigValue(id_val=name, value=value) for name, value in properties.items()]


def column(panel: Any, name: str, **properties: object) -> Any:
    """Set properties of one column of a table; ``_`` in a name stands for a dot."""
    return panel.override_by_name(name, _values({key.replace("_", "."): value for key, value in properties.items()}))


def variable(name: str, measurement: str, *, where: str = "", uid: str = FEATURES) -> Any:
    """Return a choice of a tag's values, all of them at first."""
    query = tag_values(measurement, name, where)
    everything = VariableOption(selected=True, text=["All"], value=["$__all"])
    return (
        build.QueryVariable(name)
        .label(name)
        .description(f"Which {name} to look at")
        .query({"query": query, "refId": name})
        .datasource(source(uid))
        .multi(True)  # noqa: FBT003
        .include_all(True)  # noqa: FBT003
        .current(everything)
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(VariableSort.ALPHABETICAL_ASC)
    )


class AlertAnnotation(AnnotationQuery):  # type: ignore[misc]
    """Marks where alerts began to fire; the SDK's target knows only Grafana's own annotations."""

    def __init__(self, where: Sequence[str] = ()) -> None:
        """Take further conditions on the alerts."""
        super().__init__(name="Alerts", enable=True, icon_color=FIRING.colour, datasource=source(ALERTS), hide=False)
        self._query = select('"summary", "device", "rule", "severity"', points.ALERTS, where=('"state" = 1', *where))

    def build(self) -> AlertAnnotation:
        """Return itself: it is its own builder."""
        return self

    def to_json(self) -> dict[str, object]:
        """Return what Grafana's InfluxDB plugin reads."""
        target = {
            "refId": "Anno",
            "query": self._query,
            "rawQuery": True,
            "fromAnnotations": True,
            "textColumn": "summary",
            "tagsColumn": "device,rule,severity",
        }
        return {**super().to_json(), "target": target}
