"""What every journal does, the fake included."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.journal.sqlite import SqliteJournal
from gateway.ports import Batch, Journal
from tests.fakes import FakeJournal, FakeJournalDisk

Reopen = Callable[[], Journal]
MESSAGES = [
    ("fleet/v1/a/industrial/p-1/telemetry", b'{"ts":1.0}'),
    ("fleet/v1/a/industrial/p-2/telemetry", b"\x00\xff"),
]


@pytest.fixture(params=["sqlite", "fake"])
def reopen(request: pytest.FixtureRequest, tmp_path: Path) -> Reopen:
    """Open the same journal again and again, as restarts would; the test closes what it opened."""
    if request.param == "sqlite":
        return lambda: SqliteJournal(tmp_path / "journal.db")
    disk = FakeJournalDisk()
    return lambda: FakeJournal(disk)


def plain(batch: Batch) -> tuple[int, float, list[tuple[str, bytes]]]:
    return batch.position, batch.received_s, list(batch.messages)


def positions(journal: Journal, after: int = 0) -> list[int]:
    return [batch.position for batch in journal.read(after)]


def snapshot(journal: Journal) -> tuple[int, list[bytes]] | None:
    found = journal.load_snapshot()
    return None if found is None else (found[0], list(found[1]))


def test_append_numbers_batches_from_one_without_gaps(reopen: Reopen) -> None:
    journal = reopen()
    assert [journal.append(float(n), MESSAGES).position for n in range(4)] == [1, 2, 3, 4]
    journal.close()


def test_read_gives_back_what_was_appended_in_order(reopen: Reopen) -> None:
    journal = reopen()
    appended = [
        plain(journal.append(10.5, MESSAGES)),
        plain(journal.append(11.25, [])),
        plain(journal.append(9.0, MESSAGES)),
    ]
    assert [plain(batch) for batch in journal.read(0)] == appended
    assert [plain(batch) for batch in journal.read(2)] == appended[2:]
    journal.close()


def test_tick_without_messages_is_a_batch(reopen: Reopen) -> None:
    journal = reopen()
    journal.append(7.0, [])
    assert [plain(batch) for batch in journal.read(0)] == [(1, 7.0, [])]
    journal.close()


def test_reopened_journal_goes_on_where_it_was(reopen: Reopen) -> None:
    journal = reopen()
    journal.append(1.0, MESSAGES)
    journal.close()
    journal = reopen()
    assert journal.append(2.0, MESSAGES).position == 2
    assert positions(journal) == [1, 2]
    journal.close()


def test_newest_snapshot_is_loaded(reopen: Reopen) -> None:
    journal = reopen()
    assert journal.load_snapshot() is None
    for n in range(5):
        journal.append(float(n), MESSAGES)
    journal.save_snapshot(2, [b"two"])
    journal.save_snapshot(4, [b"four"])
    journal.close()
    journal = reopen()
    assert snapshot(journal) == (4, [b"four"])
    journal.close()


def test_first_snapshot_deletes_nothing(reopen: Reopen) -> None:
    """Should the only snapshot turn out damaged, the beginning must still be there to replay."""
    journal = reopen()
    journal.append(1.0, MESSAGES)
    journal.append(2.0, MESSAGES)
    journal.save_snapshot(2, [b"two"])
    assert positions(journal) == [1, 2]
    journal.close()


def test_batches_up_to_the_oldest_of_two_snapshots_are_deleted(reopen: Reopen) -> None:
    journal = reopen()
    for n in range(6):
        journal.append(float(n), MESSAGES)
    for position in (1, 3, 5):
        journal.save_snapshot(position, [b"state"])
    assert positions(journal) == [4, 5, 6]
    journal.close()


def test_position_goes_on_when_snapshots_deleted_every_batch(reopen: Reopen) -> None:
    journal = reopen()
    journal.append(1.0, MESSAGES)
    journal.append(2.0, MESSAGES)
    journal.save_snapshot(1, [b"one"])
    journal.save_snapshot(2, [b"two"])
    journal.close()
    journal = reopen()
    assert positions(journal) == [2]
    assert journal.append(3.0, MESSAGES).position == 3
    journal.close()


def test_snapshot_comes_back_in_its_parts(reopen: Reopen) -> None:
    journal = reopen()
    journal.append(1.0, MESSAGES)
    journal.save_snapshot(1, (bytes([n]) * n for n in range(1, 30)))
    journal.close()
    journal = reopen()
    assert snapshot(journal) == (1, [bytes([n]) * n for n in range(1, 30)])
    journal.close()


def test_saving_the_same_snapshot_again_replaces_it(reopen: Reopen) -> None:
    journal = reopen()
    journal.append(1.0, MESSAGES)
    journal.save_snapshot(1, [b"old", b"older"])
    journal.save_snapshot(1, [b"new"])
    assert snapshot(journal) == (1, [b"new"])
    assert positions(journal) == [1]
    journal.close()
