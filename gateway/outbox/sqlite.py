# ruff: noqa: S608  # lanes are tables; both names stand in this file
"""The outbox in one SQLite file: a table a lane, a row a batch's outputs, a cursor a store and lane.

Commits are not synced (``synchronous=NORMAL``): after a power cut the journal gives the same outputs again.
:meth:`SqliteOutbox.flush` is called before the journal forgets, that is, before a snapshot.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, get_args

import msgspec

from gateway.ports import Entry, Lane, OutboxLoad, Outputs
from gateway.sqlite_file import (
    Row,
    Salvage,
    StorageCorruptError,
    StorageFullError,
    open_database,
    transaction,
    translated,
)

LANES: Final[tuple[Lane, ...]] = get_args(Lane)
ALL_TO_LOCAL: Final[Mapping[str, tuple[Lane, ...]]] = {"local": LANES}

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS alerts (
    position INTEGER PRIMARY KEY, created_s REAL NOT NULL, crc INTEGER NOT NULL, body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS bulk (
    position INTEGER PRIMARY KEY, created_s REAL NOT NULL, crc INTEGER NOT NULL, body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS cursors (
    store TEXT NOT NULL, lane TEXT NOT NULL, position INTEGER NOT NULL, UNIQUE (store, lane));
CREATE TABLE IF NOT EXISTS progress (one INTEGER PRIMARY KEY CHECK (one = 1), position INTEGER NOT NULL);
"""
_SAVE_POSITION: Final = "INSERT OR REPLACE INTO progress VALUES (1, ?)"

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Outputs).decode


class OutboxFullError(StorageFullError):
    """The outbox cannot take outputs now: nothing was taken, append them again later."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneStatistics:
    """How much of one lane waits for its slowest store."""

    entries: int
    size_bytes: int
    oldest_age_s: float
    """Time since the oldest entry was appended, seconds; 0 when there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evicted:
    """Entries of a lane that were dropped to make room, undelivered to at least one store."""

    lane: Lane
    entries: int
    size_bytes: int
    first: int
    """Journal position of the oldest entry dropped."""
    last: int


@dataclass(slots=True)
class _Held:
    """Totals of a lane, kept beside the table so that statistics touch no disk."""

    entries: int
    size_bytes: int
    oldest_s: float


class SqliteOutbox:
    """Implements :class:`gateway.ports.Outbox` on one file that no other process may open meanwhile.

    ``stores`` says which lanes each store takes. A store that is new gets what is still held; one that is gone
    holds nothing back.
    """

    def __init__(
        self,
        path: Path,
        stores: Mapping[str, tuple[Lane, ...]] = ALL_TO_LOCAL,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Open or create the file; check all of it, and mend it if it is damaged.

        :raises StorageError: it cannot be used
        """
        self._path = path
        self._clock = clock
        self._takers = {lane: tuple(name for name, lanes in stores.items() if lane in lanes) for lane in LANES}
        self.salvage: Salvage | None
        """What was done about damage found on opening."""
        whole = {"alerts": _is_whole, "bulk": _is_whole, "cursors": _is_cursor, "progress": _is_progress}
        self._connection, self.salvage = open_database(path, _SCHEMA, whole, synchronous="NORMAL", exclusive=True)
        with translated(path, OutboxFullError):
            self._position = self._load_position()
            self._cursors = self._load_cursors()
            self._held = {lane: self._count(lane) for lane in LANES}
            for lane in LANES:
                self._forget_delivered(lane)

    @property
    def position(self) -> int:
        """Newest journal position whose outputs are held or were delivered."""
        return self._position

    def append(self, position: int, outputs: Outputs) -> None:
        """Take the outputs of one batch; a position already taken is ignored, so that replay adds nothing.

        Empty outputs are noted in memory only: after a crash the journal gives them again, and they are empty again.

        :raises OutboxFullError: nothing was taken; the same call may succeed later
        """
        if position <= self._position:
            return
        entries = [(lane, _encode(part)) for lane, part in _by_lane(outputs) if part and self._takers[lane]]
        if entries:
            self._insert(position, entries)
        self._position = position

    def flush(self) -> None:
        """Make everything appended so far durable.

        :raises OutboxFullError: it is not; the same call may succeed later
        """
        with translated(self._path, OutboxFullError):
            # one synced commit carries everything before it in the log
            self._connection.execute("PRAGMA synchronous = FULL")
            try:
                self._connection.execute(_SAVE_POSITION, (self._position,))
            finally:
                self._connection.execute("PRAGMA synchronous = NORMAL")

    def pending(self, store: str, lane: Lane, limit: int) -> list[Entry]:
        """Return a store's oldest undelivered entries of a lane; none of a lane that it does not take.

        :raises StorageCorruptError: damage since the file was opened; opening it again salvages it
        """
        if (store, lane) not in self._cursors:
            return []
        query = f"SELECT * FROM {lane} WHERE position > ? ORDER BY position LIMIT ?"
        with translated(self._path):
            rows = self._connection.execute(query, (self._cursors[store, lane], limit)).fetchall()
        for row in rows:
            if not _is_whole(row):
                raise StorageCorruptError(f"entry {row[0]} of lane {lane} is damaged", path=self._path)
        return [Entry(position, _decode(body)) for position, _, _, body in rows]

    def done(self, store: str, lane: Lane, entry_id: int) -> None:
        """Move a store's cursor past an entry; entries that every store has passed are deleted.

        :raises OutboxFullError: the cursor did not move; delivering again changes nothing
        """
        if entry_id <= self._cursors[store, lane]:
            return
        with translated(self._path, OutboxFullError):
            self._connection.execute("INSERT OR REPLACE INTO cursors VALUES (?, ?, ?)", (store, lane, entry_id))
            self._cursors[store, lane] = entry_id
            self._forget_delivered(lane)

    def evict(self, lane: Lane, keep_bytes: int) -> Evicted | None:
        """Drop the oldest entries of a lane until at most ``keep_bytes`` are held.

        What went is returned, to be accounted for; what a store has already taken is not lost to it.
        """
        surplus = self._held[lane].size_bytes - keep_bytes
        if surplus <= 0:
            return None
        with translated(self._path):
            sizes = self._connection.execute(f"SELECT position, length(body) FROM {lane} ORDER BY position")
            last, _ = next(row for row in _running_total(sizes) if row[1] >= surplus)
            return self._delete(lane, last)

    def statistics(self) -> dict[Lane, LaneStatistics]:
        """Return how much waits, by lane; touches no disk."""
        now_s = self._clock()
        return {
            lane: LaneStatistics(
                entries=held.entries,
                size_bytes=held.size_bytes,
                oldest_age_s=max(0.0, now_s - held.oldest_s) if held.entries else 0.0,
            )
            for lane, held in self._held.items()
        }

    def load(self) -> OutboxLoad:
        """Return how much waits, over both lanes; touches no disk."""
        lanes = self.statistics().values()
        return OutboxLoad(
            entries=sum(lane.entries for lane in lanes),
            size_bytes=sum(lane.size_bytes for lane in lanes),
            oldest_age_s=max(lane.oldest_age_s for lane in lanes),
        )

    def close(self) -> None:
        """Release the file; what was not flushed comes again from the journal, or is there already."""
        self._connection.close()

    def _insert(self, position: int, entries: list[tuple[Lane, bytes]]) -> None:
        now_s = self._clock()
        with translated(self._path, OutboxFullError), transaction(self._connection):
            for lane, body in entries:
                row = (position, now_s, zlib.crc32(body, position), body)
                self._connection.execute(f"INSERT OR REPLACE INTO {lane} VALUES (?, ?, ?, ?)", row)
        for lane, body in entries:
            held = self._held[lane]
            held.oldest_s = held.oldest_s if held.entries else now_s
            held.entries += 1
            held.size_bytes += len(body)

    def _forget_delivered(self, lane: Lane) -> None:
        passed = min((self._cursors[store, lane] for store in self._takers[lane]), default=self._position)
        self._delete(lane, passed)

    def _delete(self, lane: Lane, last: int) -> Evicted | None:
        """Delete the entries up to a position."""
        execute = self._connection.execute
        entries, size_bytes, first, last = execute(
            f"SELECT count(*), sum(length(body)), min(position), max(position) FROM {lane} WHERE position <= ?", (last,)
        ).fetchone()
        if not entries:
            return None
        execute(f"DELETE FROM {lane} WHERE position <= ?", (last,))
        held = self._held[lane]
        held.entries -= entries
        held.size_bytes -= size_bytes
        held.oldest_s = self._oldest_s(lane)
        return Evicted(lane=lane, entries=entries, size_bytes=size_bytes, first=first, last=last)

    def _oldest_s(self, lane: Lane) -> float:
        oldest = self._connection.execute(f"SELECT created_s FROM {lane} ORDER BY position LIMIT 1").fetchone()
        return oldest[0] if oldest else 0.0

    def _count(self, lane: Lane) -> _Held:
        query = f"SELECT count(*), ifnull(sum(length(body)), 0) FROM {lane}"
        entries, size_bytes = self._connection.execute(query).fetchone()
        return _Held(entries, size_bytes, self._oldest_s(lane))

    def _load_position(self) -> int:
        """Return the newest position that the file knows of: noted by a flush, held, or delivered."""
        query = """SELECT ifnull(max(position), 0) FROM (
            SELECT position FROM progress UNION ALL SELECT max(position) FROM alerts
            UNION ALL SELECT max(position) FROM bulk UNION ALL SELECT max(position) FROM cursors)"""
        return int(self._connection.execute(query).fetchone()[0])

    def _load_cursors(self) -> dict[tuple[str, Lane], int]:
        rows = self._connection.execute("SELECT store, lane, position FROM cursors").fetchall()
        saved = {(store, lane): position for store, lane, position in rows}
        wanted: list[tuple[str, Lane]] = [(store, lane) for lane in LANES for store in self._takers[lane]]
        return {key: saved.get(key, 0) for key in wanted}


def _by_lane(outputs: Outputs) -> tuple[tuple[Lane, Outputs], ...]:
    bulk = Outputs([], outputs.points, outputs.readings, outputs.quarantined, outputs.ledger)
    return ("alerts", Outputs(outputs.alerts)), ("bulk", bulk)


def _running_total(sizes: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    total = 0
    for position, size_bytes in sizes:
        total += size_bytes
        yield position, total


def _is_whole(row: Row) -> bool:
    position, created_s, crc, body = row
    return isinstance(created_s, float) and isinstance(body, bytes) and bool(crc == zlib.crc32(body, position))


def _is_cursor(row: Row) -> bool:
    _, lane, position = row
    return lane in LANES and isinstance(position, int)


def _is_progress(row: Row) -> bool:
    return isinstance(row[1], int)
