"""The local store: readings, points, alerts, quarantine and ledger in one SQLite file that others may read meanwhile.

Every write is an upsert on a deterministic key, so delivering twice changes nothing. Writes run in a thread of the
store's own, one after the other.
"""

from __future__ import annotations

import asyncio
import hashlib
import sqlite3
import struct
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from contract import codec
from contract.messages import Alert
from contract.points import Point
from gateway.ports import (
    Keep,
    LedgerLine,
    Outputs,
    Pruned,
    Quarantined,
    Readings,
    Reduction,
    Refused,
    StoreUnavailableError,
)
from gateway.sqlite_file import (
    Salvage,
    StorageCorruptError,
    StorageError,
    Synchronous,
    open_database,
    transaction,
    translated,
)
from gateway.stores import retention
from gateway.stores.local_schema import SCHEMA, TABLES, TIDY

T = TypeVar("T")

_CHECKED_BYTES: Final = 256 * 2**20
"""A larger file is not read through when it is opened; damage in it is mended when a write meets it."""
_SERIES_CACHED: Final = 50_000
"""Series numbers kept in memory, about 15 MB; beyond, the cache starts anew."""

_STATEMENTS: Final = 32
"""Statements that stay prepared: a new device needs four, and preparing one costs as much as running it ten times."""
_ROWS_A_STATEMENT: Final = 32
"""Rows of one INSERT, where there are many: SQLite's step lets go of the interpreter's lock, and once a row is dear."""


class _Insert:
    """An INSERT with values for one row, and the same with values for many."""

    def __init__(self, table: str, columns: int, more: str) -> None:
        row = f"({','.join('?' * columns)})"
        self._one, self._many = (
            f"INSERT INTO {table} VALUES {','.join([row] * rows)} {more}"  # noqa: S608  # names from this file
            for rows in (1, _ROWS_A_STATEMENT)
        )

    def run(self, connection: sqlite3.Connection, rows: Iterable[tuple[object, ...]]) -> None:
        """Insert rows, in order; each is made when it is due."""
        remaining = iter(rows)
        rest: list[tuple[object, ...]] = []

        def statements() -> Iterator[list[object]]:
            nonlocal rest
            while len(rest := list(islice(remaining, _ROWS_A_STATEMENT))) == _ROWS_A_STATEMENT:
                yield list(chain.from_iterable(rest))

        connection.executemany(self._many, statements())
        connection.executemany(self._one, rest)


_PUT_READINGS: Final = _Insert(
    "readings",
    8,
    """ON CONFLICT DO UPDATE SET first_s = excluded.first_s, last_s = excluded.last_s, count = excluded.count,
        times = excluded.times, samples = excluded.samples""",
)
_PUT_KIND: Final = "INSERT OR IGNORE INTO kinds VALUES (?, ?)"
_PUT_POINT: Final = _Insert("points", 3, "ON CONFLICT DO UPDATE SET fields = excluded.fields")
# stored_s stays: it says when the transition was first seen here
_PUT_ALERT: Final = """INSERT INTO alerts VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT DO UPDATE SET onset_s = excluded.onset_s, severity = excluded.severity, payload = excluded.payload"""
_PUT_QUARANTINED: Final = """INSERT INTO quarantine SELECT ?1, ?2, ?3, ?4, ?5, ?6
    WHERE (?1, ?2) > (SELECT ifnull(max(position), -1), ifnull(max(place), -1) FROM quarantine_evicted)
    ON CONFLICT DO UPDATE SET topic = excluded.topic, reason = excluded.reason, payload = excluded.payload"""
_PUT_REFUSED: Final = """INSERT INTO refused VALUES (?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT DO UPDATE SET reason = excluded.reason, fields = excluded.fields"""
# published, last_s and the sum never fall, so a replayed older line is known by them
_PUT_LEDGER: Final = _Insert(
    "ledger",
    11,
    """ON CONFLICT DO UPDATE SET published = excluded.published, stored = excluded.stored,
        duplicate = excluded.duplicate, late = excluded.late, quarantined = excluded.quarantined,
        lost = excluded.lost, gaps = excluded.gaps, last_s = excluded.last_s
    WHERE (excluded.published, excluded.last_s, excluded.duplicate + excluded.quarantined + excluded.stored)
        >= (ledger.published, ledger.last_s, ledger.duplicate + ledger.quarantined + ledger.stored)""",
)
_PUT_REDUCTION: Final = f"INSERT OR REPLACE INTO reductions VALUES ({','.join('?' * 14)})"  # noqa: S608  # question marks
_OLDEST_QUARANTINED: Final = "SELECT position, place, length(payload) FROM quarantine ORDER BY position, place"
_COUNT_EVICTED: Final = """INSERT INTO quarantine_evicted VALUES (1, ?, ?, ?, ?)
    ON CONFLICT DO UPDATE SET position = excluded.position, place = excluded.place,
        rows = rows + excluded.rows, bytes = bytes + excluded.bytes"""
_BOUND_REFUSED: Final = "DELETE FROM refused WHERE rowid <= (SELECT max(rowid) FROM refused) - ?"

_encode = msgspec.msgpack.Encoder().encode
_time = struct.Struct("<d").unpack_from
_time_bytes = struct.calcsize("<d")
_tags = msgspec.json.Encoder(order="sorted").encode


@dataclass(frozen=True, slots=True, kw_only=True)
class QuarantineLimits:
    """How much quarantine keeps; beyond, the oldest go and are counted."""

    rows: int = 10_000
    """Most messages; as many refused points besides."""
    size_bytes: int = 16 * 2**20
    """Most payload bytes."""


class LocalStore:
    """Implements :class:`gateway.ports.Store` on a SQLite file; :class:`gateway.stores.reader.LocalReader` reads it."""

    name = "local"

    def __init__(
        self,
        path: Path,
        *,
        synchronous: Synchronous = "FULL",
        quarantine: QuarantineLimits = QuarantineLimits(),
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Open or create the file; check its structure, and mend it if it is damaged.

        With ``FULL``, what :meth:`write` took survives a power cut: the outbox forgets it then.

        :raises StorageError: it cannot be used
        """
        self._path = path
        self._synchronous: Synchronous = synchronous
        self._limits = quarantine
        self._clock = clock
        self._devices: dict[tuple[str, str, str], int] = {}
        self._series: dict[tuple[str, ...], int] = {}
        self._kinds: dict[bytes, int] = {}
        self._damaged = False
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="local-store")
        self.salvage: Salvage | None = None
        """What was done about damage that was found, on opening or later."""
        self._open(check_up_to_bytes=_CHECKED_BYTES)

    async def write(self, batch: Sequence[Outputs]) -> list[Refused]:
        """Write outputs, all or nothing; nothing is ever refused.

        :raises StoreUnavailableError: the disk is full or failing
        """
        await self._run(lambda: self._write(batch))
        return []

    async def write_refused(self, store: str, refused: Sequence[Refused]) -> None:
        """Keep points that another store will never take, with its words.

        :raises StoreUnavailableError: the disk is full or failing
        """
        await self._run(lambda: self._write_refused(store, refused))

    async def prune(self, now_s: float, keep: Keep) -> Pruned:
        """Delete what is older than it need be, and the oldest beyond the limit of bytes.

        :raises StoreUnavailableError: the disk is full or failing
        """
        return await self._run(lambda: retention.prune(self._connection, now_s, keep))

    async def close(self) -> None:
        """Finish the write under way and release the file."""
        await asyncio.to_thread(self._thread.shutdown)
        self._connection.close()

    async def _run(self, work: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, self._mended, work)
        except StorageError as error:
            raise StoreUnavailableError(str(error)) from error

    def _mended(self, work: Callable[[], T]) -> T:
        """Do work; if it meets damage, salvage the file and do it once more."""
        if not self._damaged:
            try:
                with translated(self._path):
                    return work()
            except StorageCorruptError:
                self._damaged = True
                self._connection.close()
        self._open(check_up_to_bytes=None)  # raises on a full disk, and is tried again with the next write
        self._damaged = False
        with translated(self._path):
            return work()

    def _open(self, *, check_up_to_bytes: int | None) -> None:
        self._connection, salvage = open_database(
            self._path,
            SCHEMA,
            TABLES,
            synchronous=self._synchronous,
            exclusive=False,
            tidy=TIDY,
            check_up_to_bytes=check_up_to_bytes,
            statements=_STATEMENTS,
        )
        self.salvage = salvage or self.salvage
        self._forget_numbers()

    def _write(self, batch: Sequence[Outputs]) -> None:
        try:
            with transaction(self._connection):
                self._put(batch)
                if any(outputs.quarantined for outputs in batch):
                    self._bound_quarantine()
        except BaseException:
            self._forget_numbers()  # those that were rolled back do not exist
            raise

    def _put(self, batch: Sequence[Outputs]) -> None:
        now_s, connection = self._clock(), self._connection
        many = connection.executemany
        many(_PUT_ALERT, [_alert_row(alert, now_s) for outputs in batch for alert in outputs.alerts])
        _PUT_READINGS.run(connection, (self._readings_row(block) for outputs in batch for block in outputs.readings))
        _PUT_POINT.run(connection, (self._point_row(point) for outputs in batch for point in outputs.points))
        many(_PUT_QUARANTINED, [_quarantined_row(message) for outputs in batch for message in outputs.quarantined])
        lines = {(line.site, line.domain, line.device): line for outputs in batch for line in outputs.ledger}
        _PUT_LEDGER.run(connection, map(_ledger_row, lines.values()))
        many(_PUT_REDUCTION, [_reduction_row(reduction) for outputs in batch for reduction in outputs.reductions])

    def _readings_row(self, readings: Readings) -> tuple[object, ...]:
        key = (readings.site, readings.domain, readings.device)
        device = self._devices.get(key) or self._device_number(key)
        times = readings.times
        (first_s,), (last_s,) = _time(times), _time(times, len(times) - _time_bytes)  # ascending
        head = (device, readings.start_ns, readings.late, first_s, last_s)
        return *head, readings.count, times, readings.values

    def _point_row(self, point: Point) -> tuple[int, int, bytes]:
        key = (point.measurement, *point.tags, *point.tags.values())
        series = self._series.get(key) or self._series_number(key, point)
        if not point.row:
            return series, point.time_ns, point.packed
        kind = self._kinds.get(point.row) or self._kind_number(point.row)
        return series, point.time_ns, _encode((kind, point.content))

    def _device_number(self, key: tuple[str, str, str]) -> int:
        self._connection.execute("INSERT OR IGNORE INTO devices (site, domain, device) VALUES (?, ?, ?)", key)
        query = "SELECT number FROM devices WHERE site = ? AND domain = ? AND device = ?"
        return self._devices.setdefault(key, self._connection.execute(query, key).fetchone()[0])

    def _series_number(self, key: tuple[str, ...], point: Point) -> int:
        if len(self._series) >= _SERIES_CACHED:
            self._series.clear()
        name = (point.measurement, _tags(point.tags).decode())
        self._connection.execute(
            "INSERT OR IGNORE INTO series (measurement, tags, site, device) VALUES (?, ?, ?, ?)",
            (*name, point.tags.get("site"), point.tags.get("device")),
        )
        query = "SELECT number FROM series WHERE measurement = ? AND tags = ?"
        return self._series.setdefault(key, self._connection.execute(query, name).fetchone()[0])

    def _kind_number(self, row: bytes) -> int:
        number = int.from_bytes(hashlib.sha256(row).digest()[:6], "big")
        self._connection.execute(_PUT_KIND, (number, row))
        return self._kinds.setdefault(row, number)

    def _forget_numbers(self) -> None:
        self._kinds.clear()
        self._devices.clear()
        self._series.clear()

    def _bound_quarantine(self) -> None:
        """Evict the oldest messages beyond the limits, a tenth more at once so that it need not be done every time."""
        execute = self._connection.execute
        rows, size_bytes = execute("SELECT count(*), ifnull(sum(length(payload)), 0) FROM quarantine").fetchone()
        if rows <= self._limits.rows and size_bytes <= self._limits.size_bytes:
            return
        surplus_rows, surplus_bytes = rows - 0.9 * self._limits.rows, size_bytes - 0.9 * self._limits.size_bytes
        gone_rows = gone_bytes = 0
        last = (-1, -1)
        for position, place, payload_bytes in execute(_OLDEST_QUARANTINED):
            last, gone_rows, gone_bytes = (position, place), gone_rows + 1, gone_bytes + payload_bytes
            if gone_rows >= surplus_rows and gone_bytes >= surplus_bytes:
                break
        execute("DELETE FROM quarantine WHERE (position, place) <= (?, ?)", last)
        execute(_COUNT_EVICTED, (*last, gone_rows, gone_bytes))

    def _write_refused(self, store: str, refused: Sequence[Refused]) -> None:
        now_s = self._clock()
        rows = [
            (
                store,
                r.point.measurement,
                _tags(r.point.tags).decode(),
                r.point.time_ns,
                now_s,
                r.reason,
                r.point.packed,
            )
            for r in refused
        ]
        with transaction(self._connection):
            self._connection.executemany(_PUT_REFUSED, rows)
            self._connection.execute(_BOUND_REFUSED, (self._limits.rows,))


def _alert_row(alert: Alert, now_s: float) -> tuple[object, ...]:
    when = (alert.id, alert.state, alert.at_s, alert.onset_s)
    return *when, alert.site, alert.domain, alert.device, alert.rule, alert.severity, now_s, codec.encode_alert(alert)


def _quarantined_row(message: Quarantined) -> tuple[object, ...]:
    head = (message.position, message.index, message.received_s)
    return *head, _storable(message.topic), _storable(message.reason), message.payload


def _ledger_row(line: LedgerLine) -> tuple[object, ...]:
    head = (line.site, line.domain, line.device, line.published, line.stored, line.duplicate, line.late)
    return *head, line.quarantined, line.lost, _encode(line.gaps), line.last_s


def _reduction_row(one: Reduction) -> tuple[object, ...]:
    head = (one.number, one.at_s, one.what, one.lane, " ".join(one.stores), one.reason)
    who = (one.site, one.domain, one.device)
    return *head, *who, one.samples, one.points, one.alerts, one.first_s, one.last_s


def _storable(text: str) -> str:
    """Return text that SQLite can hold: half a surrogate pair from a hostile topic becomes a question mark."""
    return text.encode(errors="replace").decode()
