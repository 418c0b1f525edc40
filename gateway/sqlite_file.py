# ruff: noqa: S608  # the names of tables come from the rooms that own the files
"""SQLite files that survive power cuts, full disks and damage: what journal, outbox and local store share.

A damaged file is never an obstacle: whole rows move into a new file, the damaged one stays beside it as
``NAME.corrupt-N``, and a :class:`Salvage` says what was kept.

StorageError
├── StorageFullError      the disk, or the limit set for the file, is full; nothing was written, try again later
│   │                     (the wiring knows it as :class:`gateway.ports.StorageFullError`)
│   ├── JournalFullError
│   └── OutboxFullError
├── StorageCorruptError   damage met in a file that was whole when it was opened; opening it again salvages it
└── StorageBusyError      another process has the file
"""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from gateway import ports

Row = tuple[Any, ...]
Whole = Callable[[Row], bool]
"""Tells whether a row's checksum fits."""
Synchronous = Literal["FULL", "NORMAL"]

_DAMAGE: Final = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT, sqlite3.SQLITE_IOERR}
_LAST_KEY: Final = 2**62
_CACHE_KIB: Final = 512
"""Pages kept of a file that is written at its end and read from its beginning: SQLite's own 2 MB bring it nothing."""
_WAL_KEPT_BYTES: Final = 4 * 2**20
"""A longer write-ahead log is cut back after a checkpoint: a snapshot may be large."""


class StorageError(Exception):
    """A file of the gateway's state cannot be used."""

    def __init__(self, message: str, *, path: Path) -> None:
        """Say what happened to which file."""
        super().__init__(f"{path}: {message}")
        self.path = path


class StorageFullError(StorageError, ports.StorageFullError):
    """There is no room; nothing was written, and the file is as it was."""


class StorageCorruptError(StorageError):
    """Damage met in a file that was whole when it was opened."""


class StorageBusyError(StorageError):
    """Another process has the file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Salvage:
    """What was done about a damaged file."""

    path: Path
    set_aside: Path
    """The damaged file, for a person to look at; the gateway never reads it again."""
    reason: str
    kept: Mapping[str, int]
    """Whole rows that moved into the new file, by table."""
    spoiled: Mapping[str, int]
    """Rows that could be read but whose checksum did not fit, by table; rows of unreadable pages are not counted."""


def open_database(
    path: Path,
    schema: str,
    tables: Mapping[str, Whole | None],
    *,
    synchronous: Synchronous,
    exclusive: bool,
    tidy: str = "",
    check_up_to_bytes: int | None = None,
    statements: int = 0,
) -> tuple[sqlite3.Connection, Salvage | None]:
    """Open or create a file, and mend it first if it is damaged.

    ``tables`` names every table, with the check of its rows where they carry a checksum. ``tidy`` is run on a mended
    file, to drop rows whose other half is lost. ``exclusive`` keeps other processes out, which also spares the
    shared-memory file. A file larger than ``check_up_to_bytes`` is not read through: that would hold up the start.
    So many ``statements`` stay prepared, each with what was last bound to it: none where that may be 50 MB of snapshot.

    :raises StorageError: the file cannot be used; see the tree above
    """
    with translated(path):
        _finish_swap(path)
        damage = None
        connection = _connect(path, synchronous, exclusive=exclusive, statements=statements)
        try:
            connection.executescript(schema)
            if check_up_to_bytes is None or path.stat().st_size <= check_up_to_bytes:
                damage = _damage(connection, tables)
        except sqlite3.DatabaseError as error:
            if not _is_damage(error):
                connection.close()
                raise
            damage = str(error)
        if damage is None:
            return connection, None
        connection.close()
        salvage = _salvage(path, schema, tables, tidy, damage)
        return _connect(path, synchronous, exclusive=exclusive, statements=statements), salvage


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Commit what is done inside, all or nothing."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # SQLite rolls back by itself on a full disk
            connection.execute("ROLLBACK")
        raise


@contextmanager
def closed_on_error(connection: sqlite3.Connection) -> Iterator[None]:
    """Release a file whose opening could not be finished, so that it can be tried again."""
    try:
        yield
    except BaseException:
        connection.close()
        raise


@contextmanager
def translated(path: Path, full: type[StorageFullError] = StorageFullError) -> Iterator[None]:
    """Turn SQLite's errors into ours."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        code = _primary_code(error)
        if code == sqlite3.SQLITE_FULL:
            raise full(f"{error}. Free some space; the gateway goes on by itself.", path=path) from error
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            remedy = "Does another gateway run on this folder? Stop it, or give this one a state_dir of its own."
            raise StorageBusyError(f"{error}. {remedy}", path=path) from error
        if _is_damage(error):
            remedy = "A gateway that starts on it keeps every whole row, and sets the damaged file aside."
            raise StorageCorruptError(f"{error}. {remedy}", path=path) from error
        raise StorageError(str(error), path=path) from error


def _primary_code(error: sqlite3.DatabaseError) -> int | None:
    code: int | None = getattr(error, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF


def _is_damage(error: sqlite3.DatabaseError) -> bool:
    code = _primary_code(error)
    # without a code it is Python's: a text column that is no longer UTF-8
    return code in _DAMAGE or (code is None and "decode" in str(error))


def _connect(path: Path, synchronous: Synchronous, *, exclusive: bool, statements: int = 0) -> sqlite3.Connection:
    # one thread at a time, but not always the same one: that is the caller's promise
    connection = sqlite3.connect(
        path, timeout=5.0, isolation_level=None, check_same_thread=False, cached_statements=statements
    )
    try:
        if exclusive:
            connection.execute("PRAGMA locking_mode = EXCLUSIVE")
            connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        # Debian's SQLite overwrites what is deleted with zeros: the journal would be written once more for that
        connection.execute("PRAGMA secure_delete = OFF")
        connection.execute(f"PRAGMA synchronous = {synchronous}")
        connection.execute(f"PRAGMA journal_size_limit = {_WAL_KEPT_BYTES}")
        connection.execute("PRAGMA journal_mode = WAL")
    except sqlite3.DatabaseError as error:
        if not _is_damage(error):
            connection.close()
            raise
    return connection


def _damage(connection: sqlite3.Connection, tables: Mapping[str, Whole | None]) -> str | None:
    (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if verdict != "ok":
        return str(verdict)
    for table, is_whole in tables.items():
        if is_whole is None:
            continue
        for key, *row in connection.execute(f"SELECT rowid, * FROM {table}"):
            if not is_whole(tuple(row)):
                return f"checksum of row {key} of {table} does not fit"
    return None


def _salvage(path: Path, schema: str, tables: Mapping[str, Whole | None], tidy: str, reason: str) -> Salvage:
    """Build a new file from the whole rows, then put it in the place of the damaged one."""
    rebuilt = _rebuilt(path)
    target = _connect(rebuilt, "FULL", exclusive=True)
    source = sqlite3.connect(f"file:{path}?mode=ro", uri=True, isolation_level=None)
    source.execute("PRAGMA writable_schema = ON")  # a file shorter than its header says is read all the same
    kept, spoiled = dict.fromkeys(tables, 0), dict.fromkeys(tables, 0)
    try:
        target.executescript(schema)
        with transaction(target):
            for table, is_whole in tables.items():
                for row in _readable(source, table):
                    good = (is_whole is None or is_whole(row)) and _inserted(target, table, row)
                    (kept if good else spoiled)[table] += 1
        target.executescript(tidy)
    finally:
        source.close()
        target.close()
    return Salvage(path=path, set_aside=_swap(path), reason=reason, kept=kept, spoiled=spoiled)


def _inserted(target: sqlite3.Connection, table: str, row: Row) -> bool:
    """Insert a row; tell whether it keeps to the table's rules, which damage knows nothing of."""
    try:
        target.execute(f"INSERT OR REPLACE INTO {table} VALUES ({','.join('?' * len(row))})", row)
    except sqlite3.IntegrityError:
        return False
    return True


def _readable(source: sqlite3.Connection, table: str) -> Iterator[Row]:
    """Yield every row that can be read: forward, over a broken page in growing steps, then back to its far edge."""
    floor = key = 0
    step = 1
    while key < _LAST_KEY:
        try:
            for found, *row in source.execute(f"SELECT rowid, * FROM {table} WHERE rowid >= ? ORDER BY rowid", (key,)):
                yield from _backwards(source, table, floor, key)
                yield tuple(row)
                floor = key = found + 1
                step = 1
            break
        except sqlite3.DatabaseError:
            key += step
            step *= 2
    yield from _backwards(source, table, floor, key)


def _backwards(source: sqlite3.Connection, table: str, floor: int, end: int) -> Iterator[Row]:
    if floor == end:
        return
    query = f"SELECT * FROM {table} WHERE rowid >= ? AND rowid < ? ORDER BY rowid DESC"
    try:
        yield from source.execute(query, (floor, end))
    except sqlite3.DatabaseError:
        return


def _rebuilt(path: Path) -> Path:
    return path.with_name(f"{path.name}.rebuilt")


def _parts(path: Path) -> Iterator[tuple[Path, str]]:
    """Yield the files of a database, the main one first."""
    for suffix in ("", "-wal", "-shm"):
        yield path.with_name(path.name + suffix), suffix


def _asides(path: Path) -> Iterator[Path]:
    return (path.with_name(f"{path.name}.corrupt-{number}") for number in itertools.count(1))


def _swap(path: Path) -> Path:
    """Set the damaged file aside and move the new one into its place; may be cut short anywhere and done again."""
    aside = next(name for name in _asides(path) if not any(part.exists() for part, _ in _parts(name)))
    for part, suffix in _parts(path):
        if part.exists():
            part.rename(aside.with_name(aside.name + suffix))
    _rebuilt(path).rename(path)
    return aside


def _finish_swap(path: Path) -> None:
    """Clean up after a salvage that a crash cut short."""
    rebuilt = _rebuilt(path)
    if not rebuilt.exists():
        return
    if not path.exists():  # it was cut short while files changed places: the new one is complete
        _swap(path)
        return
    for part, _ in _parts(rebuilt):
        part.unlink(missing_ok=True)
