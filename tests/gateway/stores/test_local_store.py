"""The local store and its reader: what is written can be read, once, by anyone, for as long as it is kept."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from contract.answers import Acknowledgement
from contract.messages import Alert
from contract.points import ACKNOWLEDGEMENTS, Point, acknowledgement_point
from contract.topics import DeviceId
from gateway.ports import Keep, LedgerLine, Outputs, Quarantined, Readings, Refused, StoreUnavailableError
from gateway.sqlite_file import StorageCorruptError, StorageError, StorageFullError
from gateway.stores import local
from gateway.stores.local import LocalStore, QuarantineLimits
from gateway.stores.reader import LocalReader

PUMP = DeviceId("s", "industrial", "p-1")
FOREVER_S = 1e12


class Clock:
    """A wall clock that a test sets."""

    now_s = 5000.0

    def __call__(self) -> float:
        """Return the time set."""
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def store(tmp_path: Path, clock: Clock) -> AsyncIterator[LocalStore]:
    store = LocalStore(tmp_path / "s.db", clock=clock)
    yield store
    await store.close()


@pytest.fixture
def reader(tmp_path: Path) -> LocalReader:
    return LocalReader(tmp_path / "s.db")


def block(
    times: list[float], first: float = 0.0, *, late: bool = False, device: str = "p-1", channels: int = 2
) -> Readings:
    """Return readings whose values count up from ``first``."""
    values = first + np.arange(len(times) * channels, dtype="<f4")
    start_ns = int(times[0] // 60 * 60) * 10**9
    return Readings(
        "s", "industrial", device, start_ns, late, len(times), np.array(times, "<f8").tobytes(), values.tobytes()
    )


def acknowledgement(at_s: float) -> Point:
    """Return the point of somebody who took an alert of the pump on."""
    where = {"site": "s", "domain": "industrial", "device": "p-1", "rule": "anomaly"}
    return acknowledgement_point(
        Acknowledgement(number=1, alert_id="a", onset_s=0.0, at_s=at_s, verdict="confirmed", **where)
    )


def alert(name: str = "a", **changes: Any) -> Alert:
    usual: dict[str, Any] = {
        "id": name,
        "site": "s",
        "domain": "industrial",
        "device": "p-1",
        "rule": "anomaly",
        "severity": "warning",
        "state": "firing",
        "onset_s": 100.0,
        "at_s": 100.0,
        "trigger_s": 100.5,
        "score": 0.9,
        "summary": "Vibration is up.",
    }
    return Alert(**(usual | changes))


def line(published: int, last_s: float, **changes: Any) -> LedgerLine:
    usual: dict[str, Any] = {"stored": published, "duplicate": 0, "late": 0, "quarantined": 0, "lost": 0, "gaps": ()}
    return LedgerLine(
        site="s", domain="industrial", device="p-1", published=published, last_s=last_s, **(usual | changes)
    )


def bad(position: int, index: int = 0, size: int = 10) -> Quarantined:
    return Quarantined(position, index, float(position), "a/b", "not JSON", b"x" * size)


async def test_readings_come_back_by_time_late_ones_among_the_rest(store: LocalStore, reader: LocalReader) -> None:
    await store.write([Outputs(readings=[block([60.0, 62.0]), block([120.0], 50.0), block([61.0], 80.0, late=True)])])
    times, values = reader.readings(PUMP, 0.0, 1000.0)
    assert times.tolist() == [60.0, 61.0, 62.0, 120.0]
    assert values.tolist() == [[0.0, 1.0], [80.0, 81.0], [2.0, 3.0], [50.0, 51.0]]
    assert (times.dtype.name, values.dtype.name) == ("float64", "float32")


async def test_readings_are_cut_to_the_span_inside_a_block(store: LocalStore, reader: LocalReader) -> None:
    await store.write([Outputs(readings=[block([60.0, 61.0, 62.0, 63.0]), block([60.5], device="p-2")])])
    times, values = reader.readings(PUMP, 61.0, 63.0)
    assert times.tolist() == [61.0, 62.0]
    assert values.shape == (2, 2)
    assert reader.readings(PUMP, 500.0, 600.0)[0].tolist() == []
    assert reader.readings(DeviceId("s", "industrial", "nobody"), 0.0, 1e9)[0].size == 0


async def test_block_from_before_a_channel_was_added_is_missing_there(store: LocalStore, reader: LocalReader) -> None:
    await store.write([Outputs(readings=[block([60.0], channels=1), block([120.0], channels=2)])])
    _, values = reader.readings(PUMP, 0.0, 1e9)
    np.testing.assert_array_equal(values, [[0.0, math.nan], [0.0, 1.0]])


async def test_block_written_again_with_more_samples_takes_its_place(store: LocalStore, reader: LocalReader) -> None:
    await store.write([Outputs(readings=[block([60.0])])])
    await store.write([Outputs(readings=[block([60.0, 110.0])])])
    assert reader.readings(PUMP, 100.0, 1e9)[0].tolist() == [110.0]
    assert (reader.counts().blocks, reader.counts().samples) == (1, 2)


async def test_points_keep_types_tags_and_nanoseconds(store: LocalStore, reader: LocalReader) -> None:
    fields: dict[str, Any] = {"mean": 1.0, "count": 3, "text": "é", "ok": True}
    own = Point("industrial", {"site": "s", "device": "p-1"}, fields, 1_700_000_000_000_000_001)
    custom = Point("gateway", {"gateway": "edge-1"}, {"lag": 0.5}, 5)
    await store.write([Outputs(points=[own, custom])])
    (found,) = reader.points("industrial")
    assert found == own
    assert {name: type(value) for name, value in found.fields.items()} == {
        "mean": float,
        "count": int,
        "text": str,
        "ok": bool,
    }
    assert reader.points("gateway") == [custom]
    assert reader.points("retail") == []


async def test_points_are_chosen_by_device_and_span(store: LocalStore, reader: LocalReader) -> None:
    made = [
        Point("industrial", {"site": "s", "device": name}, {"n": n}, n * 10**9)
        for n in range(5)
        for name in ("p-1", "p-2")
    ]
    await store.write([Outputs(points=made[::-1])])
    found = reader.points("industrial", PUMP, 1.0, 4.0)
    assert [(point.tags["device"], point.fields["n"]) for point in found] == [("p-1", 1), ("p-1", 2), ("p-1", 3)]


async def test_tags_in_another_order_are_the_same_series(store: LocalStore, reader: LocalReader) -> None:
    await store.write([Outputs(points=[Point("m", {"a": "1", "b": "2"}, {"n": 1}, 5)])])
    await store.write([Outputs(points=[Point("m", {"b": "2", "a": "1"}, {"n": 2}, 5)])])
    assert [point.fields for point in reader.points("m")] == [{"n": 2}]


async def test_alert_says_when_it_was_first_stored(store: LocalStore, reader: LocalReader, clock: Clock) -> None:
    await store.write([Outputs(alerts=[alert()])])
    clock.now_s = 9000.0
    await store.write([Outputs(alerts=[alert()])])
    (stored,) = reader.alerts()
    assert stored.alert == alert()
    assert stored.stored_s == 5000.0


async def test_resolved_alert_is_past_and_keeps_both_transitions(store: LocalStore, reader: LocalReader) -> None:
    over = alert("a", state="resolved", at_s=160.0)
    still = alert("b", onset_s=130.0, at_s=130.0)
    await store.write([Outputs(alerts=[alert("a"), still, over])])
    assert reader.open_alerts() == [still]
    assert [stored.alert for stored in reader.alerts(firing=False)] == [over]
    assert [stored.alert for stored in reader.alerts()] == [still, over]
    assert [stored.alert for stored in reader.transitions()] == [alert("a"), still, over]


async def test_alert_resolved_at_the_moment_it_fired_does_not_fire(store: LocalStore, reader: LocalReader) -> None:
    await store.write([Outputs(alerts=[alert(state="resolved"), alert()])])
    assert reader.open_alerts() == []


async def test_alerts_can_be_filtered(store: LocalStore, reader: LocalReader) -> None:
    await store.write(
        [
            Outputs(
                alerts=[
                    alert("a"),
                    alert("b", device="p-2", severity="critical", at_s=200.0),
                    alert("c", domain="traffic", rule="silent", at_s=300.0),
                ]
            )
        ]
    )

    def names(**wanted: Any) -> list[str]:
        return [stored.alert.id for stored in reader.alerts(**wanted)]

    assert names(device=PUMP) == ["a"]
    assert names(domain="traffic") == ["c"]
    assert names(rule="silent") == ["c"]
    assert names(severity="critical") == ["b"]
    assert names(since_s=200.0) == ["b", "c"]
    assert names(limit=2) == ["b", "c"]


async def test_older_ledger_line_never_overwrites_a_newer(store: LocalStore, reader: LocalReader) -> None:
    newer = line(100, 60.0, lost=2, stored=98, gaps=((5, 6),))
    await store.write([Outputs(ledger=[newer])])
    await store.write([Outputs(ledger=[line(90, 50.0)])])
    assert reader.ledger() == [newer]
    filled_gap = line(100, 60.0, lost=1, stored=99, gaps=((6, 6),))
    await store.write([Outputs(ledger=[filled_gap])])
    await store.write([Outputs(ledger=[newer])])
    assert reader.ledger() == [filled_gap]


async def test_quarantine_is_bounded_and_counts_what_had_to_go(tmp_path: Path, reader: LocalReader) -> None:
    store = LocalStore(tmp_path / "s.db", quarantine=QuarantineLimits(rows=10, size_bytes=10**6))
    await store.write([Outputs(quarantined=[bad(n) for n in range(10)])])
    assert reader.counts().quarantine_evicted == 0
    await store.write([Outputs(quarantined=[bad(10)])])
    assert [message.position for message in reader.quarantine()] == [10, 9, 8, 7, 6, 5, 4, 3, 2]
    assert reader.counts().quarantine_evicted == 2
    await store.write([Outputs(quarantined=[bad(0), bad(1), bad(10)])])
    assert reader.counts().quarantine_evicted == 2, "what was evicted before is not counted again by a replay"
    assert reader.counts().quarantined == 9
    await store.close()


async def test_quarantine_is_bounded_in_bytes(tmp_path: Path, reader: LocalReader) -> None:
    store = LocalStore(tmp_path / "s.db", quarantine=QuarantineLimits(rows=1000, size_bytes=1000))
    for n in range(50):
        await store.write([Outputs(quarantined=[bad(n, size=90)])])
        assert sum(len(message.payload) for message in reader.quarantine()) <= 1000
    assert reader.counts().quarantined + reader.counts().quarantine_evicted == 50
    await store.close()


async def test_hostile_topic_and_payload_can_be_kept(store: LocalStore, reader: LocalReader) -> None:
    await store.write([Outputs(quarantined=[Quarantined(1, 0, 1.0, "a\ud800\x00b", "r", bytes(range(256)))])])
    (message,) = reader.quarantine()
    assert message.payload == bytes(range(256))
    assert message.topic.startswith("a?")


async def test_refused_points_are_kept_once_with_the_words(store: LocalStore, reader: LocalReader) -> None:
    refused = Refused(Point("m", {"site": "s"}, {"n": 1}, 5), "field type conflict")
    await store.write_refused("influx", [refused])
    await store.write_refused("influx", [refused])
    (kept,) = reader.refused()
    assert (kept.store, kept.point, kept.reason, kept.stored_s) == ("influx", refused.point, refused.reason, 5000.0)


async def test_prune_deletes_by_age_and_keeps_alerts_that_fire(store: LocalStore, reader: LocalReader) -> None:
    await store.write(
        [
            Outputs(
                readings=[block([60.0]), block([960.0])],
                points=[Point("m", {}, {"n": n}, n * 10**9) for n in (60, 960)],
                alerts=[alert("fires"), alert("over"), alert("over", state="resolved", at_s=160.0)],
                quarantined=[bad(60), bad(960)],
                ledger=[line(1, 60.0)],
            )
        ]
    )
    pruned = await store.prune(1000.0, Keep(readings_s=100.0, points_s=100.0, alerts_s=100.0, quarantine_s=100.0))
    assert (pruned.readings, pruned.points, pruned.alerts, pruned.quarantined, pruned.for_room) == (1, 1, 2, 1, 0)
    assert reader.readings(PUMP, 0.0, 1e9)[0].tolist() == [960.0]
    assert [point.fields["n"] for point in reader.points("m")] == [960]
    assert [one.id for one in reader.open_alerts()] == ["fires"]
    assert len(reader.ledger()) == 1


async def test_alerts_that_are_stored_before_their_readings_are_not_aged_by_the_clock(
    store: LocalStore, reader: LocalReader
) -> None:
    """A recording of another year is replayed, its alerts overtake its readings, and then the gateway starts anew."""
    await store.write([Outputs(alerts=[alert("over"), alert("over", state="resolved", at_s=160.0)])])
    keep = Keep(readings_s=100.0, points_s=100.0, alerts_s=100.0, quarantine_s=100.0)
    assert (await store.prune(1e9, keep)).alerts == 0
    await store.write([Outputs(alerts=[alert("later", at_s=961.0)])])
    assert (await store.prune(1e9, keep)).alerts == 2
    assert [one.id for one in reader.open_alerts()] == ["later"]


async def test_acknowledgements_stay_as_long_as_alerts(store: LocalStore, reader: LocalReader) -> None:
    """Neither the age of points nor want of room takes one away; the age of alerts does."""
    times_s = (0.0, 500.0, 900.0)
    others = [Point("m", {}, {"n": n}, round(time_s * 1e9)) for n, time_s in enumerate(times_s)]
    answers = [acknowledgement(time_s) for time_s in times_s]
    await store.write([Outputs(points=[*others, *answers], alerts=[alert(at_s=1000.0)])])
    keep = Keep(readings_s=100.0, points_s=200.0, alerts_s=600.0, quarantine_s=100.0)
    assert (await store.prune(1000.0, keep)).points == 3
    assert reader.points("m") == others[2:]
    assert reader.points(ACKNOWLEDGEMENTS) == answers[1:]
    pruned = await store.prune(1000.0, replace(keep, max_bytes=1))
    assert (pruned.points, pruned.for_room) == (1, 1)
    assert reader.points("m") == []
    assert reader.points(ACKNOWLEDGEMENTS) == answers[1:]


async def test_prune_makes_room_with_the_oldest_readings_first(store: LocalStore, reader: LocalReader) -> None:
    count = 3000
    await store.write(
        [
            Outputs(
                readings=[block([60.0 * n + k for k in range(60)]) for n in range(count)],
                points=[Point("m", {}, {"n": n}, n) for n in range(100)],
                alerts=[alert("over"), alert("over", state="resolved")],
            )
        ]
    )
    keep = Keep(
        readings_s=FOREVER_S, points_s=FOREVER_S, alerts_s=FOREVER_S, quarantine_s=FOREVER_S, max_bytes=2 * 2**20
    )
    pruned = await store.prune(1000.0, keep)
    times, _ = reader.readings(PUMP, 0.0, 1e9)
    assert 0 < len(times) < 60 * count
    assert times[-1] == 60.0 * count - 1
    assert len(times) == (count - pruned.readings) * 60
    assert pruned.for_room == pruned.readings
    assert len(reader.points("m")) == 100
    assert reader.counts().alerts == 1


async def test_reader_sees_whole_batches_while_the_writer_works(store: LocalStore, reader: LocalReader) -> None:
    """Each batch holds as many points as quarantined messages; a reader never sees half of one."""

    async def write_all() -> None:
        for n in range(60):
            points = [Point("m", {}, {"n": k}, n * 100 + k) for k in range(20)]
            await store.write([Outputs(points=points, quarantined=[bad(n, k) for k in range(20)])])

    writing = asyncio.create_task(write_all())
    seen = set()
    while not writing.done():
        counts = await asyncio.to_thread(reader.counts)
        assert counts.points == counts.quarantined
        assert counts.points % 20 == 0
        seen.add(counts.points)
    await writing
    assert len(seen) > 1
    assert reader.counts().points == 1200


async def test_reader_needs_no_writer(store: LocalStore, reader: LocalReader) -> None:
    await store.write([Outputs(alerts=[alert()])])
    await store.close()
    assert reader.open_alerts() == [alert()]
    assert reader.devices() == []


def test_reader_of_nothing_says_so(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="no store here"):
        LocalReader(tmp_path / "none.db").counts()
    assert not (tmp_path / "none.db").exists()


async def test_full_disk_keeps_everything_and_stores_it_once_there_is_room(
    store: LocalStore, reader: LocalReader
) -> None:
    (pages,) = store._connection.execute("PRAGMA page_count").fetchone()
    store._connection.execute(f"PRAGMA max_page_count = {pages + 4}")
    batch = [Outputs(alerts=[alert()], readings=[block([60.0 * n + k for k in range(60)]) for n in range(100)])]
    with pytest.raises(StoreUnavailableError, match="full"):
        await store.write(batch)
    assert reader.counts().transitions == 0, "all or nothing"
    store._connection.execute(f"PRAGMA max_page_count = {pages + 1000}")
    await store.write(batch)
    assert (reader.counts().transitions, reader.counts().blocks, reader.counts().devices) == (1, 100, 1)
    assert len(reader.readings(PUMP, 0.0, 1e9)[0]) == 6000


def test_who_only_reads_a_damaged_store_is_told_who_mends_it(tmp_path: Path) -> None:
    file = tmp_path / "store.db"
    file.write_bytes(b"no database at all" * 1000)
    with pytest.raises(StorageCorruptError, match="A gateway that starts on it keeps every whole row"):
        LocalReader(file).devices()


async def test_damaged_store_is_mended_when_it_is_opened(tmp_path: Path, reader: LocalReader) -> None:
    path = tmp_path / "s.db"
    store = LocalStore(path)
    await store.write(
        [Outputs(readings=[block([60.0 * n + k for k in range(60)]) for n in range(500)], alerts=[alert()])]
    )
    await store.close()
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        file.write(b"\xff" * 5000)
    store = LocalStore(path)
    assert store.salvage is not None
    assert store.salvage.set_aside.exists()
    assert reader.open_alerts() == [alert()]
    assert 400 < reader.counts().blocks <= 500
    await store.write([Outputs(points=[Point("m", {}, {"n": 1}, 1)])])
    assert len(reader.points("m")) == 1
    await store.close()


async def test_damage_met_while_writing_is_mended_and_the_write_goes_through(
    tmp_path: Path, reader: LocalReader
) -> None:
    """A large file is not read through at the start; the first write that meets damage mends it."""
    path = tmp_path / "s.db"
    store = LocalStore(path)
    await store.write([Outputs(points=[Point("m", {"d": str(n % 50)}, {"n": n}, n) for n in range(5000)])])
    await store.close()
    store = LocalStore(path)
    (root,) = store._connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'points'").fetchone()
    store._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with path.open("r+b") as file:
        file.seek((root - 1) * 4096)
        file.write(b"\xff" * 4096)
    store._connection.execute("PRAGMA shrink_memory")
    store._connection.execute("PRAGMA cache_size = 0")
    point = Point("m", {"d": "0"}, {"n": 1.5}, 10**6)
    await store.write([Outputs(points=[point], alerts=[alert()])])
    assert store.salvage is not None
    assert reader.points("m")[-1] == point
    assert reader.open_alerts() == [alert()]
    await store.close()


async def test_mending_that_finds_the_disk_full_is_tried_again_with_the_next_write(
    tmp_path: Path, reader: LocalReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = LocalStore(tmp_path / "s.db")
    await store.write([Outputs(alerts=[alert()])])
    store._damaged = True
    store._connection.close()
    monkeypatch.setattr(local, "open_database", refuse_for_room)
    with pytest.raises(StoreUnavailableError, match="no room"):
        await store.write([Outputs(alerts=[alert("b")])])
    monkeypatch.undo()
    await store.write([Outputs(alerts=[alert("b")])])
    assert [one.id for one in reader.open_alerts()] == ["a", "b"]
    await store.close()


def refuse_for_room(path: Path, *_: object, **__: object) -> None:
    raise StorageFullError("no room", path=path)
