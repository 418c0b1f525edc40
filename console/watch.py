"""Looks at the store and keeps what the pages share: one look for all browsers, and only when something changed.

The files' sizes and times tell whether there is anything new, so that an idle gateway costs next to nothing.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from console.errors import LabelError
from console.fleet import Fleet, Line, fleet
from console.labels import LabelStore, Standing, standings
from console.shelves import Shelf, read_shelves
from contract.answers import LABELS
from contract.points import GATEWAY, FieldValue, Point
from contract.topics import DeviceId
from gateway.stores.reader import LocalReader, StorageError, StoredAlert

STORE: Final = "store.db"
LOOK_EVERY_S: Final = 1.0
"""Time between two looks while somebody watches."""
IDLE_EVERY_S: Final = 10.0
"""Time between two looks while nobody does."""
RATE_OVER_S: Final = 60.0
"""Time over which live rates are taken."""
CHANGES: Final = 200
"""Newest transitions that are looked through for what changed."""
REPORTS_MISSED: Final = 4.0
"""Health reports that may be missing before the gateway counts as down."""
LEAST_DOWN_S: Final = 5.0

Signature = tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayNow:
    """What the gateway last said of itself."""

    name: str = ""
    at_s: float = 0.0
    """When, Unix seconds; 0 where it never did."""
    every_s: float = 10.0
    """Time between its reports."""
    health: Mapping[str, FieldValue] = field(default_factory=dict)

    def down(self, now_s: float) -> bool:
        """Tell whether reports are missing."""
        return now_s - self.at_s > max(REPORTS_MISSED * self.every_s, LEAST_DOWN_S)


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """All that the pages share, as of one look."""

    version: int = 0
    seen_s: float = 0.0
    """When the store was looked at, Unix seconds."""
    fault: str = "looking at the store for the first time"
    """Why nothing newer is known; empty where all is well."""
    fleet: Fleet = field(default_factory=Fleet)
    changes: tuple[StoredAlert, ...] = ()
    """Newest transitions, newest first."""
    labels: Mapping[str, Standing] = field(default_factory=dict)
    gateway: GatewayNow = GatewayNow()
    rates: Mapping[tuple[str, str], float] = field(default_factory=dict)
    """Samples stored a second, by site and domain."""
    open_alerts: int = 0
    """Alerts that fire and that nobody has taken on."""


class Watch:
    """Keeps the newest snapshot of one state folder."""

    def __init__(
        self, state_dir: Path, own_dir: Path, models_dir: Path, *, wall_s: Callable[[], float] = time.time
    ) -> None:
        """Remember the folders: the gateway's, ours, the shelves'; nothing is read before the first look."""
        self.store = LocalReader(state_dir / STORE)
        self.labels = LabelStore(own_dir)
        self.now_s = wall_s
        self.snapshot = Snapshot()
        self.watchers = 0
        """Browsers that look on."""
        self._files = (state_dir / STORE, state_dir / f"{STORE}-wal", own_dir / LABELS)
        self._models_dir = models_dir
        self._shelves: tuple[Signature, dict[str, Shelf]] = ((), {})
        self._signature: Signature = ()
        self._stored: deque[tuple[float, dict[tuple[str, str], int]]] = deque()
        self._waked = asyncio.Event()

    async def run(self) -> None:
        """Look again and again, until cancelled."""
        while True:
            await asyncio.to_thread(self.look)
            self._waked.clear()
            try:
                async with asyncio.timeout(LOOK_EVERY_S if self.watchers else IDLE_EVERY_S):
                    await self._waked.wait()
            except TimeoutError:
                continue

    def wake(self) -> None:
        """Look at once: somebody came, or said something."""
        self._waked.set()

    def look(self) -> Snapshot:
        """Read what changed and return the newest snapshot."""
        signature = _signature(self._files)
        if signature == self._signature and not self.snapshot.fault:
            return self.snapshot
        try:
            self.snapshot = self._read()
            self._signature = signature
        except (StorageError, LabelError) as error:
            if self.snapshot.fault != str(error):
                self.snapshot = _failed(self.snapshot, str(error))
        return self.snapshot

    def shelves(self) -> dict[str, Shelf]:
        """Return the shelves; read again when a manifest changed."""
        signature = _signature(sorted(self._models_dir.glob("*/manifest.yaml")))
        if signature != self._shelves[0]:
            self._shelves = (signature, read_shelves(self._models_dir))
        return self._shelves[1]

    def _read(self) -> Snapshot:
        now_s = self.now_s()
        lines = [
            Line(
                id=DeviceId(line.site, line.domain, line.device), stored=line.stored, lost=line.lost, last_s=line.last_s
            )
            for line in self.store.ledger()
        ]
        firing = self.store.open_alerts()
        said = standings(self.labels.all())
        everyone = fleet(self.store.devices(), lines, firing)
        return Snapshot(
            version=self.snapshot.version + 1,
            seen_s=now_s,
            fault="",
            fleet=everyone,
            changes=tuple(self.store.changes(CHANGES)),
            labels=said,
            gateway=gateway_now(self.store.newest_points(GATEWAY, limit=2)),
            rates=self._rates(now_s, everyone),
            open_alerts=sum(not (alert.id in said and said[alert.id].quiet(now_s)) for alert in firing),
        )

    def _rates(self, now_s: float, everyone: Fleet) -> dict[tuple[str, str], float]:
        stored = {(tile.site, tile.domain): tile.stored for tile in everyone.tiles}
        self._stored.append((now_s, stored))
        while len(self._stored) > 2 and self._stored[1][0] <= now_s - RATE_OVER_S:
            self._stored.popleft()
        then_s, then = self._stored[0]
        if now_s <= then_s:
            return {}
        return {key: (count - then.get(key, 0)) / (now_s - then_s) for key, count in stored.items()}


def gateway_now(reports: list[Point]) -> GatewayNow:
    """Return what the newest of some health reports says, oldest first."""
    if not reports:
        return GatewayNow()
    newest = reports[-1]
    every_s = (newest.time_ns - reports[-2].time_ns) / 1e9 if len(reports) > 1 else GatewayNow().every_s
    return GatewayNow(
        name=newest.tags.get("gateway", ""), at_s=newest.time_ns / 1e9, every_s=every_s, health=newest.fields
    )


def _failed(last: Snapshot, fault: str) -> Snapshot:
    """Return what is still known, and why nothing newer is."""
    return Snapshot(
        version=last.version + 1,
        seen_s=last.seen_s,
        fault=fault,
        fleet=last.fleet,
        changes=last.changes,
        labels=last.labels,
        gateway=last.gateway,
        open_alerts=last.open_alerts,
    )


def _signature(files: Iterable[Path]) -> Signature:
    """Return sizes and times; a file that is not there is like an empty one: a reader may make an empty log."""
    found = []
    for file in files:
        try:
            status = file.stat()
        except FileNotFoundError:
            found.append((0, 0))
        else:
            found.append((status.st_mtime_ns, status.st_size) if status.st_size else (0, 0))
    return tuple(found)
