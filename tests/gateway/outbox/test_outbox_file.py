"""The outbox's file: restarts, crashes, damage, full disks, changed stores."""

from __future__ import annotations

import random
import shutil
from itertools import count
from pathlib import Path

import pytest

from contract.points import Point
from gateway.outbox.fresh import LANES
from gateway.outbox.sqlite import FRESH_ROWS, FRESH_S, OutboxFullError, SqliteOutbox
from gateway.ports import Outputs, Quarantined
from gateway.sqlite_file import StorageCorruptError


def outputs(n: int, size: int = 2000) -> Outputs:
    return Outputs(points=[Point("m", {}, {"text": chr(97 + n % 26) * size}, n)])


def filled(path: Path, entries: int = 100) -> None:
    outbox = SqliteOutbox(path)
    for n in range(1, entries + 1):
        outbox.append(n, outputs(n))
    outbox.close()


def held(outbox: SqliteOutbox) -> list[int]:
    """Return the ids of what can be read, having checked what stands there."""
    entries = outbox.pending("local", "features", 1000)
    assert all(entry.outputs == outputs(entry.id) for entry in entries)
    return [entry.id for entry in entries]


def test_reopened_outbox_holds_entries_cursors_and_position(tmp_path: Path) -> None:
    filled(tmp_path / "o.db", 5)
    outbox = SqliteOutbox(tmp_path / "o.db")
    outbox.done("local", "features", 2)
    outbox.close()
    outbox = SqliteOutbox(tmp_path / "o.db")
    assert held(outbox) == [3, 4, 5]
    assert outbox.position == 5
    outbox.close()


def test_copy_of_an_open_file_holds_what_was_flushed(tmp_path: Path) -> None:
    outbox = SqliteOutbox(tmp_path / "o.db")
    (tmp_path / "cut").mkdir()
    outbox.append(1, outputs(1))
    outbox.append(2, Outputs())
    outbox.flush()
    for file in tmp_path.glob("o.db*"):
        shutil.copy(file, tmp_path / "cut" / file.name)
    copy = SqliteOutbox(tmp_path / "cut" / "o.db")
    assert held(copy) == [1]
    assert copy.position == 2
    copy.close()
    outbox.close()


def crashed(outbox: SqliteOutbox) -> None:
    """Let go of the file as a process does that is killed."""
    outbox._connection.close()


def test_what_was_not_flushed_is_forgotten_by_a_crash(tmp_path: Path) -> None:
    """It comes again from the journal, the same; so no write is spent on what every store takes soon."""
    outbox = SqliteOutbox(tmp_path / "o.db")
    outbox.append(1, outputs(1))
    outbox.flush()
    before = outbox._connection.total_changes
    outbox.append(2, outputs(2))
    outbox.append(3, Outputs())
    assert outbox._connection.total_changes == before
    assert held(outbox) == [1, 2]
    crashed(outbox)
    outbox = SqliteOutbox(tmp_path / "o.db")
    assert (held(outbox), outbox.position) == ([1], 1)
    outbox.close()


def test_taken_at_once_is_never_written(tmp_path: Path) -> None:
    outbox = SqliteOutbox(tmp_path / "o.db")
    before = outbox._connection.total_changes
    for n in range(1, 200):
        outbox.append(n, outputs(n))
        outbox.done("local", "features", n)
    assert outbox._connection.total_changes == before
    assert outbox.load().entries == 0
    outbox.close()


def test_what_waits_is_written_and_read_in_order(tmp_path: Path) -> None:
    """What is held in memory alone is bounded by age."""
    now_s = [100.0]
    outbox = SqliteOutbox(tmp_path / "o.db", clock=lambda: now_s[0])
    for n in range(1, 9):
        outbox.append(n, outputs(n))
    assert outbox.load().size_bytes == 0
    now_s[0] += FRESH_S + 0.1
    outbox.append(9, outputs(9))
    assert outbox.load().size_bytes > 2000 * 8
    assert held(outbox) == list(range(1, 10))
    outbox.close()


def test_what_waits_is_bounded_in_rows(tmp_path: Path) -> None:
    outbox = SqliteOutbox(tmp_path / "o.db")
    third = Outputs(points=outputs(1, size=1).points * (FRESH_ROWS // 3 + 1))
    for n in range(1, 5):
        outbox.append(n, third)
    assert outbox.statistics()["features"].size_bytes > 0
    outbox.done("local", "features", 4)
    assert outbox.load().entries == 0
    outbox.close()


def test_fresh_rows_are_those_that_a_store_has_not_taken(tmp_path: Path) -> None:
    """Each store waits for its own: what one has taken, or does not take, is not due because another is away."""
    raw = Outputs(quarantined=[Quarantined(n, 0, 1.0, "t", "r", b"x") for n in range(5)])
    outbox = SqliteOutbox(tmp_path / "o.db", {"local": LANES, "influx": ("features",)})

    def fresh_rows() -> tuple[int, int]:
        return outbox.fresh_rows("local"), outbox.fresh_rows("influx")

    outbox.append(1, outputs(1))
    outbox.append(2, raw)
    outbox.append(3, outputs(3))
    assert fresh_rows() == (7, 2)
    outbox.done("local", "features", 1)
    outbox.done("local", "features", 1)  # again
    assert fresh_rows() == (6, 2)
    outbox.done("local", "raw", 2)
    outbox.done("influx", "features", 3)
    assert fresh_rows() == (1, 0)
    outbox.append(4, outputs(4))
    outbox.flush()  # what is written is no longer fresh, taken or not
    assert fresh_rows() == (0, 0)
    outbox.done("local", "features", 4)
    outbox.append(5, outputs(5))
    assert fresh_rows() == (1, 1)
    outbox.close()


def test_cursor_beyond_what_is_written_hides_nothing_from_replay(tmp_path: Path) -> None:
    """A lane's cursor may be ahead of what another lane has written; a crash forgets what memory alone held of both."""
    outbox = SqliteOutbox(tmp_path / "o.db")
    outbox.append(1, outputs(1))
    outbox.flush()
    raw = Outputs(quarantined=[Quarantined(2, 0, 1.0, "t", "r", b"x")])
    outbox.append(2, raw)
    outbox.append(3, outputs(3))
    outbox.done("local", "features", 3)
    crashed(outbox)
    outbox = SqliteOutbox(tmp_path / "o.db")
    outbox.append(2, raw)
    assert [entry.outputs for entry in outbox.pending("local", "raw", 9)] == [raw]
    outbox.close()


def test_flush_syncs_and_leaves_later_commits_unsynced(tmp_path: Path) -> None:
    outbox = SqliteOutbox(tmp_path / "o.db")
    ran: list[str] = []
    outbox._connection.set_trace_callback(ran.append)
    outbox.append(1, Outputs())
    outbox.flush()
    assert "FULL" in ran[0]
    assert any("progress" in statement for statement in ran)
    assert ran[-2] == "COMMIT"
    assert "NORMAL" in ran[-1]
    assert outbox._connection.execute("PRAGMA synchronous").fetchone() == (1,)
    outbox.close()


def test_store_that_is_gone_holds_nothing_back(tmp_path: Path) -> None:
    path = tmp_path / "o.db"
    outbox = SqliteOutbox(path, {"local": ("alerts", "features"), "influx": ("alerts", "features")})
    outbox.append(1, outputs(1))
    outbox.done("local", "features", 1)
    assert outbox.load().entries == 1
    outbox.close()
    outbox = SqliteOutbox(path)
    assert outbox.load().entries == 0
    outbox.close()


def test_new_store_gets_what_is_still_held(tmp_path: Path) -> None:
    path = tmp_path / "o.db"
    filled(path, 3)
    outbox = SqliteOutbox(path, {"local": ("alerts", "features"), "influx": ("features",)})
    assert [entry.id for entry in outbox.pending("influx", "features", 9)] == [1, 2, 3]
    outbox.close()


def test_flipped_bit_costs_that_entry_only(tmp_path: Path) -> None:
    path = tmp_path / "o.db"
    filled(path)
    with path.open("r+b") as file:
        file.seek(path.read_bytes().index(b"c" * 2000) + 99)  # entry 2, 28, 54 or 80
        file.write(b"C")
    outbox = SqliteOutbox(path)
    assert len(held(outbox)) == 99
    assert outbox.position == 100
    assert outbox.salvage is not None
    assert outbox.salvage.spoiled["features"] == 1
    outbox.close()


@pytest.mark.parametrize("seed", range(8))
def test_random_damage_never_yields_a_wrong_entry(tmp_path: Path, seed: int) -> None:
    path = tmp_path / "o.db"
    filled(path, 40)
    damage = random.Random(seed)
    with path.open("r+b") as file:
        file.seek(damage.randrange(path.stat().st_size))
        file.write(damage.randbytes(damage.choice((1, 16, 4096))))
    outbox = SqliteOutbox(path)
    assert set(held(outbox)) <= set(range(1, 41))
    outbox.append(41, outputs(41))
    assert held(outbox)[-1] == 41
    outbox.close()


def test_damage_met_while_delivering_is_an_error_and_the_next_start_mends_it(tmp_path: Path) -> None:
    path = tmp_path / "o.db"
    filled(path, 3)
    outbox = SqliteOutbox(path)
    outbox._connection.execute("UPDATE features SET crc = crc + 1 WHERE position = 2")
    with pytest.raises(StorageCorruptError, match="entry 2"):
        held(outbox)
    outbox.close()
    outbox = SqliteOutbox(path)
    assert held(outbox) == [1, 3]
    outbox.close()


def test_full_disk_is_an_error_to_wait_on_and_changes_nothing(tmp_path: Path) -> None:
    outbox = SqliteOutbox(tmp_path / "o.db", clock=count(100.0, 10.0).__next__)  # so that nothing is fresh for long
    (pages,) = outbox._connection.execute("PRAGMA page_count").fetchone()
    outbox._connection.execute(f"PRAGMA max_page_count = {pages + 20}")
    taken = 0

    def fill() -> None:
        nonlocal taken
        while True:
            outbox.append(taken + 1, outputs(taken + 1))
            taken += 1

    with pytest.raises(OutboxFullError, match="full"):
        fill()
    assert outbox.position == taken
    assert held(outbox) == list(range(1, taken + 1))
    assert outbox.load().entries == taken
    outbox.done("local", "features", 5)
    outbox.append(taken + 1, outputs(taken + 1))
    assert held(outbox) == list(range(6, taken + 2))
    outbox.close()


def test_statistics_say_what_waits_in_each_lane(tmp_path: Path) -> None:
    now_s = [100.0]
    outbox = SqliteOutbox(tmp_path / "o.db", clock=lambda: now_s[0])
    for n, at_s in ((1, 100.0), (2, 130.0)):
        now_s[0] = at_s
        outbox.append(n, Outputs(quarantined=[Quarantined(n, 0, 1.0, "t", "r", b"x" * 500)]))
    outbox.flush()
    now_s[0] = 160.0
    assert outbox.statistics()["alerts"].entries == 0
    assert outbox.statistics()["raw"].entries == 2
    assert 1000 < outbox.load().size_bytes < 1100
    assert outbox.load().oldest_age_s == 60.0
    outbox.done("local", "raw", 1)
    assert outbox.load().oldest_age_s == 30.0
    outbox.close()
    outbox = SqliteOutbox(tmp_path / "o.db", clock=lambda: 161.0)
    assert (outbox.load().entries, outbox.load().oldest_age_s) == (1, 31.0)
    outbox.close()
