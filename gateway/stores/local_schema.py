"""Tables of the local store, and what a salvaged file must lose with them.

Devices and series have small numbers of their own, so that a block of readings or a point costs a few bytes of key.
``fields`` of a point is a MessagePack map, or an array of two: the number of its kind of row, and the row's numbers.
A kind's number follows from its names: if a damaged file loses it, the gateway gives it the same one again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from gateway.sqlite_file import Whole

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS devices (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    site TEXT NOT NULL, domain TEXT NOT NULL, device TEXT NOT NULL,
    UNIQUE (site, domain, device));
CREATE TABLE IF NOT EXISTS readings (
    device INTEGER NOT NULL, start_ns INTEGER NOT NULL, late INTEGER NOT NULL,
    first_s REAL NOT NULL, last_s REAL NOT NULL, count INTEGER NOT NULL, times BLOB NOT NULL, samples BLOB NOT NULL,
    UNIQUE (device, start_ns, late));
CREATE INDEX IF NOT EXISTS readings_by_time ON readings (last_s);
CREATE TABLE IF NOT EXISTS series (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    measurement TEXT NOT NULL, tags TEXT NOT NULL, site TEXT, device TEXT,
    UNIQUE (measurement, tags));
CREATE TABLE IF NOT EXISTS kinds (number INTEGER PRIMARY KEY, names BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS points (
    series INTEGER NOT NULL, time_ns INTEGER NOT NULL, fields BLOB NOT NULL,
    UNIQUE (series, time_ns));
CREATE INDEX IF NOT EXISTS points_by_time ON points (time_ns);
CREATE TABLE IF NOT EXISTS alerts (
    id TEXT NOT NULL, state TEXT NOT NULL, at_s REAL NOT NULL, onset_s REAL NOT NULL,
    site TEXT NOT NULL, domain TEXT NOT NULL, device TEXT NOT NULL, rule TEXT NOT NULL, severity TEXT NOT NULL,
    stored_s REAL NOT NULL, payload BLOB NOT NULL,
    UNIQUE (id, at_s, state));
CREATE INDEX IF NOT EXISTS alerts_by_time ON alerts (at_s);
CREATE TABLE IF NOT EXISTS quarantine (
    position INTEGER NOT NULL, place INTEGER NOT NULL, received_s REAL NOT NULL,
    topic TEXT NOT NULL, reason TEXT NOT NULL, payload BLOB NOT NULL,
    UNIQUE (position, place));
CREATE TABLE IF NOT EXISTS quarantine_evicted (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    position INTEGER NOT NULL, place INTEGER NOT NULL, rows INTEGER NOT NULL, bytes INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS refused (
    store TEXT NOT NULL, measurement TEXT NOT NULL, tags TEXT NOT NULL, time_ns INTEGER NOT NULL,
    stored_s REAL NOT NULL, reason TEXT NOT NULL, fields BLOB NOT NULL,
    UNIQUE (store, measurement, tags, time_ns));
CREATE TABLE IF NOT EXISTS ledger (
    site TEXT NOT NULL, domain TEXT NOT NULL, device TEXT NOT NULL,
    published INTEGER NOT NULL, stored INTEGER NOT NULL, duplicate INTEGER NOT NULL, late INTEGER NOT NULL,
    quarantined INTEGER NOT NULL, lost INTEGER NOT NULL, gaps BLOB NOT NULL, last_s REAL NOT NULL,
    UNIQUE (site, domain, device));
CREATE TABLE IF NOT EXISTS reductions (
    number INTEGER PRIMARY KEY, at_s REAL NOT NULL, what TEXT NOT NULL, lane TEXT NOT NULL, stores TEXT NOT NULL,
    reason TEXT NOT NULL, site TEXT NOT NULL, domain TEXT NOT NULL, device TEXT NOT NULL,
    samples INTEGER NOT NULL, points INTEGER NOT NULL, alerts INTEGER NOT NULL,
    first_s REAL NOT NULL, last_s REAL NOT NULL);
"""

TIDY: Final = """
DELETE FROM readings WHERE device NOT IN (SELECT number FROM devices);
DELETE FROM points WHERE series NOT IN (SELECT number FROM series);
"""
"""Run on a salvaged file: a row whose device or series is lost must not pass to the next one of that number."""


TABLES: Final[Mapping[str, Whole | None]] = dict.fromkeys(
    (
        "devices",
        "readings",
        "series",
        "kinds",
        "points",
        "alerts",
        "quarantine",
        "quarantine_evicted",
        "refused",
        "ledger",
        "reductions",
    )
)
"""Rows carry no checksums here: SQLite finds broken pages, and the outbox made sure of what came in."""
