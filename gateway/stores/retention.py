# ruff: noqa: S608  # the names of tables and columns stand in this file
"""How long the local store keeps what, and what goes first when it is too large: readings, then points.

Acknowledgements are points that say something of an alert: they stay as long as alerts do, and are not among those
that make room. Alerts that fire, the ledger and the devices are never deleted.
"""

from __future__ import annotations

import sqlite3
from typing import Final

from contract.points import ACKNOWLEDGEMENTS, nanoseconds
from gateway.ports import Keep, Pruned
from gateway.sqlite_file import transaction

_ROWS_AT_A_TIME: Final = 500
_ACKNOWLEDGED: Final = f"(SELECT number FROM series WHERE measurement = '{ACKNOWLEDGEMENTS}')"
_PAGE_FIGURES: Final = ("page_count", "freelist_count", "page_size")


def prune(connection: sqlite3.Connection, now_s: float, keep: Keep) -> Pruned:
    """Delete what is older than it need be, and the oldest beyond the limit of bytes.

    What was measured ages by the newest reading or alert, where that is behind the clock: a clock that jumps ahead
    deletes nothing, nor does the clock age a recording of another year that was just replayed. Alerts count, for they
    are stored before the readings that led to them.
    """
    newest = "SELECT max(last_s) AS at_s FROM readings UNION ALL SELECT max(at_s) FROM alerts"
    (newest_s,) = connection.execute(f"SELECT max(at_s) FROM ({newest})").fetchone()
    measured_s = now_s if newest_s is None else min(now_s, newest_s)
    with transaction(connection):
        readings = _delete(connection, "readings WHERE last_s < ?", measured_s - keep.readings_s)
        points = 0
        for which, keep_s in (("NOT IN", keep.points_s), ("IN", keep.alerts_s)):
            rows = f"points WHERE series {which} {_ACKNOWLEDGED} AND time_ns < ?"
            points += _delete(connection, rows, nanoseconds(max(0.0, measured_s - keep_s)))
        over = "SELECT id FROM alerts WHERE state = 'resolved' AND at_s < ?"
        alerts = _delete(connection, f"alerts WHERE id IN ({over})", measured_s - keep.alerts_s)
        old_s = now_s - keep.quarantine_s
        quarantined = _delete(connection, "quarantine WHERE received_s < ?", old_s)
        quarantined += _delete(connection, "refused WHERE stored_s < ?", old_s)
        more_readings = _make_room(connection, "readings ORDER BY last_s", keep.max_bytes)
        others = f"points WHERE series NOT IN {_ACKNOWLEDGED} ORDER BY time_ns"
        more_points = _make_room(connection, others, keep.max_bytes)
    return Pruned(
        readings=readings + more_readings,
        points=points + more_points,
        alerts=alerts,
        quarantined=quarantined,
        for_room=more_readings + more_points,
    )


def used_bytes(connection: sqlite3.Connection) -> int:
    """Return how much of the file holds rows; the rest is free for new ones."""
    pages, free, size = (connection.execute(f"PRAGMA {name}").fetchone()[0] for name in _PAGE_FIGURES)
    return int((pages - free) * size)


def _delete(connection: sqlite3.Connection, rows: str, bound: float) -> int:
    return connection.execute(f"DELETE FROM {rows}", (bound,)).rowcount


def _make_room(connection: sqlite3.Connection, oldest_first: str, max_bytes: int | None) -> int:
    deleted = 0
    table, *_ = oldest_first.split()
    oldest = f"SELECT rowid FROM {oldest_first} LIMIT {_ROWS_AT_A_TIME}"
    while max_bytes is not None and used_bytes(connection) > max_bytes:
        gone = connection.execute(f"DELETE FROM {table} WHERE rowid IN ({oldest})").rowcount
        if not gone:
            break
        deleted += gone
    return deleted
