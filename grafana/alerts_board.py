"""Maintenance: what is wrong now, since when and why; what was; and how long people and devices took."""

from __future__ import annotations

from typing import Any, Final

from grafana_foundation_sdk.builders.dashboard import DashboardLink
from grafana_foundation_sdk.builders.statetimeline import Panel as StateTimeline
from grafana_foundation_sdk.models.common import GraphDrawStyle

from contract import points
from grafana.board import Board, Dress, column, dressed, lines, number, table, thresholds, variable
from grafana.health import FIRING, RESOLVED, severity_mapping, state_mapping
from grafana.influxql import ALERTS, HERE, LATELY, LATELY_DAYS, Query, outer, select

UID: Final = "edgefleet-alerts"
AROUND_MS: Final = 6 * 3600 * 1000
"""Time around an alert that its link shows, milliseconds."""
_ALERT: Final = ("site", "domain", "device", "rule", "severity")
_HERE: Final = (*HERE, '"domain" =~ /^${domain:regex}$/')
_NEWEST: Final = 'last("state") AS "state", "summary" AS "reason", "score" AS "score"'
_DEVICE_AT: Final = (
    "/d/edgefleet-${__data.fields.domain}?var-site=${__data.fields.site}&var-device=${__data.fields.device}"
    f"&time=${{__data.fields.Time.numeric}}&time.window={AROUND_MS}"
)


def alerts_board() -> Board:
    """Return the dashboard of maintenance alerts."""
    board = Board(UID, "Maintenance alerts", "Open alerts, their history, and how fast they end.", since="now-24h")
    for name in ("domain", "site", "device"):
        board.with_variable(variable(name, points.ALERTS, uid=ALERTS))
    board.row("Open").add(_open_count(), _to_acknowledge(), _to_clear(), _a_device_day()).add(_open())
    return board.row("History").add(_history()).add(_by_rule(), _transitions())


def _open_query(what: str, by: tuple[str, ...]) -> str:
    newest = select(_NEWEST, points.ALERTS, where=_HERE, by=_ALERT, time=LATELY)
    return outer(what, newest, where='"state" = 1', by=by)


def _open_count() -> Any:
    query = _open_query('count("state")', ("severity",))
    return number(
        Dress(
            title="Open alerts",
            description=f"Alerts that fire now, by severity; of the last {LATELY_DAYS} days.",
            unit="none",
            width=6,
            height=5,
            no_value="none",
            uid=ALERTS,
            targets=(Query(query, uid=ALERTS, alias="$tag_severity"),),
        )
    ).thresholds(thresholds((None, RESOLVED.colour), (1, FIRING.colour)))


def _to_acknowledge() -> Any:
    query = select('mean("delay_s")', points.ACKNOWLEDGEMENTS, where=_HERE)
    return number(
        Dress(
            title="Mean time to acknowledge",
            description="From an alert's onset to somebody's answer in the console, in the chosen time.",
            unit="s",
            width=6,
            height=5,
            no_value="none acknowledged",
            uid=ALERTS,
            targets=(Query(query, uid=ALERTS, alias="to acknowledge"),),
        )
    )


def _to_clear() -> Any:
    query = select('mean("duration_s")', points.ALERTS, where=('"state" = 0', *_HERE))
    return number(
        Dress(
            title="Mean time to clear",
            description="From onset to resolution of the alerts that were resolved in the chosen time.",
            unit="s",
            width=6,
            height=5,
            no_value="none resolved",
            uid=ALERTS,
            targets=(Query(query, uid=ALERTS, alias="to clear"),),
        )
    )


def _a_device_day() -> Any:
    what = '(max("alerts_total") - min("alerts_total")) / mean("devices") * 86400 / $__range_s'
    return number(
        Dress(
            title="Alerts a device-day",
            description="New alerts in the chosen time, for each device and day; over all sites and domains.",
            unit="none",
            width=6,
            height=5,
            targets=(Query(select(what, points.GATEWAY, by=("gateway",)), alias="$tag_gateway"),),
        )
    ).decimals(2)


def _open() -> Any:
    """Return the open alerts; each row leads to its device at that time."""
    panel = _rows(
        Dress(
            title="Open alerts, oldest first",
            description="What fires now: since when, how severe, and why. A click on the device shows it at that time.",
            unit="none",
            width=24,
            height=9,
            no_value="no open alert",
            uid=ALERTS,
            targets=(Query(_open_query('"state", "score", "reason"', _ALERT), uid=ALERTS, table=True),),
        )
    )
    return column(panel, "Time", unit="dateTimeFromNow", displayName="age")


def _transitions() -> Any:
    query = select('"state", "duration_s", "summary" AS "reason"', points.ALERTS, where=_HERE, by=_ALERT)
    panel = _rows(
        Dress(
            title="Transitions",
            description="Every alert that began or ended in the chosen time.",
            unit="none",
            width=14,
            height=9,
            no_value="no alert in this time",
            uid=ALERTS,
            targets=(Query(query, uid=ALERTS, table=True),),
        )
    )
    return column(panel, "duration_s", unit="s", displayName="duration")


def _rows(dress: Dress) -> Any:
    link = DashboardLink("The device at that time").url(_DEVICE_AT)
    panel = column(table(dress), "state", mappings=[state_mapping()], custom_cellOptions={"type": "color-text"})
    column(panel, "severity", mappings=[severity_mapping()], custom_cellOptions={"type": "color-text"})
    column(panel, "device", links=[link.build()])
    return column(panel, "reason", custom_minWidth=320)


def _history() -> Any:
    query = select(
        'last("state")', points.ALERTS, where=_HERE, by=("device", "rule"), every="$__interval", fill="previous"
    )
    dress = Dress(
        title="History",
        description="When each rule fired on each device; what fires since before is among the open ones only.",
        unit="none",
        width=24,
        height=10,
        no_value="no alert in this time",
        uid=ALERTS,
        targets=(Query(query, uid=ALERTS, alias="$tag_device $tag_rule"),),
    )
    return dressed(StateTimeline(), dress).mappings([state_mapping()])


def _by_rule() -> Any:
    query = select('count("id")', points.ALERTS, where=('"state" = 1', *_HERE), by=("rule",), every="1h", fill="0")
    dress = Dress(
        title="New alerts an hour",
        description="How many alerts began in each hour, by rule.",
        unit="none",
        width=10,
        height=9,
        no_value="no alert in this time",
        uid=ALERTS,
        targets=(Query(query, uid=ALERTS, alias="$tag_rule"),),
    )
    return lines(dress).draw_style(GraphDrawStyle.BARS).fill_opacity(80)
