"""The journal's file: crashes, damage, full disks."""

from __future__ import annotations

import asyncio
import random
import shutil
import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.journal.sqlite import JournalFullError, SqliteJournal
from gateway.sqlite_file import StorageBusyError, StorageCorruptError

ROOT = Path(__file__).parents[3]
TOPIC = "fleet/v1/a/industrial/p-1/telemetry"


def filled(path: Path, batches: int = 400) -> None:
    """Write a journal of about one database page a batch and close it."""
    journal = SqliteJournal(path, "NORMAL")
    for n in range(1, batches + 1):
        journal.append(float(n), [(TOPIC, bytes([n % 256]) * 40)] * 50)
    journal.close()


def snapshot(journal: SqliteJournal) -> tuple[int, list[bytes]] | None:
    found = journal.load_snapshot()
    return None if found is None else (found[0], list(found[1]))


def good(journal: SqliteJournal) -> list[int]:
    """Return the positions that can be read, having checked what stands there."""
    found = []
    for batch in journal.read(0):
        assert list(batch.messages) == [(TOPIC, bytes([batch.position % 256]) * 40)] * 50
        found.append(batch.position)
    return found


def overwrite(path: Path, offset: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(data)


def given_to_the_system() -> int:
    """Return the bytes that this process has written to files so far (proc(5), io)."""
    return int(Path("/proc/self/io").read_text().split("wchar: ")[1].split()[0])


@pytest.mark.skipif(sys.platform != "linux", reason="counts what the kernel says was written")
def test_what_a_snapshot_lets_go_of_is_not_written_over(tmp_path: Path) -> None:
    """However SQLite was built: zeros over every batch would wear a card as much as the batches do."""
    journal = SqliteJournal(tmp_path / "j.db")
    for n in range(1, 21):
        journal.append(float(n), [(TOPIC, bytes(400)) for _ in range(500)])
    held_bytes = journal.statistics().size_bytes
    journal.save_snapshot(19, [b"state"])
    before = given_to_the_system()
    journal.save_snapshot(20, [b"state"])
    assert journal.statistics().batches == 1
    assert given_to_the_system() - before < held_bytes / 20
    journal.close()


def test_copy_of_an_open_file_holds_every_appended_batch(tmp_path: Path) -> None:
    """What a power cut leaves is what is in the files, whether or not anyone closed them."""
    journal = SqliteJournal(tmp_path / "j.db")
    (tmp_path / "cut").mkdir()
    for n in range(1, 31):
        journal.append(float(n), [(TOPIC, bytes([n]) * 40)] * 50)
        if n % 10 == 0:
            for file in tmp_path.glob("j.db*"):
                shutil.copy(file, tmp_path / "cut" / file.name)
            copy = SqliteJournal(tmp_path / "cut" / "j.db")
            assert good(copy) == list(range(1, n + 1))
            assert copy.salvage is None
            copy.close()
            for file in (tmp_path / "cut").iterdir():
                file.unlink()
    journal.close()


async def test_killed_writer_leaves_every_batch_it_reported(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from gateway.journal.sqlite import SqliteJournal\n"
        "journal = SqliteJournal(Path(sys.argv[1]))\n"
        "while True: print(journal.append(1.0, [('t', b'x' * 100)] * 20).position, flush=True)\n"
    )
    writer = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, str(tmp_path / "j.db"), cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    assert writer.stdout is not None
    for _ in range(200):
        await asyncio.wait_for(writer.stdout.readline(), 20)
    writer.kill()
    rest = (await writer.stdout.read()).split()
    await writer.wait()
    reported = 200 + sum(1 for line in rest if line.isdigit())
    journal = SqliteJournal(tmp_path / "j.db")
    found = [batch.position for batch in journal.read(0)]
    assert found == list(range(1, len(found) + 1))
    assert len(found) in (reported, reported + 1)
    assert journal.salvage is None
    journal.close()


def test_second_gateway_on_the_same_file_is_refused(tmp_path: Path) -> None:
    journal = SqliteJournal(tmp_path / "j.db")
    journal.append(1.0, [])
    other = sqlite3.connect(tmp_path / "j.db", timeout=0)
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        other.execute("SELECT * FROM batches")
    other.close()
    journal.close()


def test_second_journal_waits_and_gives_up_with_a_type_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *args, **options: connect(*args, **{**options, "timeout": 0}))
    journal = SqliteJournal(tmp_path / "j.db")
    with pytest.raises(StorageBusyError, match="another gateway"):
        SqliteJournal(tmp_path / "j.db")
    journal.close()


def test_flipped_payload_bit_costs_that_batch_only(tmp_path: Path) -> None:
    """SQLite itself does not see a flipped bit inside a blob; the checksum does."""
    path = tmp_path / "j.db"
    filled(path)
    content = path.read_bytes()
    overwrite(path, content.index(bytes([77]) * 40) + 5, b"\x4c")
    journal = SqliteJournal(path)
    assert good(journal) == [n for n in range(1, 401) if n != 77]
    assert journal.losses() == [(77, 77)]
    assert journal.salvage is not None
    assert journal.salvage.kept["batches"] == 399
    assert journal.salvage.spoiled["batches"] == 1
    assert journal.salvage.set_aside == tmp_path / "j.db.corrupt-1"
    assert journal.salvage.set_aside.stat().st_size == len(content)
    journal.close()


def test_salvaged_journal_opens_without_further_ado(tmp_path: Path) -> None:
    path = tmp_path / "j.db"
    filled(path)
    overwrite(path, path.read_bytes().index(bytes([77]) * 40), b"\x00")
    SqliteJournal(path).close()
    journal = SqliteJournal(path)
    assert journal.salvage is None
    assert journal.losses() == [(77, 77)]
    assert journal.append(1.0, []).position == 401
    journal.close()


def test_broken_pages_cost_what_stood_on_them(tmp_path: Path) -> None:
    path = tmp_path / "j.db"
    filled(path)
    pages = path.stat().st_size // 4096
    for page in (pages // 3, pages // 2):
        overwrite(path, page * 4096, random.Random(page).randbytes(4096))
    journal = SqliteJournal(path)
    found = good(journal)
    lost = [n for first, last in journal.losses() for n in range(first, last + 1)]
    assert sorted(found + lost) == list(range(1, 401))
    assert 0 < len(lost) < 40
    journal.close()


def test_truncated_file_keeps_what_is_before_the_cut(tmp_path: Path) -> None:
    path = tmp_path / "j.db"
    filled(path)
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2 + 123)
    journal = SqliteJournal(path, after=400)
    found = good(journal)
    assert len(found) > 100
    assert journal.append(1.0, []).position == 401, "a position once given out never comes back"
    lost = [n for first, last in journal.losses() for n in range(first, last + 1)]
    assert sorted(found + lost) == list(range(1, 401))
    journal.close()


@pytest.mark.parametrize("content", [b"", b"not a database at all" * 500, b"SQLite format 3\x00" + b"\xff" * 9000])
def test_file_of_nonsense_is_set_aside_and_never_stops_the_start(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "j.db"
    path.write_bytes(content)
    journal = SqliteJournal(path, after=12)
    assert journal.append(1.0, []).position == 13
    journal.close()
    if content:
        assert (tmp_path / "j.db.corrupt-1").read_bytes() == content


@pytest.mark.parametrize("seed", range(12))
def test_random_damage_never_yields_a_wrong_batch(tmp_path: Path, seed: int) -> None:
    path = tmp_path / "j.db"
    filled(path, 60)
    damage = random.Random(seed)
    for _ in range(1 + seed % 3):
        offset = damage.randrange(path.stat().st_size)
        overwrite(path, offset, damage.randbytes(damage.choice((1, 16, 2000))))
    journal = SqliteJournal(path, after=60)
    found = good(journal)
    lost = [n for first, last in journal.losses() for n in range(first, last + 1)]
    assert sorted(found + lost) == list(range(1, 61))
    journal.close()


def test_each_set_aside_file_has_a_name_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "j.db"
    for number in (1, 2):
        path.write_bytes(b"nonsense" * number * 1000)
        SqliteJournal(path).close()
        assert (tmp_path / f"j.db.corrupt-{number}").stat().st_size == 8000 * number


def test_salvage_cut_short_between_the_renames_is_finished(tmp_path: Path) -> None:
    path = tmp_path / "j.db"
    filled(path, 20)
    path.rename(tmp_path / "j.db.rebuilt")
    (tmp_path / "j.db-wal").write_bytes(b"log of the damaged file")
    journal = SqliteJournal(path)
    assert good(journal) == list(range(1, 21))
    journal.close()


def test_salvage_cut_short_before_the_renames_starts_again(tmp_path: Path) -> None:
    path = tmp_path / "j.db"
    filled(path, 20)
    (tmp_path / "j.db.rebuilt").write_bytes(b"half")
    journal = SqliteJournal(path)
    assert good(journal) == list(range(1, 21))
    assert not (tmp_path / "j.db.rebuilt").exists()
    journal.close()


def test_corrupt_newest_snapshot_gives_way_to_the_older(tmp_path: Path) -> None:
    path = tmp_path / "j.db"
    journal = SqliteJournal(path)
    for n in range(1, 11):
        journal.append(float(n), [(TOPIC, bytes([n]) * 40)] * 50)
    journal.save_snapshot(4, [b"older state " * 20])
    journal.save_snapshot(8, [b"newer state " * 20])
    journal.close()
    overwrite(path, path.read_bytes().index(b"newer state"), b"N")
    journal = SqliteJournal(path)
    assert snapshot(journal) == (4, [b"older state " * 20])
    assert [batch.position for batch in journal.read(4)] == [5, 6, 7, 8, 9, 10]
    journal.close()


@pytest.mark.parametrize("lost", [0, 1, 2])
def test_snapshot_without_one_of_its_parts_gives_way_to_the_older(tmp_path: Path, lost: int) -> None:
    """The middle, the beginning, or the part that says that it is complete."""
    journal = SqliteJournal(tmp_path / "j.db")
    journal.save_snapshot(4, [b"older", b"state"])
    journal.save_snapshot(8, [b"newer", b"state"])
    journal._connection.execute("DELETE FROM snapshot_parts WHERE position = 8 AND part = ?", (lost,))
    assert snapshot(journal) == (4, [b"older", b"state"])
    journal.close()


def test_what_is_left_of_a_damaged_snapshot_goes_with_it(tmp_path: Path) -> None:
    """Else it would count as the second of the two that are kept, and take the batches behind the older with it."""
    path = tmp_path / "j.db"
    journal = SqliteJournal(path)
    for n in range(1, 13):
        journal.append(float(n), [(TOPIC, bytes([n]) * 40)] * 50)
    journal.save_snapshot(4, [b"older", b"state"])
    journal.save_snapshot(8, [b"newer", b"spoiled part"])
    journal.close()
    overwrite(path, path.read_bytes().index(b"spoiled part"), b"S")
    journal = SqliteJournal(path)
    assert journal.salvage is not None
    journal.save_snapshot(12, [b"newest"])
    assert good(journal) == list(range(5, 13))
    journal.close()


def test_snapshot_whose_making_fails_changes_nothing(tmp_path: Path) -> None:
    def failing() -> Iterator[bytes]:
        yield b"half"
        raise RuntimeError

    journal = SqliteJournal(tmp_path / "j.db")
    journal.append(1.0, [(TOPIC, b"")])
    journal.save_snapshot(1, [b"whole"])
    with pytest.raises(RuntimeError):
        journal.save_snapshot(1, failing())
    assert snapshot(journal) == (1, [b"whole"])
    journal.close()


def test_damage_met_while_reading_is_an_error_and_the_next_start_mends_it(tmp_path: Path) -> None:
    path = tmp_path / "j.db"
    filled(path, 20)
    journal = SqliteJournal(path)
    journal._connection.execute("UPDATE batches SET crc = crc + 1 WHERE position = 7")
    with pytest.raises(StorageCorruptError, match="batch 7"):
        good(journal)
    journal._connection.execute("DELETE FROM batches WHERE position = 7")
    with pytest.raises(StorageCorruptError, match="batch 7"):
        good(journal)
    journal.close()
    journal = SqliteJournal(path)
    assert good(journal) == [n for n in range(1, 21) if n != 7]
    journal.close()


def test_full_disk_is_an_error_to_wait_on_and_changes_nothing(tmp_path: Path) -> None:
    journal = SqliteJournal(tmp_path / "j.db")
    (pages,) = journal._connection.execute("PRAGMA page_count").fetchone()
    journal._connection.execute(f"PRAGMA max_page_count = {pages + 20}")
    taken = 0

    def fill() -> None:
        nonlocal taken
        while True:
            journal.append(1.0, [(TOPIC, bytes([taken + 1]) * 40)] * 50)
            taken += 1

    with pytest.raises(JournalFullError, match="full"):
        fill()
    assert taken > 5
    with pytest.raises(JournalFullError):
        journal.save_snapshot(taken, [b"x" * 10**6])
    assert good(journal) == list(range(1, taken + 1))
    journal._connection.execute(f"PRAGMA max_page_count = {pages + 40}")
    assert journal.append(1.0, [(TOPIC, bytes([taken + 1]) * 40)] * 50).position == taken + 1
    assert good(journal) == list(range(1, taken + 2))
    assert journal.load_snapshot() is None
    journal.close()


def test_limit_of_bytes_holds_until_a_snapshot_makes_room(tmp_path: Path) -> None:
    journal = SqliteJournal(tmp_path / "j.db", max_bytes=1000)
    for _ in range(3):
        journal.append(1.0, [("t", b"x" * 300)])
    with pytest.raises(JournalFullError, match="limit is 1000"):
        journal.append(1.0, [("t", b"x" * 300)])
    journal.save_snapshot(2, [])
    journal.save_snapshot(3, [])
    assert journal.append(1.0, [("t", b"x" * 300)]).position == 4
    journal.close()


def test_statistics_say_what_is_held(tmp_path: Path) -> None:
    now_s = 100.0
    journal = SqliteJournal(tmp_path / "j.db", clock=lambda: now_s)
    assert journal.statistics().oldest_age_s == 0.0
    journal.append(90.0, [("t", b"x" * 300)])
    journal.append(95.0, [])
    held = journal.statistics()
    assert (held.batches, held.position, held.oldest_age_s) == (2, 2, 10.0)
    assert 300 < held.size_bytes < 350
    journal.save_snapshot(1, [b"s" * 50])
    journal.save_snapshot(2, [b"s" * 50])
    held = journal.statistics()
    assert (held.batches, held.position, held.oldest_age_s) == (1, 2, 5.0)
    assert 400 < held.written_bytes < 450
    journal.close()


def test_every_commit_is_synced_unless_told_otherwise(tmp_path: Path) -> None:
    """A lost sync shows only in a power cut, so what SQLite was told is what can be held."""
    for name, options, expected in (("full", {}, 2), ("normal", {"synchronous": "NORMAL"}, 1)):
        journal = SqliteJournal(tmp_path / name, **options)  # type: ignore[arg-type]
        assert journal._connection.execute("PRAGMA synchronous").fetchone() == (expected,)
        assert journal._connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        journal.close()
