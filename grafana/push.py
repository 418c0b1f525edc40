"""Puts our dashboards, rules and annotations into a Grafana that is there already, through its API.

Doing it twice is doing it once. What carries one of our uids but not our mark was made by somebody else: it is left as
it is and reported. The tree of notification policies, of which a Grafana has only one, is not touched: our rules name
their contact point themselves.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal
from urllib.parse import quote

from grafana_client.api import GrafanaApi
from grafana_client.client import GrafanaClientError

from contract.domains import DOMAINS
from contract.messages import Alert
from grafana import domain_board
from grafana.board import TAG
from grafana.influxql import ALERTS, FEATURES
from grafana.provisioning import FOLDER, FOLDER_UID, NIGHTS, WEBHOOK, contact_points, datasource, mute_timing
from grafana.rules import AlertRule

Outcome = Literal["created", "updated", "unchanged", "not ours"]
NOT_FOUND: Final = 404
MOST_ANNOTATIONS: Final = 10_000
_HIDDEN: Final = "secureJsonData"


@dataclass(frozen=True, slots=True, kw_only=True)
class InfluxAccess:
    """Where Grafana reads."""

    url: str
    token: str
    buckets: Mapping[str, str]
    """Bucket of each data source, by its uid."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pushed:
    """What became of one thing."""

    kind: str
    name: str
    outcome: Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class _Thing:
    """One object of the API: how to find it, tell that it is ours, and write it."""

    kind: str
    name: str
    wanted: dict[str, Any]
    read: str
    create: str
    ours: Callable[[dict[str, Any]], bool]
    update: str | None = None
    """Path of PUT; ``None`` where creating again overwrites."""
    unwrap: Callable[[Any], dict[str, Any] | None] = lambda found: found
    """From an answer to what is compared."""
    wrap: Callable[[dict[str, Any]], dict[str, Any]] = lambda wanted: wanted
    """From what is compared to what is sent."""


class Push:
    """One Grafana, under one token."""

    def __init__(self, url: str, token: str) -> None:
        """Remember where; the first call connects."""
        self._client = GrafanaApi.from_url(url, credential=token).client

    def everything(
        self,
        boards: Sequence[dict[str, Any]],
        rules: Sequence[AlertRule],
        *,
        influx: InfluxAccess | None = None,
        webhook: str | None = None,
        alerts: Sequence[Alert] = (),
    ) -> Iterator[Pushed]:
        """Write all of it, in an order in which nothing refers to what is not there yet.

        :raises grafana_client.client.GrafanaException: the server refuses
        """
        things = [_folder(), *_sources(influx), *map(_board, boards), *_notified(webhook)]
        for thing in (*things, *(_rule(rule, webhook) for rule in rules)):
            yield Pushed(kind=thing.kind, name=thing.name, outcome=self._put(thing))
        yield from self._annotate(alerts)

    def _put(self, thing: _Thing) -> Outcome:
        found = self._find(thing)
        if found is None:
            self._client.POST(thing.create, json=thing.wrap(thing.wanted))
            return "created"
        if not thing.ours(found):
            return "not ours"
        if _holds(found, thing.wanted):
            return "unchanged"
        body = thing.wrap(thing.wanted)
        self._client.POST(thing.create, json=body) if thing.update is None else self._client.PUT(
            thing.update, json=body
        )
        return "updated"

    def _find(self, thing: _Thing) -> dict[str, Any] | None:
        try:
            return thing.unwrap(self._client.GET(thing.read))
        except GrafanaClientError as error:
            if error.status_code != NOT_FOUND:
                raise
            return None

    def _annotate(self, alerts: Sequence[Alert]) -> Iterator[Pushed]:
        """Mark each alert on its domain's score, from onset to resolution; each stands there in its newest state."""
        if not alerts:
            return
        found = self._client.GET(f"/annotations?tags={TAG}&type=annotation&limit={MOST_ANNOTATIONS}")
        present = {tag: each for each in found for tag in each["tags"] if tag.startswith("alert:")}
        for alert in alerts:
            wanted = _annotation(alert)
            before = present.get(f"alert:{alert.id}")
            if before is None:
                self._client.POST("/annotations", json=wanted)
                outcome: Outcome = "created"
            elif _holds(before, {key: wanted[key] for key in ("time", "timeEnd", "text")}):
                outcome = "unchanged"
            else:
                self._client.PUT(f"/annotations/{before['id']}", json=wanted)
                outcome = "updated"
            yield Pushed(kind="annotation", name=alert.id, outcome=outcome)


def _holds(found: Any, wanted: Any) -> bool:
    """Tell whether all that is wanted is there; a server may add fields of its own, and shows no secrets."""
    if isinstance(wanted, dict):
        visible = wanted.keys() - {_HIDDEN}
        return isinstance(found, dict) and all(key in found and _holds(found[key], wanted[key]) for key in visible)
    if isinstance(wanted, list):
        same_length = isinstance(found, list) and len(found) == len(wanted)
        return same_length and all(_holds(*pair) for pair in zip(found, wanted, strict=True))
    return bool(found == wanted)


def _folder() -> _Thing:
    wanted = {"uid": FOLDER_UID}  # its title is the user's to change
    return _Thing(
        kind="folder",
        name=FOLDER,
        wanted=wanted,
        read=f"/folders/{FOLDER_UID}",
        create="/folders",
        ours=lambda _: True,
        wrap=lambda body: {**body, "title": FOLDER},
    )


def _sources(influx: InfluxAccess | None) -> list[_Thing]:
    if influx is None:
        return []
    return [_source(uid, name, influx) for uid, name in ((FEATURES, "features"), (ALERTS, "alerts"))]


def _source(uid: str, name: str, influx: InfluxAccess) -> _Thing:
    wanted = datasource(uid, name)
    # the server never shows the token again; with its fingerprint a new one is noticed
    marks = {"origin": TAG, "tokenFingerprint": hashlib.sha256(influx.token.encode()).hexdigest()[:12]}
    wanted |= {
        "url": influx.url,
        "isDefault": False,
        "jsonData": {**wanted["jsonData"], "dbName": influx.buckets[uid], **marks},
        _HIDDEN: {"httpHeaderValue1": f"Token {influx.token}"},
    }
    del wanted["editable"]
    return _Thing(
        kind="data source",
        name=uid,
        wanted=wanted,
        read=f"/datasources/uid/{uid}",
        create="/datasources",
        update=f"/datasources/uid/{uid}",
        ours=lambda found: found.get("jsonData", {}).get("origin") == TAG,
    )


def _board(board: dict[str, Any]) -> _Thing:
    return _Thing(
        kind="dashboard",
        name=board["uid"],
        wanted={key: value for key, value in board.items() if key not in {"id", "version"}},
        read=f"/dashboards/uid/{board['uid']}",
        create="/dashboards/db",
        ours=lambda found: TAG in found.get("tags", []),
        unwrap=lambda answer: answer["dashboard"],
        wrap=lambda wanted: {"dashboard": wanted, "folderUid": FOLDER_UID, "overwrite": True},
    )


def _notified(webhook: str | None) -> list[_Thing]:
    """Return the contact point and the mute timing that our rules name; none without a webhook."""
    if webhook is None:
        return []
    (receiver,) = next(point["receivers"] for point in contact_points() if point["name"] == WEBHOOK)
    point = {**receiver, "name": WEBHOOK, "settings": {**receiver["settings"], "url": webhook}}
    nights = {key: value for key, value in mute_timing().items() if key != "orgId"}
    return [
        _Thing(
            kind="contact point",
            name=WEBHOOK,
            wanted=point,
            read=f"/v1/provisioning/contact-points?name={quote(WEBHOOK)}",
            create="/v1/provisioning/contact-points",
            update=f"/v1/provisioning/contact-points/{point['uid']}",
            ours=lambda found: found.get("uid") == point["uid"],
            unwrap=lambda answer: answer[0] if answer else None,
        ),
        _Thing(
            kind="mute timing",
            name=NIGHTS,
            wanted=nights,
            read=f"/v1/provisioning/mute-timings/{NIGHTS}",
            create="/v1/provisioning/mute-timings",
            update=f"/v1/provisioning/mute-timings/{NIGHTS}",
            ours=lambda _: True,  # it has no mark but its name, which begins with ours
        ),
    ]


def _rule(rule: AlertRule, webhook: str | None) -> _Thing:
    place = {"folderUID": FOLDER_UID, "ruleGroup": rule.group, "orgID": 1}
    quiet = {"mute_time_intervals": [NIGHTS]} if rule.severity == "info" else {}
    told = {} if webhook is None else {"notification_settings": {"receiver": WEBHOOK, **quiet}}
    return _Thing(
        kind="alert rule",
        name=rule.uid,
        wanted={**rule.as_dict(), **place, **told},
        read=f"/v1/provisioning/alert-rules/{rule.uid}",
        create="/v1/provisioning/alert-rules",
        update=f"/v1/provisioning/alert-rules/{rule.uid}",
        ours=lambda found: found.get("labels", {}).get("origin") == TAG,
    )


def _annotation(alert: Alert) -> dict[str, Any]:
    """Return the mark of one alert; a firing one has no end yet."""
    onset_ms = round(alert.onset_s * 1000)
    end_ms = round(alert.at_s * 1000) if alert.state == "resolved" else onset_ms
    tags = [TAG, f"alert:{alert.id}", alert.domain, alert.site, alert.device, alert.rule, alert.severity]
    place = {"dashboardUID": domain_board.uid(alert.domain), "panelId": domain_board.SCORE_PANEL}
    shown = place if alert.domain in DOMAINS else {}
    text = f"{alert.rule} on {alert.device}: {alert.summary}"
    return {**shown, "time": onset_ms, "timeEnd": end_ms, "tags": tags, "text": text}
