"""The journal in one SQLite file: a row a batch, a row for each part of a snapshot, all with their checksums.

The write-ahead log is synced once a batch (``synchronous=FULL``), so what :meth:`SqliteJournal.append` returned
survives a power cut.
"""

from __future__ import annotations

import struct
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Final

import msgspec

from gateway.ports import Batch, Message
from gateway.sqlite_file import (
    Row,
    Salvage,
    StorageCorruptError,
    StorageFullError,
    Synchronous,
    closed_on_error,
    open_database,
    transaction,
    translated,
)

SNAPSHOTS_KEPT: Final = 2

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS batches (
    position INTEGER PRIMARY KEY, received_s REAL NOT NULL, crc INTEGER NOT NULL, body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS snapshot_parts (
    position INTEGER NOT NULL, part INTEGER NOT NULL, crc INTEGER NOT NULL, body BLOB NOT NULL,
    PRIMARY KEY (position, part));
CREATE TABLE IF NOT EXISTS losses (first INTEGER PRIMARY KEY, last INTEGER NOT NULL);
"""
_TIDY: Final = """
DELETE FROM snapshot_parts WHERE position IN (SELECT position FROM snapshot_parts GROUP BY position
    HAVING count(*) <= max(part) OR min(length(body)) > 0);
"""
"""Drops snapshots of which damage took a part."""
_END: Final = b""
"""The last part of every snapshot, so that one that is cut short is known."""
_BATCH_KEYS: Final = struct.Struct("<qd")
_PART_KEYS: Final = struct.Struct("<qq")

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[tuple[str, bytes]]).decode


class JournalFullError(StorageFullError):
    """The journal cannot take a batch now: acknowledge nothing, wait, and append it again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalStatistics:
    """How much the journal holds."""

    position: int
    """Newest position."""
    batches: int
    size_bytes: int
    """Bytes of the batches held."""
    written_bytes: int
    """Bytes of batches and snapshots given to SQLite since opening; the disk sees about twice as much."""
    oldest_age_s: float
    """Time since the oldest batch held was received, seconds; 0 when there is none."""


class SqliteJournal:
    """Implements :class:`gateway.ports.Journal` on one file that no other process may open meanwhile.

    ``after`` is a position known to have been given out (the outbox's): if damage took the newest batches, their
    positions are never given out again. ``max_bytes`` bounds the batches held; beyond it :meth:`append` raises.
    """

    def __init__(
        self,
        path: Path,
        synchronous: Synchronous = "FULL",
        *,
        after: int = 0,
        max_bytes: int | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Open or create the file; check all of it, and mend it if it is damaged.

        :raises StorageError: it cannot be used
        """
        self._path = path
        self._max_bytes = max_bytes
        self._clock = clock
        self._written_bytes = 0
        self._position = self._batches = self._size_bytes = 0
        self._oldest_s = 0.0
        self.salvage: Salvage | None
        """What was done about damage found on opening."""
        self._connection, self.salvage = open_database(
            path,
            _SCHEMA,
            {"batches": _batch_is_whole, "snapshot_parts": _part_is_whole, "losses": None},
            synchronous=synchronous,
            exclusive=True,
            tidy=_TIDY,
        )
        with closed_on_error(self._connection), translated(path, JournalFullError):
            self._enter_losses(after)
            self._count()

    def append(self, received_s: float, messages: Sequence[Message]) -> Batch:
        """Make messages durable; when this returns they may be acknowledged.

        :raises JournalFullError: nothing was taken; the same call may succeed later
        """
        body = _encode(messages)
        self._check_room(len(body))
        position = self._position + 1
        row = (position, received_s, _crc(_BATCH_KEYS, (position, received_s), body), body)
        with translated(self._path, JournalFullError):
            self._connection.execute("INSERT INTO batches VALUES (?, ?, ?, ?)", row)
        if not self._batches:
            self._oldest_s = received_s
        self._position = position
        self._batches += 1
        self._size_bytes += len(body)
        self._written_bytes += len(body)
        return Batch(position, received_s, messages)

    def read(self, after: int) -> Iterator[Batch]:
        """Yield the batches after a position, oldest first.

        :raises StorageCorruptError: damage since the file was opened; opening it again salvages it
        """
        expected: int | None = None
        losses = dict(self.losses())
        query = "SELECT * FROM batches WHERE position > ? ORDER BY position"
        with translated(self._path):
            for row in self._connection.execute(query, (after,)):
                position, received_s, _, body = row
                if expected in losses:
                    expected = losses[expected] + 1
                if not _batch_is_whole(row) or position != (expected or position):
                    raise StorageCorruptError(f"batch {expected or position} is damaged or gone", path=self._path)
                yield Batch(position, received_s, _decode(body))
                expected = position + 1

    def save_snapshot(self, position: int, state: Iterable[bytes]) -> None:
        """Keep the state as of a position, and the one before it; delete the batches that both contain.

        Each part of the state is written before the next is asked for; they become valid together.

        While there is one snapshot only, every batch stays: should it be damaged, the beginning stands in for it. Under
        pressure (half of ``max_bytes``) one snapshot has to do.

        :raises JournalFullError: nothing was changed
        """
        pressed = self._max_bytes is not None and self._size_bytes > self._max_bytes / 2
        keep = 1 if pressed else SNAPSHOTS_KEPT
        with translated(self._path, JournalFullError), transaction(self._connection):
            execute, written_bytes = self._connection.execute, 0
            execute("DELETE FROM snapshot_parts WHERE position = ?", (position,))
            for part, body in enumerate(chain(state, (_END,))):
                row = (position, part, _crc(_PART_KEYS, (position, part), body), body)
                execute("INSERT INTO snapshot_parts VALUES (?, ?, ?, ?)", row)
                written_bytes += len(body)
            newest = self._snapshots()[:keep]
            if len(newest) == keep:
                oldest_kept = newest[-1]
                execute("DELETE FROM snapshot_parts WHERE position < ?", (oldest_kept,))
                execute("DELETE FROM batches WHERE position <= ?", (oldest_kept,))
                execute("DELETE FROM losses WHERE last <= ?", (oldest_kept,))
        self._written_bytes += written_bytes
        with translated(self._path):
            self._count()

    def load_snapshot(self) -> tuple[int, Iterator[bytes]] | None:
        """Return position and parts of the newest whole snapshot, or ``None``; read them before anything else."""
        with translated(self._path):
            for position in self._snapshots():
                if self._is_whole(position):
                    return position, self._state(position)
        return None

    def losses(self) -> list[tuple[int, int]]:
        """Return first and last position of each run of batches that damage took, as far as they are still needed."""
        with translated(self._path):
            return self._connection.execute("SELECT first, last FROM losses ORDER BY first").fetchall()

    def statistics(self) -> JournalStatistics:
        """Return how much the journal holds; touches no disk."""
        return JournalStatistics(
            position=self._position,
            batches=self._batches,
            size_bytes=self._size_bytes,
            written_bytes=self._written_bytes,
            oldest_age_s=max(0.0, self._clock() - self._oldest_s) if self._batches else 0.0,
        )

    def close(self) -> None:
        """Release the file."""
        self._connection.close()

    def _snapshots(self) -> list[int]:
        """Return the positions of the snapshots, newest first."""
        query = "SELECT DISTINCT position FROM snapshot_parts ORDER BY position DESC"
        return [position for (position,) in self._connection.execute(query)]

    def _parts(self, position: int) -> Iterator[Row]:
        yield from self._connection.execute(
            "SELECT * FROM snapshot_parts WHERE position = ? ORDER BY part", (position,)
        )

    def _state(self, position: int) -> Iterator[bytes]:
        with translated(self._path):
            for *_, body in self._parts(position):
                if body != _END:
                    yield body

    def _is_whole(self, position: int) -> bool:
        """Tell whether a snapshot has all its parts, up to the one that ends it."""
        body = None
        for expected, row in enumerate(self._parts(position)):
            _, part, _, body = row
            if part != expected or not _part_is_whole(row):
                return False
        return body == _END

    def _check_room(self, more_bytes: int) -> None:
        if self._max_bytes is not None and self._size_bytes + more_bytes > self._max_bytes:
            message = f"{self._size_bytes} bytes of batches wait to be processed; the limit is {self._max_bytes}"
            raise JournalFullError(message, path=self._path)

    def _enter_losses(self, after: int) -> None:
        """Remember the positions that have no batch, so that reading takes these gaps, and no others, as known."""
        execute = self._connection.execute
        positions = [position for (position,) in execute("SELECT position FROM batches ORDER BY position")]
        (base,) = execute("SELECT ifnull(min(position), 0) FROM snapshot_parts").fetchone()
        starts = [min([base, *(position - 1 for position in positions[:1])]), *positions]
        ends = [*positions, max(after, self._newest()) + 1]
        gaps = [(start + 1, end - 1) for start, end in zip(starts, ends, strict=True) if end > start + 1]
        if gaps != self.losses():
            with transaction(self._connection):
                execute("DELETE FROM losses")
                self._connection.executemany("INSERT INTO losses VALUES (?, ?)", gaps)

    def _newest(self) -> int:
        """Return the newest position that the file knows of."""
        query = """SELECT max(ifnull((SELECT max(position) FROM batches), 0),
                              ifnull((SELECT max(position) FROM snapshot_parts), 0),
                              ifnull((SELECT max(last) FROM losses), 0))"""
        (position,) = self._connection.execute(query).fetchone()
        return int(position)

    def _count(self) -> None:
        query = "SELECT count(*), ifnull(sum(length(body)), 0) FROM batches"
        self._batches, self._size_bytes = self._connection.execute(query).fetchone()
        oldest = self._connection.execute("SELECT received_s FROM batches ORDER BY position LIMIT 1").fetchone()
        self._oldest_s = oldest[0] if oldest else 0.0
        self._position = self._newest()


def _crc(layout: struct.Struct, keys: Sequence[float], body: bytes) -> int:
    """Return the checksum of a row: of its keys, packed, and its body."""
    return zlib.crc32(body, zlib.crc32(layout.pack(*keys)))


def _is_whole(layout: struct.Struct, row: Row) -> bool:
    try:
        *keys, crc, body = row
        return bool(crc == _crc(layout, keys, body))
    except (TypeError, struct.error):  # a flipped bit may change a column's type
        return False


_batch_is_whole: Final = partial(_is_whole, _BATCH_KEYS)
_part_is_whole: Final = partial(_is_whole, _PART_KEYS)
