"""What every outbox does, the fake included."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from contract.messages import Alert
from contract.points import Point
from gateway.outbox.sqlite import SqliteOutbox
from gateway.ports import Lane, LedgerLine, Outbox, Outputs, Quarantined, Readings
from tests.fakes import FakeOutbox

STORES: dict[str, tuple[Lane, ...]] = {
    "local": ("alerts", "features", "raw"),
    "influx": ("alerts", "features"),
    "mqtt": ("alerts",),
}


@pytest.fixture(params=["sqlite", "fake"])
def outbox(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Outbox]:
    outbox: Outbox = SqliteOutbox(tmp_path / "outbox.db", STORES) if request.param == "sqlite" else FakeOutbox(STORES)
    yield outbox
    outbox.close()


def alert(name: str = "a") -> Alert:
    return Alert(
        id=name,
        site="s",
        domain="industrial",
        device="p-1",
        rule="anomaly",
        severity="warning",
        state="firing",
        onset_s=1.0,
        at_s=1.0,
        trigger_s=1.5,
        score=0.9,
        summary="Vibration is up.",
    )


def point(n: int) -> Point:
    return Point("industrial", {"site": "s", "device": "p-1"}, {"score": n / 8, "count": n, "text": "é", "ok": True}, n)


def everything(n: int) -> Outputs:
    return Outputs(
        alerts=[alert(f"a{n}")],
        points=[point(n)],
        readings=[Readings("s", "industrial", "p-1", n, late=False, count=1, times=b"\x00" * 8, values=b"\x00" * 4)],
        quarantined=[Quarantined(n, 0, 1.0, "a/b", "not JSON", b"{")],
        ledger=[LedgerLine("s", "industrial", "p-1", n, n, 0, 0, 0, 0, ((1, 2), (5, 5)), 1.0)],
    )


def ids(outbox: Outbox, store: str, lane: Lane) -> list[int]:
    return [entry.id for entry in outbox.pending(store, lane, 100)]


def test_lanes_part_alerts_from_the_rest_and_lose_nothing(outbox: Outbox) -> None:
    outbox.append(1, everything(1))
    (alerts,) = outbox.pending("local", "alerts", 10)
    (features,) = outbox.pending("local", "features", 10)
    (raw,) = outbox.pending("local", "raw", 10)
    whole = everything(1)
    assert alerts.outputs == Outputs(alerts=whole.alerts)
    assert features.outputs == Outputs(points=whole.points)
    assert raw.outputs == Outputs(readings=whole.readings, quarantined=whole.quarantined, ledger=whole.ledger)


def test_lane_that_a_store_does_not_take_has_nothing_for_it(outbox: Outbox) -> None:
    outbox.append(1, everything(1))
    assert ids(outbox, "mqtt", "alerts") == [1]
    assert ids(outbox, "mqtt", "features") == []


def test_pending_is_oldest_first_and_limited(outbox: Outbox) -> None:
    for n in range(1, 8):
        outbox.append(n, Outputs(points=[point(n)]))
    entries = outbox.pending("local", "features", 3)
    assert [entry.outputs.points[0].time_ns for entry in entries] == [1, 2, 3]


def test_pending_again_gives_the_same_until_done(outbox: Outbox) -> None:
    outbox.append(1, everything(1))
    assert outbox.pending("local", "features", 9) == outbox.pending("local", "features", 9)


def test_position_already_taken_is_ignored(outbox: Outbox) -> None:
    outbox.append(1, everything(1))
    outbox.append(2, everything(2))
    outbox.append(2, everything(3))
    outbox.append(1, everything(4))
    assert len(outbox.pending("local", "features", 9)) == 2
    assert outbox.position == 2


def test_empty_outputs_advance_the_position_and_leave_no_entry(outbox: Outbox) -> None:
    outbox.append(1, Outputs())
    outbox.append(2, Outputs())
    assert outbox.position == 2
    assert outbox.pending("local", "features", 9) == []
    assert outbox.pending("local", "alerts", 9) == []


def test_done_moves_only_the_cursor_of_its_store_and_lane(outbox: Outbox) -> None:
    for n in (1, 2):
        outbox.append(n, everything(n))
    first, second = ids(outbox, "local", "features")
    outbox.done("local", "features", first)
    assert ids(outbox, "local", "features") == [second]
    assert ids(outbox, "influx", "features") == [first, second]
    assert len(ids(outbox, "local", "alerts")) == 2


def test_done_never_moves_backwards(outbox: Outbox) -> None:
    for n in (1, 2):
        outbox.append(n, everything(n))
    first, second = ids(outbox, "local", "features")
    outbox.done("local", "features", second)
    outbox.done("local", "features", first)
    assert ids(outbox, "local", "features") == []


def test_entry_is_deleted_when_every_taker_of_its_lane_has_passed(outbox: Outbox) -> None:
    """The store that takes alerts only never holds the lane of points back."""
    outbox.append(1, everything(1))
    outbox.done("local", "raw", ids(outbox, "local", "raw")[-1])
    for store in ("local", "influx"):
        outbox.done(store, "features", ids(outbox, store, "features")[-1])
    assert outbox.load().entries == 1
    for store in STORES:
        outbox.done(store, "alerts", ids(outbox, store, "alerts")[-1])
    assert outbox.load().entries == 0
    assert outbox.load().size_bytes == 0


def test_delivered_position_is_not_taken_again(outbox: Outbox) -> None:
    """Replay after a crash appends again what was delivered already."""
    outbox.append(1, Outputs(points=[point(1)]))
    for store in ("local", "influx"):
        outbox.done(store, "features", ids(outbox, store, "features")[-1])
    outbox.append(1, Outputs(points=[point(1)]))
    assert outbox.load().entries == 0


def test_flush_keeps_everything_pending(outbox: Outbox) -> None:
    outbox.append(1, everything(1))
    outbox.flush()
    assert len(ids(outbox, "mqtt", "alerts")) == 1
