"""Rows of a kind in the local store: their names stand once, and come back with them."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from contract.points import Point, row_kind
from gateway.ports import Outputs
from gateway.stores.local import LocalStore
from gateway.stores.reader import LocalReader


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[LocalStore]:
    store = LocalStore(tmp_path / "s.db")
    yield store
    await store.close()


@pytest.fixture
def reader(tmp_path: Path) -> LocalReader:
    return LocalReader(tmp_path / "s.db")


def rows(count: int, kind: bytes, *, first: int = 0) -> list[Point]:
    contents = [np.array([n, math.nan, n / 2], "<f4").tobytes() for n in range(first, first + count)]
    tags = {"site": "s", "device": "p-1"}
    return [Point("industrial", tags, content, n * 10**9, kind) for n, content in enumerate(contents, first)]


async def test_rows_of_a_kind_come_back_with_their_names(store: LocalStore, reader: LocalReader) -> None:
    """Two models one after the other: each row has the names that it was written with."""
    old, new = row_kind(("a", "b", "score"), "1.0.0"), row_kind(("a", "c", "score"), "1.1.0")
    await store.write([Outputs(points=rows(3, old) + rows(3, new, first=3))])
    found = [point.fields for point in reader.points("industrial")]
    assert found[2] == {"a": 2.0, "score": 1.0, "model_version": "1.0.0"}
    assert found[3] == {"a": 3.0, "score": 1.5, "model_version": "1.1.0"}
    assert [point.fields["a"] for point in reader.newest_points("industrial", limit=2)] == [4.0, 5.0]


async def test_names_stand_once_whatever_the_number_of_rows(store: LocalStore, tmp_path: Path) -> None:
    """A row costs its numbers and its key."""
    kind = row_kind([f"a_name_of_{'forty' * 6}_{number}" for number in range(3)])
    await store.write([Outputs(points=rows(5000, kind))])
    await store.close()
    assert (tmp_path / "s.db").stat().st_size < 5000 * 100


async def test_rows_whose_names_were_lost_come_back_with_the_next_of_their_kind(
    store: LocalStore, reader: LocalReader, tmp_path: Path
) -> None:
    """A damaged page may take the names; the number of a kind follows from its names, not from when it was met."""
    kind, other = row_kind(("a", "b", "score")), row_kind(("x", "y", "z"))
    await store.write([Outputs(points=[*rows(2, kind), Point("industrial", {"site": "s"}, {"n": 1}, 7)])])
    with closing(sqlite3.connect(tmp_path / "s.db")) as damage, damage:
        damage.execute("DELETE FROM kinds")
    assert [point.fields for point in reader.points("industrial")] == [{"n": 1}]
    await store.close()
    again = LocalStore(tmp_path / "s.db")
    await again.write([Outputs(points=[*rows(1, other, first=5), *rows(1, kind, first=9)])])
    await again.close()
    assert [point.time_ns for point in reader.points("industrial")] == [0, 7, 10**9, 5 * 10**9, 9 * 10**9]
