"""Alerts: what fires, what somebody has taken on, what is over; and what operators say of it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final

from nicegui import context, ui

from console.components import Live
from console.fleet import identity, status
from console.labels import NOTHING_SAID, Standing, label
from console.pages.frame import House, Visit
from console.rendering import render
from console.watch import Snapshot
from contract.answers import VERDICTS, Verdict
from contract.messages import Alert

TABS: Final = (("open", "Open"), ("taken", "Acknowledged"), ("resolved", "Resolved"))
PAGE: Final = 30
MOST: Final = 2000
"""Newest alerts that the page knows."""
HOURS: Final = frozenset({1, 8, 24})
NOTHING: Final[Mapping[str, tuple[str, str]]] = {
    "open": ("All is well", "No alert fires that nobody has taken on."),
    "taken": ("Nothing here", "Acknowledged, snoozed and answered alerts that still fire stand here."),
    "resolved": ("Nothing here", "Alerts that fired and are over stand here."),
}


class AlertsPage:
    """One browser on the alerts."""

    def __init__(self, visit: Visit) -> None:
        """Build the parts."""
        self._visit = visit
        self._words = context.client.request.query_params.get("q", "")
        self._tab = "open"
        self._most = PAGE
        self._version = -1
        self._alerts: list[Alert] = []
        with visit.main:
            self._list = Live(act=self._act)

    async def refresh(self, snapshot: Snapshot) -> None:
        """Show the present."""
        if snapshot.version != self._version:
            stored = await asyncio.to_thread(self._visit.watch.store.alerts, limit=MOST)
            self._alerts, self._version = [one.alert for one in reversed(stored)], snapshot.version
        self._draw()

    def _draw(self) -> None:
        now_s = self._visit.now_s
        said = self._visit.watch.snapshot.labels
        tabs = sorted_out(self._alerts, said, self._words, now_s)
        found = tabs[self._tab]
        self._list.show(
            render(
                "alerts.html",
                tabs=TABS,
                tab=self._tab,
                numbers={key: len(alerts) for key, alerts in tabs.items()},
                words=self._words,
                alerts=[view(alert, said) for alert in found[: self._most]],
                more=max(len(found) - self._most, 0),
                nothing=NOTHING[self._tab] if not self._words else ("Nothing found", "No alert holds these words."),
                may_answer=self._visit.may_answer(),
                now_s=now_s,
            )
        )

    def _act(self, did: dict[str, Any]) -> None:
        match did:
            case {"act": "tab", "tab": str(tab)} if tab in NOTHING:
                self._tab, self._most = tab, PAGE
            case {"act": "find", "value": str(words)}:
                self._words, self._most = words, PAGE
            case {"act": "more"}:
                self._most += PAGE
            case {"act": "acknowledge", "alert": str(alert_id)}:
                self._say(alert_id, "acknowledged", "", 0)
            case {"act": "answer", "alert": str(alert_id), "verdict": verdict} if verdict in VERDICTS:
                self._say(alert_id, verdict, str(did.get("note", "")), _hours(did))
        self._draw()

    def _say(self, alert_id: str, verdict: Verdict, note: str, hours: int) -> None:
        """Keep an answer; one of somebody who may not give it is not taken, whatever their browser showed."""
        alert = next((alert for alert in self._alerts if alert.id == alert_id), None)
        if alert is None or not self._visit.may_answer() or (verdict == "note" and not note.strip()):
            return
        watch, now_s = self._visit.watch, self._visit.now_s
        shelf = watch.shelves().get(alert.domain) if alert.model_version else None
        watch.labels.add(
            label(
                alert,
                verdict,
                at_s=now_s,
                operator=self._visit.session.operator,
                note=note,
                until_s=now_s + hours * 3600.0 if verdict == "snoozed" else None,
                window_s=shelf.window_s if shelf else None,
            )
        )
        watch.look()


def sorted_out(
    alerts: Sequence[Alert], said: Mapping[str, Standing], words: str, now_s: float
) -> dict[str, list[Alert]]:
    """Return the alerts of each tab, newest first; those that hold every word."""
    tabs: dict[str, list[Alert]] = {"open": [], "taken": [], "resolved": []}
    wanted = words.lower().split()
    for alert in alerts:
        text = f"{identity(alert)} {alert.rule} {alert.severity}".lower()
        if all(word in text for word in wanted):
            quiet = said.get(alert.id, NOTHING_SAID).quiet(now_s)
            tabs["resolved" if alert.state == "resolved" else "taken" if quiet else "open"].append(alert)
    return tabs


def view(alert: Alert, said: Mapping[str, Standing]) -> dict[str, Any]:
    """Return one alert for the template."""
    return {
        "alert": alert,
        "id": identity(alert),
        "status": status([alert]),
        "said": said.get(alert.id, NOTHING_SAID),
    }


def _hours(did: Mapping[str, Any]) -> int:
    hours = str(did.get("hours", ""))
    return int(hours) if hours.isdigit() and int(hours) in HOURS else 1


def register(house: House) -> None:
    """Serve the page."""

    @ui.page("/alerts")
    async def page() -> None:
        visit = Visit(house, "Alerts", "Alerts")
        await visit.follow(AlertsPage(visit).refresh)
