"""Models: every shelf's card, and whether what comes in is still what it was trained on."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from nicegui import ui

from console.components import Live
from console.drift import MOVED, MOVING, WORDS, Drift, drift, overall
from console.pages.frame import House, Visit
from console.rendering import render
from console.shelves import Shelf
from console.watch import Snapshot
from contract.points import SCORE, Point
from gateway.stores.reader import LocalReader

WINDOWS: Final = 2000
"""Windows of all devices that stand for the present, about."""
RECENT_S: Final = 86400.0
"""Time that counts as recent: a whole day, so that the hour is no drift."""
EVERY_S: Final = 30.0
SHOWN: Final = 10
"""Inputs shown at most; those that moved most come first."""


class ModelsPage:
    """One browser on the models."""

    def __init__(self, visit: Visit) -> None:
        """Build the parts."""
        self._visit = visit
        self._drawn_s = -EVERY_S
        with visit.main:
            self._list = Live()

    async def refresh(self, _snapshot: Snapshot) -> None:
        """Show the present; drift moves slowly, so it is not looked at each second."""
        if self._visit.now_s - self._drawn_s < EVERY_S:
            return
        self._drawn_s = self._visit.now_s
        self._list.show(await asyncio.to_thread(self._render))

    def _render(self) -> str:
        watch = self._visit.watch
        shelves = watch.shelves().values()
        return render("models.html", shelves=[view(shelf, recent(watch.store, shelf.domain)) for shelf in shelves])


def recent(store: LocalReader, domain: str) -> list[Point]:
    """Return windows of the domain's last day, spread over devices and hours; those that the model scored."""
    newest = store.newest_points(domain, limit=1)
    since_s = newest[0].time_ns / 1e9 - RECENT_S if newest else 0.0
    return [point for point in store.some_points(domain, since_s, about=WINDOWS) if SCORE in point.fields]


def view(shelf: Shelf, windows: Sequence[Point]) -> dict[str, Any]:
    """Return one shelf for the template."""
    drifts = drifts_of(shelf, windows)
    known = sorted((one for one in drifts if one.verdict != "unknown"), key=lambda one: -one.beyond)
    verdict = overall(drifts)
    return {
        "domain": shelf.domain,
        "rule": shelf.rule,
        "fault": shelf.fault,
        "manifest": shelf.manifest,
        "size_bytes": shelf.size_bytes,
        **_metrics(shelf.manifest),
        "verdict": verdict,
        "words": WORDS[verdict],
        "recent": len(windows),
        "devices": len(set(_devices(windows))),
        "reference": bool(shelf.reference),
        "moving": MOVING,
        "moved": MOVED,
        "drifts": known[:SHOWN],
        "quiet": len(known[SHOWN:]),
    }


def drifts_of(shelf: Shelf, windows: Sequence[Point]) -> list[Drift]:
    """Compare the score and every input with training; nothing where the shelf does not say how that was."""
    _, device = np.unique(_devices(windows), return_inverse=True)
    return [
        drift(name, then, np.array([window.fields.get(name, np.nan) for window in windows], np.float32), device)
        for name, then in shelf.reference.items()
    ]


def _devices(windows: Sequence[Point]) -> list[str]:
    return [f"{window.tags['site']}/{window.tags['device']}" for window in windows]


def _metrics(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Return metrics as a table: a row a metric, a column a data set, then the naive rules."""
    metrics, naive = manifest.get("metrics", ()), manifest.get("naive", ())
    sets = list(dict.fromkeys(metric["data"] for metric in metrics))
    names = list(dict.fromkeys(metric["name"] for metric in metrics))
    by_key = {(metric["name"], metric["data"]): metric for metric in metrics}
    rows = [
        {
            "name": name,
            "values": [by_key.get((name, data), {}).get("int8") for data in sets],
            "gate": _gate([by_key[name, data] for data in sets if (name, data) in by_key]),
            "naive": [one["metrics"].get(name) for one in naive],
        }
        for name in names
    ]
    return {"sets": sets, "metrics": rows}


def _gate(metrics: Sequence[Mapping[str, Any]]) -> str:
    gated = next((metric for metric in metrics if metric.get("gate") is not None), None)
    if gated is None:
        return ""
    return f"{'≥' if gated.get('better', 'higher') == 'higher' else '≤'} {gated['gate']:g}"


def register(house: House) -> None:
    """Serve the page."""

    @ui.page("/models")
    async def page() -> None:
        visit = Visit(house, "Models", "Models")
        await visit.follow(ModelsPage(visit).refresh)
