"""What a run left in its stores, made comparable: keys to values, without what depends on when something was received.

Left out are the gateway's reports of itself, when a row was stored, the journal position of a quarantined message, and
how often something came: a broker sends again what a killed gateway did not acknowledge, and bytes whose counter cannot
be read are counted each time.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Hashable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from contract.points import GATEWAY
from gateway.stores.reader import LocalReader
from tests.influx import RealInflux

Rows = Mapping[Hashable, Hashable]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Rows by key, by kind."""

    rows: Mapping[str, Rows]

    def __len__(self) -> int:
        """Return the number of rows of all kinds."""
        return sum(map(len, self.rows.values()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """How one outcome differs from what it should be."""

    missing: list[tuple[str, Hashable]]
    extra: list[tuple[str, Hashable]]
    changed: list[tuple[str, Hashable, Hashable, Hashable]]

    def __bool__(self) -> bool:
        """Tell whether there is any."""
        return bool(self.missing or self.extra or self.changed)

    def __str__(self) -> str:
        """Say how much, and show the first of each."""
        parts = (("missing", self.missing), ("extra", self.extra), ("changed", self.changed))
        return "; ".join(f"{len(rows)} {name} {rows[:2]}" for name, rows in parts if rows) or "equal"


def compare(found: Outcome, expected: Outcome) -> Difference:
    """Return how an outcome differs from what is expected."""
    missing, extra, changed = [], [], []
    for kind in expected.rows.keys() | found.rows.keys():
        here, there = found.rows.get(kind, {}), expected.rows.get(kind, {})
        missing += [(kind, key) for key in there.keys() - here.keys()]
        extra += [(kind, key) for key in here.keys() - there.keys()]
        changed += [(kind, key, here[key], there[key]) for key in here.keys() & there.keys() if here[key] != there[key]]
    return Difference(missing=missing, extra=extra, changed=changed)


def local_outcome(state: Path) -> Outcome:
    """Return what stands in a state folder's local store."""
    reader = LocalReader(state / "store.db")
    return Outcome(
        rows={
            "points": _points(state / "store.db"),
            "alerts": {(a.alert.id, a.alert.state, a.alert.at_s): str(a.alert) for a in reader.transitions()},
            "samples": _samples(state / "store.db"),
            "quarantine": {(q.topic, q.payload): q.reason for q in reader.quarantine(1_000_000)},
            "ledger": {
                (x.site, x.domain, x.device): (x.published, x.stored, x.late, x.lost, x.gaps, x.last_s)
                if not _uncounted(x.device)
                else (x.last_s,)  # a device that does not count: what comes again cannot be told from what is new
                for x in reader.ledger()
            },
        }
    )


async def influx_outcome(influx: RealInflux, measurements: tuple[str, ...]) -> Outcome:
    """Return what stands in an InfluxDB."""
    rows: dict[str, Rows] = {}
    for measurement in measurements:
        found: dict[Hashable, Hashable] = {}
        for series in await influx.query(f'SELECT * FROM "{measurement}" GROUP BY *'):
            tags = tuple(sorted(series["tags"].items()))
            for time_ns, *fields in series["values"]:
                found[tags, time_ns] = tuple(zip(series["columns"][1:], fields, strict=True))
        rows[measurement] = found
    return Outcome(rows=rows)


def ledger_sums(state: Path) -> dict[str, int]:
    """Return the ledger's sums over all devices; empty while there is no store."""
    if not (state / "store.db").exists():
        return {}
    lines = LocalReader(state / "store.db").ledger()
    names = ("published", "stored", "duplicate", "quarantined", "lost")
    return {name: sum(getattr(line, name) for line in lines) for name in names}


def _uncounted(device: str) -> bool:
    return device.endswith("9")


def _points(path: Path) -> Rows:
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        measurements = [name for (name,) in connection.execute("SELECT DISTINCT measurement FROM series")]
    return {
        (point.measurement, str(sorted(point.tags.items())), point.time_ns): str(sorted(point.fields.items()))
        for measurement in measurements
        if measurement != GATEWAY
        for point in LocalReader(path).points(measurement)
    }


def _samples(path: Path) -> Rows:
    """Return raw samples by device and time; the same sample may stand in its block and, come again, beside it."""
    query = "SELECT devices.device, times, samples, late FROM readings JOIN devices ON number = readings.device"
    found: dict[Hashable, Hashable] = {}
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        for device, times, samples, late in connection.execute(query):
            moments = np.frombuffer(times, "<f8").tolist()
            width = len(samples) // len(moments)
            for number, moment in enumerate(moments):
                value = samples[number * width : (number + 1) * width]
                if not late or (device, moment) not in found:
                    found[device, moment] = value
    return found
