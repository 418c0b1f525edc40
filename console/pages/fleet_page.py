"""Fleet: who needs somebody, what changed, and every device in a list that stays quick with 10,000 of them."""

from __future__ import annotations

from typing import Any, Final

from nicegui import context, ui

from console.components import Live, Rows
from console.fleet import STATUSES, Device, Fleet, Status, identity, search, status
from console.pages.frame import House, Visit
from console.rendering import render
from console.watch import Snapshot

HOUR_S: Final = 3600.0
CHANGES: Final = 6
FIRST_ROWS: Final = 40
MOST_ROWS: Final = 200
_HEAD: Final = """<tr><th scope="col" class="c-state">state</th><th scope="col" class="c-device">device</th>
<th scope="col" class="c-rule">alert, or domain</th><th scope="col" class="c-why">why</th>
<th scope="col" class="c-n num">samples</th><th scope="col" class="c-when num">newest, UTC</th></tr>"""


class FleetPage:
    """One browser on the fleet."""

    def __init__(self, visit: Visit) -> None:
        """Build the parts."""
        self._visit = visit
        self._words = context.client.request.query_params.get("q", "")
        self._only: Status | None = None
        self._first, self._rows = 0, FIRST_ROWS
        self._found: tuple[Fleet | None, str, Status | None, list[Device]] = (None, "", None, [])
        with visit.main:
            self._top = Live(act=self._act)
            self._bar = Live(act=self._act)
            self._list = Rows(head=_HEAD, label="All devices", act=self._act)

    async def refresh(self, snapshot: Snapshot) -> None:
        """Show the present."""
        now_s = self._visit.now_s
        self._top.show(render("fleet_top.html", now_s=now_s, **top(snapshot, now_s)))
        self._draw_list()

    def _draw_list(self) -> None:
        everyone = self._visit.watch.snapshot.fleet
        devices = self._search(everyone)
        self._bar.show(
            render(
                "fleet_bar.html",
                words=self._words,
                only=self._only,
                found=len(devices),
                devices=len(everyone.devices),
                statuses=STATUSES,
            )
        )
        first = min(self._first, max(len(devices) - self._rows, 0))
        shown = devices[first : first + self._rows]
        html = render("fleet_rows.html", devices=shown, offset=first, now_s=self._visit.now_s)
        self._list.show(html, offset=first, total=len(devices))

    def _search(self, everyone: Fleet) -> list[Device]:
        if self._found[:3] != (everyone, self._words, self._only):
            found = search(everyone.devices, self._words, only=self._only)
            self._found = (everyone, self._words, self._only, found)
        return self._found[3]

    def _act(self, did: dict[str, Any]) -> None:
        match did:
            case {"act": "find", "value": str(words)}:
                self._words, self._first = words, 0
            case {"act": "tile", "words": str(words)}:
                self._words, self._first = words, 0
            case {"act": "only", "status": status} if status in STATUSES:
                self._only, self._first = (None if self._only == status else status), 0
            case {"act": "rows", "first": int(first), "rows": int(rows)}:
                self._first, self._rows = max(first, 0), min(max(rows, FIRST_ROWS), MOST_ROWS)
        self._draw_list()


def top(snapshot: Snapshot, now_s: float) -> dict[str, Any]:
    """Return what stands above the list."""
    changes = [
        {"alert": one.alert, "id": identity(one.alert), "status": _status(one.alert), "stored_s": one.stored_s}
        for one in snapshot.changes
        if one.stored_s >= now_s - HOUR_S
    ]
    return {
        "devices": len(snapshot.fleet.devices),
        "counts": snapshot.fleet.counts,
        "tiles": snapshot.fleet.tiles,
        "rates": snapshot.rates,
        "rate": sum(snapshot.rates.values()),
        "changes": changes[:CHANGES],
        "more_changes": len(changes) - CHANGES if len(changes) > CHANGES else 0,
        "open_alerts": snapshot.open_alerts,
    }


def _status(alert: Any) -> str:
    return status([alert]) if alert.state == "firing" else "resolved"


def register(house: House) -> None:
    """Serve the page."""

    @ui.page("/")
    async def page() -> None:
        visit = Visit(house, "Fleet", "Fleet")
        await visit.follow(FleetPage(visit).refresh, at_once=True)
