"""Truth: what was injected and what became of it, on one time line a device. Only where a fleet is simulated."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from nicegui import ui

from console import words
from console.components import Live
from console.fleet import identity
from console.pages.frame import House, Visit
from console.rendering import render
from console.truth import Event, Figures, Judged, Outcome, Picture, TruthSource
from console.watch import Snapshot
from contract.topics import DeviceId

TICKS: Final = 5
EARLIER: Final = 0.02
"""Share of the time line before the first event, so that its onset can be seen."""
LEAST_WIDTH: Final = 0.3
"""Percent of the time line that an event takes at least, so that a short one can be seen."""
SAID: Final[dict[Outcome, str]] = {
    "caught": "fault, caught",
    "missed": "fault, missed",
    "too_late": "fault, too near the end to be seen",
    "noticed": "broken sensor, noticed",
    "unnoticed": "broken sensor, unnoticed",
    "quiet": "look-alike, rightly quiet",
    "fooled": "look-alike that raised a false alarm",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """The time that one domain's lanes show."""

    start_s: float
    end_s: float

    def percent(self, time_s: float) -> float:
        """Return where a time stands on a lane, 0 … 100."""
        share = (time_s - self.start_s) / max(self.end_s - self.start_s, 1e-9)
        return round(100 * min(max(share, 0.0), 1.0), 2)


class TruthPage:
    """One browser on the truth."""

    def __init__(self, visit: Visit, truth: TruthSource) -> None:
        """Build the parts."""
        self._visit = visit
        self._truth = truth
        self._version = -1
        with visit.main:
            self._live = Live()

    async def refresh(self, snapshot: Snapshot) -> None:
        """Show the present."""
        if snapshot.version == self._version:
            return
        self._version = snapshot.version
        picture = await asyncio.to_thread(self._truth)
        watched = {device.id: device.last_s for device in snapshot.fleet.devices}
        self._live.show(render("truth.html", **view(picture, watched, self._visit.now_s)))


def view(picture: Picture | None, last_s: dict[DeviceId, float], now_s: float) -> dict[str, Any]:
    """Return the picture for the template; ``last_s`` is the newest sample of each device."""
    if picture is None:
        return {"picture": None}
    names = sorted({event.truth.domain for event in picture.events} | {one.alert.domain for one in picture.alerts})
    return {
        "picture": picture,
        "total": total(picture),
        "domains": [_domain(picture, name, last_s) for name in names],
        "now_s": now_s,
    }


def total(picture: Picture) -> dict[str, Any]:
    """Return the figures of all domains together."""
    figures = list(picture.figures.values())
    alerts, right = sum(one.alerts for one in figures), sum(one.true_alerts for one in figures)
    delays = sorted(event.delay_s for event in picture.events if event.delay_s is not None and _is_fault(event))
    return {
        "faults": sum(one.faults for one in figures),
        "detected": sum(one.detected for one in figures),
        "alerts": alerts,
        "true_alerts": right,
        "precision": right / alerts if alerts else None,
        "delay": delays[len(delays) // 2] if delays else None,
    }


def _domain(picture: Picture, name: str, last_s: dict[DeviceId, float]) -> dict[str, Any]:
    events = [event for event in picture.events if event.truth.domain == name]
    alerts = [one for one in picture.alerts if one.alert.domain == name]
    newest = [when for who, when in last_s.items() if who.domain == name and when == when]  # noqa: PLR0124  # NaN
    times = [event.truth.onset_s for event in events] + [one.alert.onset_s for one in alerts]
    end_s = max(newest, default=max(times))
    span = Span(start_s=min(times) - EARLIER * max(end_s - min(times), 1.0), end_s=end_s)
    # what lies ahead of a demo's clock has not happened yet
    events = [event for event in events if event.truth.onset_s <= span.end_s]
    lanes = sorted({_who(event) for event in events} | {identity(one.alert) for one in alerts})
    figures: Figures | None = picture.figures.get(name)
    step_s = (span.end_s - span.start_s) / (TICKS - 1)
    return {
        "name": name,
        "figures": figures,
        "lanes": [_lane(who, events, alerts, span) for who in lanes],
        "ticks": [words.clock(span.start_s + i * step_s) for i in range(TICKS)],
    }


def _lane(who: DeviceId, events: Sequence[Event], alerts: Sequence[Judged], span: Span) -> dict[str, Any]:
    bars = [_bar(event, span) for event in events if _who(event) == who]
    marks = [_mark(one, span) for one in alerts if identity(one.alert) == who]
    return {
        "id": who,
        "bars": bars,
        "marks": marks,
        "words": "; ".join([bar["words"] for bar in bars] + [mark["words"] for mark in marks]),
    }


def _bar(event: Event, span: Span) -> dict[str, Any]:
    truth = event.truth
    x = span.percent(truth.onset_s)
    delay = "" if event.delay_s is None else f" after {words.span(event.delay_s)}"
    return {
        "outcome": event.outcome,
        "x": x,
        "width": max(span.percent(truth.end_s) - x, LEAST_WIDTH),
        "words": f"{words.rule(truth.fault)} ({SAID[event.outcome]}{delay}), {words.clock(truth.onset_s)}"
        f" to {words.clock(truth.end_s)}",
    }


def _mark(one: Judged, span: Span) -> dict[str, Any]:
    verdict = "right" if one.true else f"false, during: {words.rule(one.circumstance)}"
    return {
        "x": span.percent(one.alert.onset_s),
        "true": one.true,
        "words": f"alert {words.rule(one.alert.rule)} ({verdict}),"
        f" {words.clock(one.alert.onset_s)}: {one.alert.summary}",
    }


def _who(event: Event) -> DeviceId:
    return DeviceId(event.truth.site, event.truth.domain, event.truth.device)


def _is_fault(event: Event) -> bool:
    return event.truth.kind == "fault"


def register(house: House) -> None:
    """Serve the page, where there is a truth to show."""
    truth = house.truth
    if truth is None:
        return

    @ui.page("/truth")
    async def page() -> None:
        visit = Visit(house, "Truth", "Truth")
        await visit.follow(TruthPage(visit, truth).refresh)
