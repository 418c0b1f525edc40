"""Device: every channel over time with what is usual of it, the score, the alerts, and what became of its samples."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from nicegui import ui

from console import words
from console.baseline import Band, Moved, moved
from console.charts.device_chart import DeviceData, height_px, options
from console.components import Chart, Live
from console.device_data import device_data, read_range, usual
from console.fleet import Device
from console.pages.frame import House, Visit
from console.rendering import render
from console.watch import Snapshot
from contract.domains import DOMAINS
from contract.messages import Alert
from contract.topics import DeviceId

RANGES: Final = (
    ("900", "15 min"),
    ("3600", "1 h"),
    ("21600", "6 h"),
    ("86400", "24 h"),
    ("604800", "7 d"),
    ("all", "all"),
)
WINDOWS: Final = 400
"""Newest windows that the bars are made from."""
BARS: Final = 8
PAST: Final = 8
SHORTEST_S: Final = 10.0
USUAL_EVERY_S: Final = 60.0
"""Time after which what is usual is looked at anew."""


class DevicePage:
    """One browser on one device."""

    def __init__(self, visit: Visit, who: DeviceId) -> None:
        """Build the parts."""
        self._visit = visit
        self._who = who
        self._range = "all"
        self._shown: tuple[float, float] | None = None
        """What somebody moved to; ``None`` follows the newest sample."""
        self._data: DeviceData | None = None
        self._usual: tuple[float, Sequence[Band | None] | None] = (0.0, None)
        self._key: tuple[object, ...] = ()
        self._lock = asyncio.Lock()
        with visit.main:
            self._top = Live(act=self._act)
            self._panel = ui.element("section").classes("panel")
            with self._panel:
                self._chart = Chart(
                    name="device", label=f"Score and channels of {who.device} over time", height_px=420, act=self._act
                )
            self._side = Live()

    async def refresh(self, snapshot: Snapshot) -> None:
        """Show the present."""
        store = self._visit.watch.store
        span = await asyncio.to_thread(store.span, self._who)
        device = snapshot.fleet.by_id.get(self._who)
        self._draw_top(device, span)
        self._panel.set_visibility(span is not None)
        if span is None:
            return
        key = (span, self._range, self._shown, snapshot.version if self._shown is None else 0)
        if key != self._key and not self._lock.locked():
            async with self._lock:
                self._key = key
                await self._draw(span)

    async def _draw(self, span: tuple[float, float]) -> None:
        watch = self._visit.watch
        alerts = [one.alert for one in await asyncio.to_thread(watch.store.alerts, device=self._who)]
        known = await self._known(span)
        shelf = watch.shelves().get(self._who.domain)
        self._data = await asyncio.to_thread(
            device_data, watch.store, self._who, self._span(span), shelf=shelf, alerts=alerts, known=known
        )
        self._chart.show(options(self._data), height_px=height_px(self._data))
        await self._draw_side(alerts)

    async def _known(self, span: tuple[float, float]) -> Sequence[Band | None] | None:
        if self._range == "all" and self._shown is None:  # the chart reads the whole life anyway
            return None
        at_s, known = self._usual
        if known is None or self._visit.now_s - at_s > USUAL_EVERY_S:
            known = await asyncio.to_thread(usual, self._visit.watch.store, self._who, span)
            self._usual = (self._visit.now_s, known)
        return known

    async def _draw_side(self, alerts: Sequence[Alert]) -> None:
        store = self._visit.watch.store
        windows = await asyncio.to_thread(store.newest_points, self._who.domain, self._who, limit=WINDOWS)
        ledger = await asyncio.to_thread(store.ledger, self._who)
        bars, said = _bars([point.fields for point in windows], alerts)
        self._side.show(
            render(
                "device_side.html",
                moved=bars,
                moved_words=said,
                ledger=ledger[0] if ledger else None,
                past=list(reversed(alerts))[:PAST],
                now_s=self._visit.now_s,
            )
        )

    def _draw_top(self, device: Device | None, span: tuple[float, float] | None) -> None:
        domain = DOMAINS.get(self._who.domain)
        shown = "" if span is None else _words(*self._span(span))
        self._top.show(
            render(
                "device_top.html" if span is not None or device is not None else "device_unknown.html",
                id=self._who,
                kind=domain.device if domain else "",
                status=device.status if device else "online",
                last_s=span[1] if span else 0.0,
                alerts=device.alerts if device else (),
                ranges=RANGES,
                range="" if self._shown else self._range,
                shown=shown,
                now_s=self._visit.now_s,
            )
        )

    def _span(self, whole: tuple[float, float]) -> tuple[float, float]:
        """Return what is to be shown."""
        if self._shown is not None:
            return self._shown
        first_s, last_s = whole[0], whole[1] + 1e-3
        return (first_s if self._range == "all" else last_s - float(self._range), last_s)

    async def _act(self, did: dict[str, Any]) -> None:
        match did:
            case {"act": "range", "range": str(key)} if key in dict(RANGES):
                self._range, self._shown = key, None
            case {"act": "pan", "by": str(by)} if self._data is not None:
                self._move(float(by), 1.0)
            case {"act": "scale", "by": str(by)} if self._data is not None:
                self._move(0.0, float(by))
            case {"act": "zoom", "start": float() | int() as start, "end": float() | int() as end}:
                await self._finer(start / 1000.0, end / 1000.0)
                return
        await self.refresh(self._visit.watch.snapshot)

    def _move(self, by: float, scale: float) -> None:
        assert self._data is not None
        length_s = self._data.end_s - self._data.start_s
        middle_s = (self._data.start_s + self._data.end_s) / 2 + by * length_s
        half_s = max(length_s * scale, SHORTEST_S) / 2
        self._shown = (middle_s - half_s, middle_s + half_s)

    async def _finer(self, start_s: float, end_s: float) -> None:
        """Put finer data under the part that the chart was zoomed to."""
        data = self._data
        if data is None or end_s - start_s < 1e-3:
            return
        zoomed = end_s - start_s < 0.98 * (data.end_s - data.start_s)
        fine = None
        if zoomed:
            read = await asyncio.to_thread(read_range, self._visit.watch.store, self._who, start_s, end_s)
            fine = read.envelope
        if zoomed or data.fine is not None:
            self._data = replace(data, fine=fine)
            self._chart.show(options(self._data))


def _bars(windows: Sequence[Any], alerts: Sequence[Alert]) -> tuple[list[Moved], str]:
    """Return what moved: what the gateway said when an alert that fires rose, else the newest window."""
    firing = [alert for alert in alerts if alert.state == "firing" and alert.reasons]
    if firing:
        reasons = [
            Moved(feature=one.feature, value=one.value, usual=one.baseline, sigma=one.sigma)
            for one in firing[-1].reasons
        ]
        others = [one for one in moved(windows, BARS) if one.feature not in {reason.feature for reason in reasons}]
        said = (
            f"The first {len(reasons)} as the gateway saw them when {words.rule(firing[-1].rule)} rose, the rest now."
        )
        return [*reasons, *others][:BARS], said
    return moved(windows, BARS), f"The newest window against the {max(len(windows) - 1, 0)} before it."


def _words(start_s: float, end_s: float) -> str:
    return f"{words.clock(start_s)} to {words.clock(end_s)} UTC, {words.span(end_s - start_s)}"


def register(house: House) -> None:
    """Serve the page."""

    @ui.page("/device/{site}/{domain}/{device}")
    async def page(site: str, domain: str, device: str) -> None:
        visit = Visit(house, "Device", device)
        one = DevicePage(visit, DeviceId(site, domain, device))
        await visit.follow(one.refresh)
