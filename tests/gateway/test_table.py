"""State as columns: room that no device has costs nothing, and what was there stays."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from gateway.table import Column, Table

MIB = 2**20
WIDE = {"sum": Column((64,), np.float64, 0), "time": Column((64,), np.float64, np.nan)}


def resident_bytes() -> int:
    """Return the anonymous memory of this process that is there (proc(5), status)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon"))


def test_growing_keeps_what_devices_hold_and_begins_new_ones() -> None:
    table = Table(WIDE)
    for rows in (1, 2, 500, 501, 3000):
        table.grow(rows)
        table["sum"][rows - 1] = rows
    assert len(table) == 3000
    assert {row: float(table["sum"][row, 0]) for row in (0, 1, 2, 499, 500, 2999)} == {
        0: 1, 1: 2, 2: 0, 499: 500, 500: 501, 2999: 3000
    }  # fmt: skip
    assert np.isnan(table["time"][:3000]).all()


def test_room_for_devices_that_are_not_there_takes_no_memory() -> None:
    """Doubling leaves up to half of the room empty."""
    table = Table(WIDE)
    table.grow(20_000)
    table["sum"][:] = 1
    before = resident_bytes()
    table.grow(20_001)  # room for 20 MiB more, and 20 MiB copied and let go
    assert len(table["sum"]) == 40_000
    assert resident_bytes() - before < 4 * MIB
