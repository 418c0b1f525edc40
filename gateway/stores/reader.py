# ruff: noqa: S608  # conditions are put together from names that stand in this file; values are bound
"""Reads the local store, from any process, while the gateway writes it: for the console, the command and start-up.

Every call opens the file for itself, so a reader may be kept for as long as one likes and used from any thread.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from contract import codec
from contract.messages import Alert, Severity
from contract.points import FieldValue, Point, kind_of, nanoseconds
from contract.topics import DeviceId
from gateway.ports import LedgerLine, Quarantined, Reduction
from gateway.sqlite_file import StorageError, translated

__all__ = [
    "Block",
    "Counts",
    "LedgerLine",
    "LocalReader",
    "Quarantined",
    "StorageError",
    "StoredAlert",
    "StoredRefusal",
]

_fields = msgspec.msgpack.Decoder(dict[str, FieldValue]).decode
_content = msgspec.msgpack.Decoder(dict[str, FieldValue] | tuple[int, bytes]).decode
_gaps = msgspec.msgpack.Decoder(tuple[tuple[int, int], ...]).decode
_tags = msgspec.json.Decoder(dict[str, str]).decode

_count = itemgetter(1)
_ROWS_AT_ONCE: Final = 512
"""Rows of readings that are fetched in one call."""
_SAMPLES_AT_ONCE: Final = 65_536
"""Samples that :meth:`LocalReader.blocks` puts into one block, about: some megabytes."""

_NEWEST: Final = """NOT EXISTS (SELECT 1 FROM alerts AS later WHERE later.id = alerts.id
    AND (later.at_s, later.state) > (alerts.at_s, alerts.state))"""
"""An alert's newest transition; at the same time, ``resolved`` comes after ``firing``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """Some samples of one device, by time."""

    times: NDArray[np.float64]
    """Unix seconds, shape ``(n,)``."""
    values: NDArray[np.float32]
    """Shape ``(n, channels)`` in the domain's order, NaN where missing."""
    late: NDArray[np.bool_]
    """Which came after their window had closed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredAlert:
    """One transition of an alert, and when the gateway first stored it."""

    alert: Alert
    stored_s: float
    """Wall clock of the gateway, Unix seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRefusal:
    """A point that another store will never take."""

    store: str
    point: Point
    reason: str
    """The store's words."""
    stored_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """How much the store holds."""

    devices: int
    blocks: int
    """Blocks of readings."""
    samples: int
    points: int
    transitions: int
    """Transitions of alerts."""
    alerts: int
    quarantined: int
    quarantine_evicted: int
    """Quarantined messages that had to go because there were too many."""
    refused: int


class LocalReader:
    """Read-only view of :class:`gateway.stores.local.LocalStore`'s file."""

    def __init__(self, path: Path) -> None:
        """Remember the file; it is opened by each call.

        Every method raises :class:`gateway.sqlite_file.StorageError` if the file is missing or cannot be read.
        """
        self._path = path

    def devices(self) -> list[DeviceId]:
        """Return every device that ever had readings, in order."""
        with self._rows("SELECT site, domain, device FROM devices ORDER BY 1, 2, 3") as rows:
            return [DeviceId(*row) for row in rows]

    def readings(
        self, device: DeviceId, start_s: float, end_s: float
    ) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
        """Return the samples with ``start_s <= time < end_s``, by time.

        Times have shape ``(n,)``, Unix seconds; values ``(n, channels)`` in the domain's order, NaN where missing.
        """
        blocks = list(self.blocks(device, start_s, end_s))
        times = np.concatenate([block.times for block in blocks]) if blocks else np.empty(0)
        order = np.argsort(times, kind="stable")
        return times[order], _below([block.values for block in blocks])[order]

    def blocks(self, device: DeviceId, start_s: float, end_s: float) -> Iterator[Block]:
        """Yield the samples with ``start_s <= time < end_s`` in bounded blocks, each by time.

        For what needs not all of them at once: a million samples pass so through little memory.
        """
        query = """SELECT late, count, times, samples FROM readings JOIN devices ON number = readings.device
            WHERE (site, domain, devices.device) = (?, ?, ?) AND last_s >= ? AND first_s < ? ORDER BY start_ns, late"""
        with self._rows(query, (device.site, device.domain, device.device, start_s, end_s)) as rows:
            waiting: list[tuple[int, int, bytes, bytes]] = []
            held = 0
            while some := rows.fetchmany(_ROWS_AT_ONCE):
                waiting += some
                held += sum(map(_count, some))
                if held >= _SAMPLES_AT_ONCE:
                    yield _block(waiting, start_s, end_s)
                    waiting, held = [], 0
            if waiting:
                yield _block(waiting, start_s, end_s)

    def span(self, device: DeviceId) -> tuple[float, float] | None:
        """Return the time of the first and the last sample of a device, Unix seconds; ``None`` where it has none."""
        query = """SELECT min(first_s), max(last_s) FROM readings JOIN devices ON number = readings.device
            WHERE (site, domain, devices.device) = (?, ?, ?)"""
        with self._rows(query, (device.site, device.domain, device.device)) as rows:
            first_s, last_s = next(rows)
        return None if first_s is None else (first_s, last_s)

    def points(
        self, measurement: str, device: DeviceId | None = None, start_s: float = 0.0, end_s: float = 2.0**33
    ) -> list[Point]:
        """Return the points with ``start_s <= time < end_s``, by time; of one device, or of all."""
        query = """SELECT tags, fields, time_ns FROM points JOIN series ON number = series
            WHERE measurement = ? AND time_ns >= ? AND time_ns < ?"""
        values: list[object] = [measurement, nanoseconds(start_s), nanoseconds(end_s)]
        if device is not None:
            query += " AND site = ? AND device = ?"
            values += [device.site, device.device]
        return self._points(measurement, f"{query} ORDER BY time_ns, series", values)

    def newest_points(self, measurement: str, device: DeviceId | None = None, *, limit: int) -> list[Point]:
        """Return the newest points of a measurement, of one device or of all, by time."""
        values: list[object] = [measurement]
        of_device = ""
        if device is not None:
            of_device = " AND site = ? AND device = ?"
            values += [device.site, device.device]
        # of each series the newest, found in the index; then the newest of these
        query = f"""SELECT tags, fields, time_ns FROM series JOIN points ON series = number
            WHERE measurement = ?{of_device} AND time_ns >= ifnull((SELECT time_ns FROM points AS edge
                WHERE edge.series = number ORDER BY time_ns DESC LIMIT 1 OFFSET ?), -1)
            ORDER BY time_ns DESC LIMIT ?"""
        return self._points(measurement, query, [*values, limit - 1, limit])[::-1]

    def some_points(self, measurement: str, start_s: float, *, about: int) -> list[Point]:
        """Return about so many of a measurement's points since a time, spread over devices and times as all are.

        All of them, where there are fewer. The same ones each time, as long as the store does not change.
        """
        since = (measurement, nanoseconds(start_s))
        every = """FROM series CROSS JOIN points ON series = number WHERE measurement = ? AND time_ns >= ?"""
        with self._rows(f"SELECT count(*) {every}", since) as rows:
            step = max(next(rows)[0] // about, 1)
        # rows of one time stand together, in the order of devices: a hash of the row's number mixes them
        query = f"""SELECT tags, fields, time_ns {every} AND ((points.rowid * 2654435761 >> 16) & 65535) % ? = 0
            ORDER BY time_ns, series"""
        return self._points(measurement, query, (*since, step))

    def open_alerts(self) -> list[Alert]:
        """Return the alerts that fire, oldest first: what a new :class:`AlertTopicStore` starts from."""
        return [stored.alert for stored in self.alerts(firing=True)]

    def alerts(
        self,
        *,
        firing: bool | None = None,
        device: DeviceId | None = None,
        domain: str | None = None,
        rule: str | None = None,
        severity: Severity | None = None,
        since_s: float = 0.0,
        limit: int = -1,
    ) -> list[StoredAlert]:
        """Return the present state of alerts, by time of their newest transition; of a limit, the newest.

        ``firing`` asks for those that do, or that did. ``since_s`` is event time of the newest transition.
        """
        wanted = {"domain": domain, "rule": rule, "severity": severity}
        if device is not None:
            wanted |= {"site": device.site, "domain": device.domain, "device": device.device}
        if firing is not None:
            wanted["state"] = "firing" if firing else "resolved"
        wanted = {column: value for column, value in wanted.items() if value is not None}
        conditions = "".join(f" AND {column} = ?" for column in wanted)
        query = f"SELECT stored_s, payload FROM alerts WHERE at_s >= ? AND {_NEWEST}{conditions}"
        return self._alerts(f"{query} ORDER BY at_s DESC, id DESC LIMIT ?", [since_s, *wanted.values(), limit])[::-1]

    def transitions(self, since_s: float = 0.0) -> list[StoredAlert]:
        """Return every transition of every alert since an event time, by time."""
        query = "SELECT stored_s, payload FROM alerts WHERE at_s >= ? ORDER BY at_s, id, state"
        return self._alerts(query, [since_s])

    def changes(self, limit: int) -> list[StoredAlert]:
        """Return the transitions that were stored last, newest first."""
        return self._alerts("SELECT stored_s, payload FROM alerts ORDER BY rowid DESC LIMIT ?", [limit])

    def alert(self, alert_id: str) -> list[StoredAlert]:
        """Return the transitions of one alert, by time; none where it is not known."""
        return self._alerts("SELECT stored_s, payload FROM alerts WHERE id = ? ORDER BY at_s, state", [alert_id])

    def ledger(self, device: DeviceId | None = None) -> list[LedgerLine]:
        """Return what became of every device's samples, or of one's, by device."""
        query = """SELECT site, domain, device, published, stored, duplicate, late, quarantined, lost, gaps, last_s
            FROM ledger"""
        values: tuple[str, ...] = ()
        if device is not None:
            query += " WHERE (site, domain, device) = (?, ?, ?)"
            values = (device.site, device.domain, device.device)
        with self._rows(f"{query} ORDER BY site, domain, device", values) as rows:
            return [LedgerLine(*(*row[:9], _gaps(row[9]), row[10])) for row in rows]

    def delivered(self) -> dict[DeviceId, int]:
        """Return how many raw samples of each device stand in the store now; retention takes old ones away."""
        query = """SELECT site, domain, devices.device, sum(count) FROM readings
            JOIN devices ON number = readings.device GROUP BY number"""
        with self._rows(query) as rows:
            return {DeviceId(*who): count for *who, count in rows}

    def reductions(self) -> list[Reduction]:
        """Return what was given up because a limit was reached, oldest first."""
        with self._rows("SELECT * FROM reductions ORDER BY at_s, number") as rows:
            return [msgspec.convert((*row[:4], row[4].split(), *row[5:]), Reduction) for row in rows]

    def quarantine(self, limit: int = -1) -> list[Quarantined]:
        """Return quarantined messages, newest first."""
        query = "SELECT * FROM quarantine ORDER BY position DESC, place DESC LIMIT ?"
        with self._rows(query, [limit]) as rows:
            return [Quarantined(*row) for row in rows]

    def refused(self, limit: int = -1) -> list[StoredRefusal]:
        """Return the points that another store will never take, newest first."""
        query = """SELECT store, measurement, tags, time_ns, stored_s, reason, fields
            FROM refused ORDER BY rowid DESC LIMIT ?"""
        with self._rows(query, [limit]) as rows:
            return [
                StoredRefusal(
                    store=store,
                    point=Point(measurement, _tags(tags), _fields(fields), time_ns),
                    reason=reason,
                    stored_s=stored_s,
                )
                for store, measurement, tags, time_ns, stored_s, reason, fields in rows
            ]

    def counts(self) -> Counts:
        """Return how much the store holds."""
        query = """SELECT (SELECT count(*) FROM devices), (SELECT count(*) FROM readings),
            (SELECT ifnull(sum(count), 0) FROM readings), (SELECT count(*) FROM points),
            (SELECT count(*) FROM alerts), (SELECT count(DISTINCT id) FROM alerts), (SELECT count(*) FROM quarantine),
            (SELECT ifnull(sum(rows), 0) FROM quarantine_evicted), (SELECT count(*) FROM refused)"""
        with self._rows(query) as rows:
            devices, blocks, samples, points, transitions, alerts, quarantined, evicted, refused = next(rows)
        return Counts(
            devices=devices,
            blocks=blocks,
            samples=samples,
            points=points,
            transitions=transitions,
            alerts=alerts,
            quarantined=quarantined,
            quarantine_evicted=evicted,
            refused=refused,
        )

    def _points(self, measurement: str, query: str, values: Sequence[object]) -> list[Point]:
        """Return points from rows of tags, fields and time; without one whose kind of row damage took."""
        with self._rows(query, values) as rows:
            found = rows.fetchall()
        with self._rows("SELECT number, names FROM kinds") as rows:  # afterwards: those of all that were found
            kinds = {number: kind_of(names) for number, names in rows}
        points = []
        for tags, packed, time_ns in found:
            content = _content(packed)
            if isinstance(content, dict):
                points.append(Point(measurement, _tags(tags), content, time_ns))
            elif content[0] in kinds:
                points.append(Point(measurement, _tags(tags), kinds[content[0]].fields(content[1]), time_ns))
        return points

    def _alerts(self, query: str, values: Sequence[object]) -> list[StoredAlert]:
        with self._rows(query, values) as rows:
            return [StoredAlert(alert=codec.decode_alert(payload), stored_s=stored_s) for stored_s, payload in rows]

    @contextmanager
    def _rows(self, query: str, values: Sequence[Any] = ()) -> Iterator[sqlite3.Cursor]:
        if not self._path.exists():
            raise StorageError("there is no store here. Has a gateway run on this folder?", path=self._path)
        with translated(self._path), closing(_open(self._path)) as connection:
            yield connection.execute(query, values)


def _open(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=5.0)
    try:
        connection.execute("SELECT 1 FROM devices LIMIT 1")
    except sqlite3.OperationalError as error:
        connection.close()
        if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_CANTOPEN:
            raise
        # nobody writes it, and this user may not make the files that sharing needs
        return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True)
    return connection


def _block(rows: list[tuple[int, int, bytes, bytes]], start_s: float, end_s: float) -> Block:
    of_late, counts, of_times, of_samples = zip(*rows, strict=True)
    times = np.frombuffer(b"".join(of_times), "<f8").astype(np.float64)
    late = np.repeat(np.array(of_late, np.bool_), counts)
    widths = np.array(list(map(len, of_samples))) // 4 // np.array(counts)
    if (widths == widths[0]).all():  # nearly always; thousands of small arrays would take long
        values = np.frombuffer(b"".join(of_samples), "<f4").reshape(-1, widths[0])
    else:
        pairs = zip(counts, of_samples, strict=True)
        values = _below([np.frombuffer(samples, "<f4").reshape(count, -1) for count, samples in pairs])
    order = np.argsort(times, kind="stable")
    order = order[(times[order] >= start_s) & (times[order] < end_s)]
    return Block(times=times[order], values=values[order].astype(np.float32, copy=False), late=late[order])


def _below(blocks: list[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Put blocks one below the other; a block from before a channel was added has NaN in it."""
    width = max((block.shape[1] for block in blocks), default=0)
    padded = [np.pad(block, ((0, 0), (0, width - block.shape[1])), constant_values=np.nan) for block in blocks]
    return np.concatenate(padded) if padded else np.empty((0, 0), np.float32)
