"""Alert rules, from the same rules that the gateway judges by.

A model's rule looks at its score, with the shelf's levels: it fires at ``raise_at`` for ``raise_dwell_s`` and recovers
below ``clear_at``. A sensor rule looks at the gateway's own judgement, whose dwell is behind it already, and so does
the one for limits and models that a site adds. Two rules watch each gateway itself, since one that is gone reports
nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any, Final, Literal

from contract import points
from contract.domains import DOMAINS
from contract.messages import Severity
from grafana.board import TAG
from grafana.domain_board import SCORE_PANEL
from grafana.domain_board import uid as domain_uid
from grafana.influxql import ALERTS, FEATURES, LATELY, LATELY_DAYS, Query, select
from grafana.shelves import ModelRule

SENSOR_RULES: Final = ("flat_line", "saturation", "impossible_rate", "silent")
"""Rules of the gateway that judge the sensor; a test holds them to the gateway's own."""
EVALUATE_EVERY_S: Final = 60
AT_LEVEL: Final = 1e-6
"""Grafana compares with "above", the gateway with "at or above"."""
_TRIES: Final = 3
"""Windows in which a score must come, or the rule has no data."""

NoData = Literal["OK", "Alerting", "NoData"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertRule:
    """One rule, as files and the API both write it."""

    uid: str
    title: str
    group: str
    query: Query
    look_back_s: int
    fire_above: float
    clear_below: float
    for_s: int
    severity: Severity | None
    """``None`` where the query's tags bring it."""
    summary: str
    description: str
    no_data: NoData
    dashboard: str
    panel: int | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return the rule as Grafana's alerting provisioning reads it, less its folder and group."""
        panel = {} if self.panel is None else {"__dashboardUid__": self.dashboard, "__panelId__": str(self.panel)}
        severity = {} if self.severity is None else {"severity": self.severity}
        return {
            "uid": self.uid,
            "title": self.title,
            "condition": "C",
            "data": [self._query(), self._newest(), self._threshold()],
            "noDataState": self.no_data,
            "execErrState": "Error",
            "for": duration(self.for_s),
            "annotations": {"summary": self.summary, "description": self.description, **panel},
            "labels": {"origin": TAG, **severity},
            "isPaused": False,
        }

    def _query(self) -> dict[str, Any]:
        model = self.query.build().to_json()
        uid = self.query.build().datasource_uid
        model |= {"intervalMs": 1000, "maxDataPoints": 43200}
        return {
            "refId": "A",
            "relativeTimeRange": {"from": self.look_back_s, "to": 0},
            "datasourceUid": uid,
            "model": model,
        }

    @staticmethod
    def _newest() -> dict[str, Any]:
        return _expression(
            "B", {"type": "reduce", "expression": "A", "reducer": "last", "settings": {"mode": "dropNN"}}
        )

    def _threshold(self) -> dict[str, Any]:
        condition = {
            "evaluator": {"type": "gt", "params": [self.fire_above]},
            "unloadEvaluator": {"type": "lt", "params": [self.clear_below]},
        }
        return _expression("C", {"type": "threshold", "expression": "B", "conditions": [condition]})


def duration(seconds: int) -> str:
    """Return whole seconds as Grafana itself writes them, such as ``1h30m``."""
    hours, rest = divmod(seconds, 3600)
    parts = ((hours, "h"), (rest // 60, "m"), (rest % 60, "s"))
    return "".join(f"{count}{unit}" for count, unit in parts if count) or "0s"


def alert_rules(shelves: Mapping[str, ModelRule]) -> list[AlertRule]:
    """Return all rules."""
    models = [_model_rule(shelves[name]) for name in DOMAINS if name in shelves]
    return [*models, *(_sensor_rule(name) for name in SENSOR_RULES), _own(shelves), _gone(), _behind()]


def _expression(ref_id: str, model: dict[str, Any]) -> dict[str, Any]:
    datasource = {"type": "__expr__", "uid": "__expr__"}
    return {
        "refId": ref_id,
        "relativeTimeRange": {"from": 0, "to": 0},
        "datasourceUid": "__expr__",
        "model": {"refId": ref_id, "datasource": datasource, **model},
    }


def _model_rule(rule: ModelRule) -> AlertRule:
    query = select(f'last("{points.SCORE}")', rule.domain, by=("site", "device"))
    return AlertRule(
        uid=f"edgefleet-{rule.domain}-{rule.name}".replace("_", "-"),
        title=f"{rule.domain.capitalize()}: {rule.name}",
        group=rule.domain,
        query=Query(query),
        look_back_s=ceil(max(_TRIES * rule.hop_s, 10 * EVALUATE_EVERY_S)),
        fire_above=round(rule.raise_at - AT_LEVEL, 9),
        clear_below=rule.clear_at,
        for_s=ceil(rule.raise_dwell_s),
        severity=rule.severity,
        summary=f"{rule.name} on {{{{ $labels.device }}}} at {{{{ $labels.site }}}}",
        description=f"{rule.meaning} Score {{{{ $values.B.Value }}}}; raised at {rule.raise_at:g}, "
        f"clears below {rule.clear_at:g}.",
        no_data="OK",  # a device that says nothing is the business of the rule "silent"
        dashboard=domain_uid(rule.domain),
        panel=SCORE_PANEL,
    )


def _sensor_rule(name: str) -> AlertRule:
    return _of_transitions(
        uid=f"edgefleet-{name}".replace("_", "-"),
        title=f"Sensor: {name}",
        group="sensors",
        where=(f"\"rule\" = '{name}'",),
        by=("site", "domain", "device", "severity"),
        summary=f"{name} on {{{{ $labels.device }}}} at {{{{ $labels.site }}}}",
        description="The sensor or its link is broken, not what it watches; models are not judged meanwhile.",
    )


def _own(shelves: Mapping[str, ModelRule]) -> AlertRule:
    """Return the rule for what the others do not know: limits of ``gateway.yaml``, domains and models of one's own."""
    conditions = [f'"rule" !~ /{_any_of(SENSOR_RULES)}/']
    if shelves:
        names = _any_of(sorted({rule.name for rule in shelves.values()}))
        conditions.append(f'("domain" !~ /{_any_of(sorted(shelves))}/ OR "rule" !~ /{names}/)')
    return _of_transitions(
        uid="edgefleet-own",
        title="Limits and models of your own",
        group="own",
        where=conditions,
        by=("site", "domain", "device", "rule", "severity"),
        summary="{{ $labels.rule }} on {{ $labels.device }} at {{ $labels.site }}",
        description="A limit, or a model, that this site added; the board of maintenance alerts says why.",
    )


def _of_transitions(
    *,
    uid: str,
    title: str,
    group: str,
    where: Sequence[str],
    by: Sequence[str],
    summary: str,
    description: str,
) -> AlertRule:
    """Return a rule that fires while the newest of the gateway's transitions that it looks at says so."""
    return AlertRule(
        uid=uid,
        title=title,
        group=group,
        query=Query(select('last("state")', points.ALERTS, where=where, by=by, time=LATELY), uid=ALERTS),
        look_back_s=LATELY_DAYS * 86400,
        fire_above=0.5,
        clear_below=0.5,
        for_s=0,
        severity=None,
        summary=summary,
        description=description,
        no_data="OK",  # no alert of this kind yet
        dashboard="edgefleet-alerts",
    )


def _any_of(names: Sequence[str]) -> str:
    return f"^({'|'.join(names)})$"


def _gone() -> AlertRule:
    """Return the rule for a gateway without reports: 1 where the newest five minutes hold none, of each one by itself.

    These minutes have just begun now and then and hold none yet; the rule's own time outlasts that.
    """
    query = select('1 - count("uptime_s")', points.GATEWAY, by=("gateway",), every="5m", fill="0")
    return AlertRule(
        uid="edgefleet-gateway-gone",
        title="Gateway: gone",
        group="gateway",
        query=Query(query),
        look_back_s=86400,
        fire_above=0.5,
        clear_below=0.5,
        for_s=2 * EVALUATE_EVERY_S,
        severity="critical",
        summary="A gateway reports nothing: {{ $labels.gateway }}",
        description="No report for minutes: it is down, or cannot reach InfluxDB. Data waits at the broker. After a "
        "day without a report it is forgotten here, unless no gateway is left.",
        no_data="Alerting",
        dashboard="edgefleet-gateway",
    )


def _behind() -> AlertRule:
    query = select('last("outbox_age_s")', points.GATEWAY, by=("gateway",))
    return AlertRule(
        uid="edgefleet-gateway-behind",
        title="Gateway: a store is behind",
        group="gateway",
        query=Query(query, uid=FEATURES),
        look_back_s=5 * EVALUATE_EVERY_S,
        fire_above=300.0,
        clear_below=60.0,
        for_s=2 * EVALUATE_EVERY_S,
        severity="warning",
        summary="A store of {{ $labels.gateway }} is behind",
        description="The oldest undelivered entry is older than five minutes; nothing is lost, it waits on disk.",
        no_data="OK",  # the rule "gone" fires then
        dashboard="edgefleet-gateway",
    )
