"""Models: every shelf's card, and whether what comes in is still what it was trained on."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from nicegui import ui

from console.components import Live
from console.drift import WORDS, Drift, drift, worst
from console.pages.frame import House, Visit
from console.rendering import render
from console.shelves import Shelf
from console.watch import Snapshot
from contract.points import SCORE, Point

WINDOWS: Final = 2000
"""Newest windows of all devices that stand for the present."""
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
        views = [view(shelf, watch.store.newest_points(shelf.domain, limit=WINDOWS)) for shelf in shelves]
        return render("models.html", shelves=views)


def view(shelf: Shelf, windows: Sequence[Point]) -> dict[str, Any]:
    """Return one shelf for the template."""
    drifts = drifts_of(shelf, windows)
    order = sorted(drifts, key=lambda one: -(one.index if one.index == one.index else -1.0))  # NaN
    shown = [one for one in order if one.verdict != "steady"][:SHOWN]
    shown += [one for one in order if one.verdict == "steady"][: max(SHOWN - len(shown), 0)]
    verdict = worst(drifts)
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
        "reference": len(shelf.golden.get(SCORE, ())),
        "devices": (shelf.golden_devices, len({(window.tags["site"], window.tags["device"]) for window in windows})),
        "drifts": shown,
        "steady": sum(one.verdict == "steady" for one in drifts) - sum(one.verdict == "steady" for one in shown),
    }


def drifts_of(shelf: Shelf, windows: Sequence[Point]) -> list[Drift]:
    """Compare the score and every input with the golden windows."""
    devices = (shelf.golden_devices, len({(window.tags["site"], window.tags["device"]) for window in windows}))
    return [
        drift(
            name,
            then,
            np.array([value for window in windows if type(value := window.fields.get(name)) is float]),
            devices=devices,
        )
        for name, then in sorted(shelf.golden.items(), key=lambda pair: pair[0] != SCORE)
    ]


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
