# ruff: noqa: S608  # lanes are tables; both names stand in this file
"""The outbox in one SQLite file: a table a lane, a row a batch's outputs, a cursor a store and lane.

Entries stay in memory for a moment (:mod:`gateway.outbox.fresh`), where the stores that are there take them from; what
waits longer is written. That is not synced (``synchronous=NORMAL``): after a crash the journal gives the same outputs
again. :meth:`SqliteOutbox.flush` is called before the journal forgets, that is, before a snapshot.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import accumulate
from math import inf
from pathlib import Path
from typing import Final, Literal

import msgspec

from contract.domains import DOMAINS, Domain
from gateway import ladder
from gateway.outbox.fresh import LANES, Fresh, FreshEntry
from gateway.ports import Entry, Lane, OutboxLoad, Outputs, Reduction
from gateway.sqlite_file import (
    Row,
    Salvage,
    StorageCorruptError,
    StorageError,
    StorageFullError,
    Whole,
    closed_on_error,
    open_database,
    transaction,
    translated,
)

ALL_TO_LOCAL: Final[Mapping[str, tuple[Lane, ...]]] = {"local": LANES}

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS alerts (
    position INTEGER PRIMARY KEY, created_s REAL NOT NULL, crc INTEGER NOT NULL, body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS features (
    position INTEGER PRIMARY KEY, created_s REAL NOT NULL, crc INTEGER NOT NULL, body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS raw (
    position INTEGER PRIMARY KEY, created_s REAL NOT NULL, crc INTEGER NOT NULL, body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS cursors (
    store TEXT NOT NULL, lane TEXT NOT NULL, position INTEGER NOT NULL, UNIQUE (store, lane));
CREATE TABLE IF NOT EXISTS progress (one INTEGER PRIMARY KEY CHECK (one = 1), position INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS reductions (
    number INTEGER PRIMARY KEY, crc INTEGER NOT NULL, body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS thinned (one INTEGER PRIMARY KEY CHECK (one = 1), position INTEGER NOT NULL);
"""
FRESH_S: Final = 2.0
"""Longest time that an entry stays in memory alone, seconds: twice what a store gathers before it takes a load."""
FRESH_ROWS: Final = 8_000
"""Rows that may stay in memory alone, but for one batch's; some 5 MB, for when batches are large and stores slow."""
CLOCK_SET_S: Final = 60.0
"""A clock that is this far from where it would be by now was set, seconds."""
ENTRIES_A_STEP: Final = 256
"""Entries that one step of :meth:`SqliteOutbox.relieve` takes; bounds its memory and its time."""
_LAST: Final = 2**62
"""Position beyond every other."""
_SAVE_CURSOR: Final = "INSERT OR REPLACE INTO cursors VALUES (?, ?, ?)"
_SAVE_POSITION: Final = "INSERT OR REPLACE INTO progress VALUES (1, ?)"

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Outputs).decode
_decode_note = msgspec.msgpack.Decoder(Reduction).decode


class OutboxFullError(StorageFullError):
    """The outbox cannot take outputs now: nothing was taken, append them again later."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneStatistics:
    """How much of one lane waits for its slowest store."""

    entries: int
    size_bytes: int
    """On disk; what is in memory only has not been packed yet."""
    oldest_age_s: float
    """Time since the oldest entry was appended, seconds; 0 when there is none."""


@dataclass(slots=True)
class _Held:
    """Totals of a lane, kept beside the table so that statistics touch no disk."""

    entries: int
    size_bytes: int
    oldest_s: float


class SqliteOutbox:
    """Implements :class:`gateway.ports.Outbox` on one file that no other process may open meanwhile.

    ``stores`` says which lanes each store takes; ``domains`` names the channels of what is thinned. A store that is
    new gets what is still held; one that is gone holds nothing back. The first is the one that has everything.
    """

    def __init__(
        self,
        path: Path,
        stores: Mapping[str, tuple[Lane, ...]] = ALL_TO_LOCAL,
        *,
        domains: Mapping[str, Domain] = DOMAINS,
        clock: Callable[[], float] = time.time,
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:
        """Open or create the file; check all of it, and mend it if it is damaged.

        ``clock`` dates entries, so that their age outlives a restart; by ``ticks`` it is known when it is set.

        :raises StorageError: it cannot be used
        """
        self._path = path
        self._clock, self._ticks = clock, ticks
        self._seen_s = clock(), ticks()
        self._domains = domains
        self._first = next(iter(stores), "")
        self._takers = {lane: tuple(name for name, lanes in stores.items() if lane in lanes) for lane in LANES}
        self.salvage: Salvage | None
        """What was done about damage found on opening."""
        whole: dict[str, Whole | None] = {
            **dict.fromkeys(LANES, _is_whole),
            "cursors": _is_cursor,
            "progress": _is_progress,
            "reductions": _is_note,
            "thinned": _is_progress,
        }
        self._noted = 0
        self._fresh = Fresh()
        self._fresh_rows = dict.fromkeys(stores, 0)
        self._connection, self.salvage = open_database(path, _SCHEMA, whole, synchronous="NORMAL", exclusive=True)
        with closed_on_error(self._connection), translated(path, OutboxFullError):
            self._position = self._written = self._load_position()  # what is newer than written is fresh, or delivered
            self._cursors = self._load_cursors()
            self._held = {lane: self._count(lane) for lane in LANES}
            for lane in LANES:
                self._forget_delivered(lane)

    @property
    def position(self) -> int:
        """Newest journal position whose outputs are held or were delivered."""
        return self._position

    def fresh_rows(self, store: str) -> int:
        """Return how many rows in memory alone wait for a store; any thread may ask."""
        return self._fresh_rows[store]

    def append(self, position: int, outputs: Outputs) -> None:
        """Take the outputs of one batch; a position already taken is ignored, so that replay adds nothing.

        They are noted in memory only: after a crash the journal gives them again. What waits there for long is written.

        :raises OutboxFullError: nothing was taken; the same call may succeed later
        """
        if position <= self._position:
            return
        now_s = self._clock()
        since_s = min((at_s for lane in LANES if (at_s := self._fresh.oldest_s(lane)) is not None), default=now_s)
        if now_s - since_s > FRESH_S or self._fresh.rows >= FRESH_ROWS:
            with translated(self._path, OutboxFullError):
                self._write()
        for lane, part in _by_lane(outputs):
            if part and self._takers[lane]:
                self._fresh.add(lane, FreshEntry(position, now_s, part))
                for store in self._takers[lane]:
                    self._fresh_rows[store] += part.rows
        self._position = position

    def flush(self) -> None:
        """Make everything appended so far durable.

        :raises OutboxFullError: it is not; the same call may succeed later
        """
        with translated(self._path, OutboxFullError):
            # one synced commit carries everything before it in the log
            self._connection.execute("PRAGMA synchronous = FULL")
            try:
                self._write()
            finally:
                self._connection.execute("PRAGMA synchronous = NORMAL")

    def pending(self, store: str, lane: Lane, rows: int) -> list[Entry]:
        """Return a store's oldest undelivered entries of a lane; none of a lane that it does not take.

        No more than hold so many rows, but for what the last one has beyond.

        :raises StorageCorruptError: damage since the file was opened; opening it again salvages it
        """
        if (store, lane) not in self._cursors:
            return []
        found = []
        with translated(self._path):
            for entry in self._after(lane, self._cursors[store, lane]):
                found.append(entry)
                rows -= entry.outputs.rows
                if rows <= 0:
                    break
        return found

    def done(self, store: str, lane: Lane, entry_id: int) -> None:
        """Move a store's cursor past an entry; entries that every store has passed are deleted.

        :raises OutboxFullError: the cursor did not move; delivering again changes nothing
        """
        if entry_id <= self._cursors[store, lane]:
            return
        with translated(self._path, OutboxFullError):
            if self._held[lane].entries:
                # no further than what is written: a cursor tells the next start what need not be replayed
                self._connection.execute(_SAVE_CURSOR, (store, lane, min(entry_id, self._written)))
            taken = self._fresh.after(lane, self._cursors[store, lane])
            self._fresh_rows[store] -= sum(entry.outputs.rows for entry in taken if entry.id <= entry_id)
            self._cursors[store, lane] = entry_id
            if self._held[lane].entries:
                self._forget_delivered(lane)
        self._fresh.forget(lane, self._passed(lane))

    def relieve(self, max_bytes: int, max_age_s: float) -> bool:
        """Give up the least of what is over a limit, and note what went; tell whether anything did.

        One step at a time: what is too old goes first; then, oldest first, raw readings are thinned, then dropped,
        then points are dropped, and alerts last. Alerts have no age. What the first store has already goes before what
        no store has: another store's absence takes nothing from it.

        :raises OutboxFullError: nothing was changed; the same call may succeed later
        """
        now_s = self._follow_clock()
        for lane in reversed(LANES[1:]):
            if self._held[lane].entries and now_s - self._held[lane].oldest_s > max_age_s:
                return self._drop(lane, f"older than {max_age_s / 86_400:g} days", before_s=now_s - max_age_s)
        surplus = sum(held.size_bytes for held in self._held.values()) - max_bytes
        if surplus <= 0:
            return False
        reason = f"the outbox reached its limit of {max_bytes / 1e6:g} MB"
        held_elsewhere = {lane: self._cursors.get((self._first, lane), _LAST) for lane in LANES}
        return any(
            self._thin(reason, up_to["raw"])
            or any(self._drop(lane, reason, surplus=surplus, up_to=up_to[lane]) for lane in reversed(LANES))
            for up_to in (held_elsewhere, dict.fromkeys(LANES, _LAST))
        )

    def reductions(self, limit: int) -> list[Reduction]:
        """Return the oldest notes of what was given up that are not settled yet."""
        with translated(self._path):
            rows = self._connection.execute("SELECT body FROM reductions ORDER BY number LIMIT ?", (limit,)).fetchall()
        return [_decode_note(body) for (body,) in rows]

    def settle(self, number: int) -> None:
        """Forget the notes up to a number: a store has entered them in its ledger.

        :raises OutboxFullError: they are noted still; entering them again changes nothing
        """
        with translated(self._path, OutboxFullError):
            self._connection.execute("DELETE FROM reductions WHERE number <= ?", (number,))

    def statistics(self) -> dict[Lane, LaneStatistics]:
        """Return how much waits, by lane; touches no disk."""
        return {lane: self._statistics(lane, held) for lane, held in self._held.items()}

    def _statistics(self, lane: Lane, held: _Held) -> LaneStatistics:
        oldest_s = held.oldest_s if held.entries else self._fresh.oldest_s(lane)
        return LaneStatistics(
            entries=held.entries + self._fresh.waiting(lane),
            size_bytes=held.size_bytes,
            oldest_age_s=0.0 if oldest_s is None else max(0.0, self._clock() - oldest_s),
        )

    def load(self) -> OutboxLoad:
        """Return how much waits, over all lanes; touches no disk."""
        lanes = self.statistics().values()
        return OutboxLoad(
            entries=sum(lane.entries for lane in lanes),
            size_bytes=sum(lane.size_bytes for lane in lanes),
            oldest_age_s=max(lane.oldest_age_s for lane in lanes),
        )

    def close(self) -> None:
        """Write what waits, as far as there is room, and release the file; the journal gives the rest again."""
        with suppress(StorageError), translated(self._path):
            self._write()
        self._connection.close()

    def _after(self, lane: Lane, position: int) -> Iterator[Entry]:
        """Yield the entries behind a position, oldest first: those in the file, then those in memory."""
        if self._held[lane].entries:
            query = f"SELECT * FROM {lane} WHERE position > ? ORDER BY position"
            for row in self._connection.execute(query, (position,)):
                if not _is_whole(row):
                    raise StorageCorruptError(f"entry {row[0]} of lane {lane} is damaged", path=self._path)
                yield Entry(row[0], _decode(row[-1]))
        yield from self._fresh.after(lane, position)

    def _write(self) -> None:
        """Write what is in memory: entries, cursors and position, all or nothing."""
        sizes: list[int] = []
        with transaction(self._connection):
            execute = self._connection.execute
            for lane, entry in self._fresh:
                body = _encode(entry.outputs)
                sizes.append(len(body))
                row = (entry.position, entry.created_s, zlib.crc32(body, entry.position), body)
                execute(f"INSERT OR REPLACE INTO {lane} VALUES (?, ?, ?, ?)", row)
            for (store, lane), position in self._cursors.items():
                execute(_SAVE_CURSOR, (store, lane, position))
            execute(_SAVE_POSITION, (self._position,))
        for (lane, entry), size_bytes in zip(self._fresh, sizes, strict=True):
            held = self._held[lane]
            held.oldest_s = held.oldest_s if held.entries else entry.created_s
            held.entries += 1
            held.size_bytes += size_bytes
        self._written = self._position
        self._fresh.clear()
        self._fresh_rows = dict.fromkeys(self._fresh_rows, 0)

    def _follow_clock(self) -> float:
        """Return the time; if the clock was set, date entries anew: they are as old as they were, whatever it says now.

        A Pi without a clock of its own begins where it was switched off, and is set when it finds the network.
        """
        (then_s, then_ticks), now_s, ticks = self._seen_s, self._clock(), self._ticks()
        set_by_s = (now_s - then_s) - (ticks - then_ticks)
        if abs(set_by_s) >= CLOCK_SET_S:
            with translated(self._path, OutboxFullError):
                self._write()
            with translated(self._path, OutboxFullError), transaction(self._connection):
                for lane in LANES:
                    self._connection.execute(f"UPDATE {lane} SET created_s = created_s + ?", (set_by_s,))
            self._held = {lane: self._count(lane) for lane in LANES}
        self._seen_s = now_s, ticks
        return now_s

    def _thin(self, reason: str, up_to: int) -> bool:
        """Thin the oldest readings that are whole still."""
        with translated(self._path, OutboxFullError):
            thinned = self._connection.execute("SELECT ifnull(max(position), 0) FROM thinned").fetchone()[0]
            rows = self._rows("raw", "position > ?", thinned, up_to)
            if not rows:
                return False
            entries = [_decode(body) for *_, body in rows]
            first, last, body = rows[0][0], rows[-1][0], _encode(ladder.thin(entries, self._domains))
            of_readings = [Outputs(readings=outputs.readings) for outputs in entries]
            with transaction(self._connection):
                self._note("thinned", "raw", last, reason, of_readings)
                self._connection.execute("DELETE FROM raw WHERE position BETWEEN ? AND ?", (first, last))
                row = (last, rows[-1][1], zlib.crc32(body, last), body)
                self._connection.execute("INSERT INTO raw VALUES (?, ?, ?, ?)", row)
                self._connection.execute("INSERT OR REPLACE INTO thinned VALUES (1, ?)", (last,))
            self._held["raw"] = self._count("raw")
        return True

    def _drop(
        self, lane: Lane, reason: str, *, before_s: float = inf, surplus: float = inf, up_to: int = _LAST
    ) -> bool:
        """Drop the oldest entries of a lane, no more than need be; tell whether there were any."""
        with translated(self._path, OutboxFullError):
            rows = self._rows(lane, "created_s < ?", before_s, up_to)
            if not rows:
                return False
            sizes = accumulate(len(body) for *_, body in rows)
            rows = rows[: 1 + sum(size < surplus for size in sizes)]
            last = rows[-1][0]
            with transaction(self._connection):
                self._note("dropped", lane, last, reason, [_decode(body) for *_, body in rows])
                self._connection.execute(f"DELETE FROM {lane} WHERE position BETWEEN ? AND ?", (rows[0][0], last))
            self._held[lane] = self._count(lane)
        return True

    def _rows(self, lane: Lane, condition: str, value: float, up_to: int) -> list[Row]:
        """Return the oldest whole rows that fulfil a condition; those that damage met are passed over."""
        query = f"SELECT * FROM {lane} WHERE {condition} AND position <= ? ORDER BY position LIMIT {ENTRIES_A_STEP}"
        return [row for row in self._connection.execute(query, (value, up_to)) if _is_whole(row)]

    def _note(
        self, what: Literal["thinned", "dropped"], lane: Lane, last: int, reason: str, entries: Sequence[Outputs]
    ) -> None:
        """Note what goes, a line a device; numbers go up with the clock, so that they outlive this file."""
        stores = tuple(name for name in self._takers[lane] if self._cursors[name, lane] < last)
        now_s = self._clock()
        for who, account in ladder.accounts(entries).items():
            self._noted = max(self._noted + 1, int(now_s * 1e6))
            note = Reduction(
                number=self._noted,
                at_s=now_s,
                what=what,
                lane=lane,
                stores=stores,
                reason=reason,
                site=who.site,
                domain=who.domain,
                device=who.device,
                samples=account.samples,
                points=account.points,
                alerts=account.alerts,
                first_s=account.first_s,
                last_s=account.last_s,
            )
            body = _encode(note)
            self._connection.execute(
                "INSERT INTO reductions VALUES (?, ?, ?)", (self._noted, zlib.crc32(body, self._noted), body)
            )

    def _forget_delivered(self, lane: Lane) -> None:
        """Delete the entries that every store has passed."""
        passed = self._passed(lane)
        execute = self._connection.execute
        query = f"SELECT count(*), sum(length(body)) FROM {lane} WHERE position <= ?"
        entries, size_bytes = execute(query, (passed,)).fetchone()
        if entries:
            execute(f"DELETE FROM {lane} WHERE position <= ?", (passed,))
            held = self._held[lane]
            held.entries -= entries
            held.size_bytes -= size_bytes
            held.oldest_s = self._oldest_s(lane)

    def _passed(self, lane: Lane) -> int:
        """Return the position up to which every store has a lane."""
        return min((self._cursors[store, lane] for store in self._takers[lane]), default=self._position)

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
            UNION ALL SELECT max(position) FROM features UNION ALL SELECT max(position) FROM raw
            UNION ALL SELECT max(position) FROM cursors)"""
        return int(self._connection.execute(query).fetchone()[0])

    def _load_cursors(self) -> dict[tuple[str, Lane], int]:
        rows = self._connection.execute("SELECT store, lane, position FROM cursors").fetchall()
        saved = {(store, lane): position for store, lane, position in rows}
        wanted: list[tuple[str, Lane]] = [(store, lane) for lane in LANES for store in self._takers[lane]]
        return {key: saved.get(key, 0) for key in wanted}


def _by_lane(outputs: Outputs) -> tuple[tuple[Lane, Outputs], ...]:
    raw = Outputs(readings=outputs.readings, quarantined=outputs.quarantined, ledger=outputs.ledger)
    return ("alerts", Outputs(outputs.alerts)), ("features", Outputs(points=outputs.points)), ("raw", raw)


def _is_whole(row: Row) -> bool:
    position, created_s, crc, body = row
    return isinstance(created_s, float) and isinstance(body, bytes) and bool(crc == zlib.crc32(body, position))


def _is_cursor(row: Row) -> bool:
    _, lane, position = row
    return lane in LANES and isinstance(position, int)


def _is_note(row: Row) -> bool:
    number, crc, body = row
    return isinstance(body, bytes) and bool(crc == zlib.crc32(body, number))


def _is_progress(row: Row) -> bool:
    return isinstance(row[1], int)
