"""The first page: who is there, who is silent, who alerts, and which devices are worst."""

from __future__ import annotations

from typing import Any, Final

from contract import points
from contract.domains import DOMAINS
from grafana.board import AlertAnnotation, Board, Dress, column, lines, number, table, thresholds
from grafana.health import FIRING, RESOLVED, SILENT
from grafana.influxql import ALERTS, LATELY, Query, outer, select

UID: Final = "edgefleet-fleet"
WORST: Final = 5
_REFS: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_WHO: Final = ("site", "domain", "device")


def fleet_board() -> Board:
    """Return the fleet's overview."""
    board = Board(UID, "Fleet overview", "All devices of all sites at a glance.")
    board.annotation(AlertAnnotation())
    board.row("Now").add(_online(), _silent(), _alerting())
    board.row("Work").add(_messages(), _inferences())
    return board.row("Worst").add(_worst())


def _each_domain() -> list[tuple[str, str]]:
    return list(zip(DOMAINS, _REFS, strict=False))


def _online() -> Any:
    def query(domain: str) -> str:
        inner = select(f'last("{points.COVERAGE}") AS "seen"', domain, by=("site", "device"))
        return outer('count("seen")', inner, by=("site",))

    return number(
        Dress(
            title="Devices online",
            description="Devices of which a window closed in the chosen time, by domain and site.",
            unit="none",
            width=8,
            height=6,
            no_value="none yet",
            targets=[Query(query(domain), alias=f"{domain} $tag_site", ref_id=ref) for domain, ref in _each_domain()],
        )
    ).thresholds(thresholds((None, RESOLVED.colour)))


def _silent() -> Any:
    inner = select('last("state") AS "silent"', points.ALERTS, where=("\"rule\" = 'silent'",), by=_WHO, time=LATELY)
    return number(
        Dress(
            title="Devices silent",
            description="Devices whose alert `silent` fires now, by domain and site.",
            unit="none",
            width=8,
            height=6,
            no_value="none",
            uid=ALERTS,
            targets=(
                Query(outer('sum("silent")', inner, by=("domain", "site")), uid=ALERTS, alias="$tag_domain $tag_site"),
            ),
        )
    ).thresholds(thresholds((None, RESOLVED.colour), (1, SILENT.colour)))


def _alerting() -> Any:
    by_rule = select(
        'last("state") AS "state"', points.ALERTS, where=("\"rule\" != 'silent'",), by=(*_WHO, "rule"), time=LATELY
    )
    by_device = outer('max("state") AS "alerting"', by_rule, by=_WHO)
    query = outer('sum("alerting")', by_device, by=("domain", "site"))
    return number(
        Dress(
            title="Devices alerting",
            description="Devices on which any other alert fires now, by domain and site.",
            unit="none",
            width=8,
            height=6,
            no_value="none",
            uid=ALERTS,
            targets=(Query(query, uid=ALERTS, alias="$tag_domain $tag_site"),),
        )
    ).thresholds(thresholds((None, RESOLVED.colour), (1, FIRING.colour)))


def _messages() -> Any:
    query = select('mean("messages_per_s")', points.GATEWAY, by=("gateway",), every="$__interval")
    return lines(
        Dress(
            title="Messages",
            description="Telemetry messages a second, by gateway.",
            unit="mps",
            width=12,
            height=7,
            targets=(Query(query, alias="$tag_gateway"),),
        )
    )


def _inferences() -> Any:
    what = 'non_negative_derivative(max("inferences_total"), 1s)'
    query = select(what, points.GATEWAY, by=("gateway",), every="$__interval")
    return lines(
        Dress(
            title="Inferences",
            description="Windows scored by a model each second, by gateway.",
            unit="ops",
            width=12,
            height=7,
            targets=(Query(query, alias="$tag_gateway"),),
        )
    )


def _worst() -> Any:
    """Return the highest scores now; each row leads to the device at that time."""

    def query(domain: str) -> str:
        newest = select(f'last("{points.SCORE}") AS "score"', domain, by=("site", "device"))
        return outer(f'top("score", "site", "device", {WORST})', newest)

    panel = table(
        Dress(
            title="Highest scores now",
            description=f"The {WORST} devices of each domain whose newest window scores highest.",
            unit="percentunit",
            width=24,
            height=9,
            no_value="not scored yet",
            targets=[Query(query(domain), table=True, ref_id=ref) for domain, ref in _each_domain()],
        )
    )
    panel.min(0).max(1).thresholds(thresholds((None, RESOLVED.colour), (0.5, FIRING.colour)))
    return column(panel, "top", displayName="score", custom_cellOptions={"type": "gauge", "mode": "basic"})
