"""Gateway: is it keeping up, what does it cost, and what could it not take."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from nicegui import ui

from console.charts.gateway_charts import GAUGES, Gauge, options
from console.components import Chart, Live
from console.pages.frame import House, Visit
from console.rendering import render
from console.watch import Snapshot
from contract.points import GATEWAY, Point
from gateway.stores.reader import Quarantined, StoredAlert

REPORTS: Final = 4000
"""Newest health reports on the charts: eleven hours at one every ten seconds."""
QUARANTINED: Final = 50
LIVE_S: Final = 60.0
"""An alert whose deciding sample was older than this when it was stored came from a burst or from time-lapse."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """From the deciding sample's measurement to the stored alert, seconds."""

    median: float
    most: float
    """95 of 100 were quicker."""


class GatewayPage:
    """One browser on the gateway."""

    def __init__(self, visit: Visit) -> None:
        """Build the parts."""
        self._visit = visit
        self._version = -1
        with visit.main:
            self._top = Live()
            with ui.element("div").classes("gauges"):
                self._charts = [(gauge, _chart(gauge)) for gauge in GAUGES]
            self._quarantine = Live()

    async def refresh(self, snapshot: Snapshot) -> None:
        """Show the present."""
        now_s = self._visit.now_s
        self._top.show(
            render(
                "gateway_top.html",
                gateway=snapshot.gateway,
                health=snapshot.gateway.health,
                latency=latency(snapshot.changes),
                now_s=now_s,
            )
        )
        if snapshot.version == self._version:
            return
        self._version = snapshot.version
        reports, rows = await asyncio.to_thread(self._read)
        for gauge, chart in self._charts:
            chart.show(options(gauge, reports))
        counts = await asyncio.to_thread(self._visit.watch.store.counts)
        self._quarantine.show(render("gateway_quarantine.html", rows=rows, counts=counts, now_s=now_s))

    def _read(self) -> tuple[list[Point], list[Quarantined]]:
        store = self._visit.watch.store
        return store.newest_points(GATEWAY, limit=REPORTS), store.quarantine(QUARANTINED)


def latency(changes: Sequence[StoredAlert]) -> Latency | None:
    """Return how long alerts took of late; ``None`` where none arose live."""
    delays = [one.stored_s - one.alert.trigger_s for one in changes if one.alert.state == "firing"]
    live = np.array([delay_s for delay_s in delays if 0.0 <= delay_s < LIVE_S])
    return Latency(median=float(np.median(live)), most=float(np.quantile(live, 0.95))) if len(live) else None


def _chart(gauge: Gauge) -> Chart:
    with ui.element("section").classes("panel gauge"):
        Live(render("gauge.html", gauge=gauge))
        return Chart(name=gauge.field, label=f"{gauge.name} over time", height_px=140)


def register(house: House) -> None:
    """Serve the page."""

    @ui.page("/gateway")
    async def page() -> None:
        visit = Visit(house, "Gateway", "Gateway")
        await visit.follow(GatewayPage(visit).refresh)
