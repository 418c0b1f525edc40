"""The wiring: nothing is acknowledged before it is durable, nothing is lost on the way."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence

import pytest

from contract import topics
from contract.points import ACKNOWLEDGEMENTS
from gateway import app
from gateway.app import recover, run
from gateway.ports import Keep, Outputs, Pruned, Refused, StorageFullError
from gateway.settings import JournalSettings, QuarantineSettings, QueueSettings, RetentionSettings, Settings
from gateway.thrift import Thrift
from tests.batches import START_S, acknowledgement, minutes
from tests.fakes import LANES, FakeAnswers, FakeBroker, FakeOutbox, FakeStore
from tests.gateway.rig import BOUND_S, Rig, until


async def test_reading_passes_from_broker_to_store() -> None:
    rig = Rig()
    async with rig.running():
        rig.broker.deliver(*minutes(2))
        await until(lambda: len(rig.local.contents.readings) > 5)
    assert {point.measurement for point in rig.local.contents.points} >= {"industrial", "gateway"}


async def test_nothing_is_acknowledged_before_the_journal_has_it() -> None:
    rig = Rig()
    rig.journal.error = StorageFullError("no room")
    async with rig.running():
        delivery = rig.broker.deliver(*minutes(1))
        await until(rig.broker._waiting.empty)
        assert not delivery.acknowledged
        rig.journal.error = None
        await until(lambda: delivery.acknowledged)
        assert rig.journal.disk.batches


def lengthened(interval_s: float) -> Thrift:
    """Return a thrift that has come to an interval."""
    thrift = Thrift(max_bytes_per_day=1.0, loss_window_s=interval_s)
    thrift.interval_s = interval_s
    return thrift


async def test_within_a_declared_loss_window_messages_are_acknowledged_first_and_committed_together() -> None:
    rig = Rig(thrift=lengthened(3600.0))
    messages = minutes(1)
    async with rig.running():
        deliveries = [rig.broker.deliver(*messages[:30]), rig.broker.deliver(*messages[30:])]
        await until(lambda: all(delivery.acknowledged for delivery in deliveries))
        assert not any(batch.messages for batch in rig.journal.disk.batches.values())
    # leaving stops it in order: what was gathered is committed, and nothing of it is lost
    assert [batch.messages for batch in rig.journal.disk.batches.values() if batch.messages] == [messages]
    open_hop = 10
    assert sum(block.count for block in rig.local.contents.readings) == len(messages) - open_hop


async def test_gathering_ends_with_the_loss_window() -> None:
    rig = Rig(thrift=lengthened(0.05))
    messages = minutes(1)
    async with rig.running():
        rig.broker.deliver(*messages[:30])
        await until(lambda: any(batch.messages for batch in rig.journal.disk.batches.values()))


async def test_stop_processes_what_is_journaled_and_keeps_the_state() -> None:
    rig = Rig()
    async with rig.running():
        delivery = rig.broker.deliver(*minutes(3))
        await until(lambda: delivery.acknowledged)
    assert max(rig.journal.disk.snapshots) == rig.journal.disk.position
    assert sum(block.count for block in rig.local.contents.readings) >= 170


@pytest.mark.parametrize(
    ("journal", "pause_s"),
    [(JournalSettings(snapshot_every_messages=100), 0.0), (JournalSettings(snapshot_every_s=60.0), 60.0)],
    ids=["messages", "time"],
)
async def test_state_is_kept_by_messages_and_by_time_each_counted_anew(
    journal: JournalSettings, pause_s: float
) -> None:
    """A restart replays neither more messages nor more time: of four batches the second and the fourth are due."""
    rig = Rig(settings=Settings(journal=journal, queues=QueueSettings(tick_s=60.0)))
    messages = minutes(4)
    async with rig.running() as flow:
        for number in range(1, 5):
            rig.now_s += 0.0 if number % 2 else pause_s
            rig.broker.deliver(*messages[60 * (number - 1) : 60 * number])
            await until(lambda: flow.batches == number)  # noqa: B023  # awaited at once
    assert set(rig.journal.disk.snapshots) == {2, 4}


async def test_restart_goes_on_where_the_journal_ends() -> None:
    """Outputs of a crashed run and of the run after it are those of one run that never crashed."""
    crashed, whole = Rig(), Rig()
    messages = minutes(4)
    async with whole.running():
        whole.broker.deliver(*messages[:100])
        whole.broker.deliver(*messages[100:])
        await until(lambda: sum(block.count for block in whole.local.contents.readings) >= len(messages))

    # the crash: two batches are journaled, the first one's outputs reached the outbox, no snapshot was kept
    parts = crashed.parts()
    first = crashed.journal.append(START_S + 86_400, messages[:100])
    crashed.outbox.append(first.position, parts.pipeline.process(first))
    crashed.journal.append(START_S + 86_400, messages[100:])
    async with crashed.running():
        await until(lambda: sum(block.count for block in crashed.local.contents.readings) >= len(messages))

    kept, expected = crashed.local.contents, whole.local.contents
    assert [p for p in kept.points if p.measurement != "gateway"] == [
        p for p in expected.points if p.measurement != "gateway"
    ]
    assert kept.readings == expected.readings
    assert kept.ledger == expected.ledger


async def test_recovery_starts_behind_the_snapshot() -> None:
    rig = Rig()
    before = rig.parts().pipeline
    first = rig.journal.append(START_S, minutes(1))
    before.process(first)
    rig.journal.save_snapshot(first.position, before.dump())
    rig.journal.append(START_S, minutes(1, first=60))
    after = rig.parts().pipeline
    recover(after, rig.journal, rig.outbox)
    assert after.statistics().samples == 120


def test_recovery_keeps_the_state_anew() -> None:
    """A gateway that keeps crashing does not replay more each time; what replay begins behind is durable."""
    outbox = FakeOutbox()
    rig = Rig(outbox=outbox)
    rig.journal.append(START_S, minutes(1))
    last = rig.journal.append(START_S, minutes(1, first=60))
    recover(rig.parts().pipeline, rig.journal, rig.outbox)
    assert set(rig.journal.disk.snapshots) == {last.position}
    assert outbox.flushes == 1


class CrampedOutbox(FakeOutbox):
    """An outbox that has no room for its first entries."""

    refusals = 2

    def append(self, position: int, outputs: Outputs) -> None:
        """Refuse some times, then take the outputs."""
        if self.refusals:
            self.refusals -= 1
            raise StorageFullError("no room")
        super().append(position, outputs)


def test_recovery_waits_for_room_and_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "LONGEST_WAIT_FOR_ROOM_S", 0.0)
    rig = Rig(outbox=CrampedOutbox())
    for first in (0, 60):
        rig.journal.append(START_S, minutes(1, first=first))
    recover(rig.parts().pipeline, rig.journal, rig.outbox)
    assert rig.outbox.position == 2
    assert [entry.id for entry in rig.outbox.pending("local", "raw", 1000)] == [1, 2]


def test_recovery_without_room_holds_up_no_stop() -> None:
    """Nothing is kept as done that the outbox does not have: the next start begins where this one did."""
    rig = Rig(outbox=CrampedOutbox())
    rig.journal.append(START_S, minutes(1))
    recover(rig.parts().pipeline, rig.journal, rig.outbox, stopping=lambda: True)
    assert rig.outbox.position == 0
    assert not rig.journal.disk.snapshots


async def test_journal_without_room_has_the_state_kept_with_which_it_forgets() -> None:
    rig = Rig(settings=Settings(queues=QueueSettings(tick_s=60.0)))
    async with rig.running() as flow:
        rig.broker.deliver(*minutes(1))
        await until(lambda: flow.batches == 1)
        assert not rig.journal.disk.snapshots
        rig.journal.error = StorageFullError("the limit is reached")
        rig.broker.deliver(*minutes(1, first=60))
        await until(lambda: rig.journal.disk.snapshots)
        rig.journal.error = None


class PrunedStore(FakeStore):
    """A local store that notes how long it is told to keep what."""

    def __init__(self) -> None:
        """Start with nothing noted."""
        super().__init__()
        self.told: list[tuple[float, Keep]] = []

    async def prune(self, now_s: float, keep: Keep) -> Pruned:
        """Note it."""
        self.told.append((now_s, keep))
        return await super().prune(now_s, keep)


async def test_local_store_is_told_by_the_wall_clock_how_long_to_keep_what() -> None:
    local = PrunedStore()
    retention = RetentionSettings(readings_days=1.0, points_days=2.0, alerts_days=3.0, max_mb=5.0)
    settings = Settings(retention=retention, quarantine=QuarantineSettings(max_age_days=4.0))
    async with Rig(local=local, settings=settings).running():
        await until(lambda: local.told)
    day_s = 86_400.0
    expected = Keep(
        readings_s=day_s, points_s=2 * day_s, alerts_s=3 * day_s, quarantine_s=4 * day_s, max_bytes=5_000_000
    )
    assert local.told == [(START_S + 86_400, expected)]


async def test_idle_time_is_journaled_only_while_connected() -> None:
    rig = Rig()
    rig.broker.disconnect()
    async with rig.running():
        await until(lambda: rig.local.batches)  # a health report: the gateway lives
        assert not rig.journal.disk.batches
        rig.broker.connect()
        await until(lambda: rig.journal.disk.batches)
    assert all(not batch.messages for batch in rig.journal.disk.batches.values())


class GoneBroker(FakeBroker):
    """A broker that goes while a message is on its way to it."""

    async def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        """Wait for the next connection, which does not come."""
        self.disconnect()
        await super().publish(topic, payload, retain=retain)


async def test_a_broker_that_goes_while_the_gateway_reports_holds_up_neither_reports_nor_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("gateway.upkeep.LONGEST_REPORT_S", 0.01)
    rig = Rig(broker=GoneBroker(), settings=Settings(health_every_s=0.1, queues=QueueSettings(tick_s=0.1)))
    async with rig.running():
        await until(lambda: len(rig.local.batches) > 1)
    assert not rig.broker.published


class HangingStore(FakeStore):
    """A store that never answers, as one that waits for a broker which is not there."""

    async def write(self, batch: Sequence[Outputs]) -> list[Refused]:
        """Wait for ever."""
        await asyncio.Event().wait()
        return await super().write(batch)


async def test_a_store_that_hangs_holds_up_neither_reports_nor_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.upkeep.LONGEST_REPORT_S", 0.01)
    rig = Rig(stores=(HangingStore("influx"),), settings=Settings(health_every_s=0.1))
    async with rig.running():
        await until(lambda: len(rig.local.batches) > 1)


def acknowledged(store: FakeStore) -> list[float | int | str | bool]:
    """Return the alerts that a store knows to be acknowledged."""
    return [point.fields["id"] for point in store.contents.points if point.measurement == ACKNOWLEDGEMENTS]


async def test_answers_of_operators_reach_every_store_once_and_without_a_broker() -> None:
    rig = Rig(stores=(FakeStore("influx"),), outbox=FakeOutbox({"local": LANES, "influx": LANES}))
    rig.broker.disconnect()
    rig.answers.given = [acknowledgement(3), acknowledgement(5)]
    for store in (rig.local, *rig.stores):
        async with rig.running():  # the second time is a restart
            await until(lambda: len(acknowledged(store)) == 2)  # noqa: B023  # awaited at once
        assert acknowledged(store) == ["alert-3", "alert-5"]
    assert [len(batch.messages) for batch in rig.journal.disk.batches.values() if batch.messages] == [2]


async def test_answer_that_comes_before_the_stop_is_kept() -> None:
    rig = Rig()
    async with rig.running():
        rig.broker.deliver(*minutes(1))
        await until(lambda: rig.journal.disk.batches)  # the first look is over, the next one is not due
        rig.answers.given = [acknowledgement(1)]
    assert acknowledged(rig.local) == ["alert-1"]


async def test_answer_waits_while_the_disk_is_full_and_holds_up_no_stop() -> None:
    rig = Rig(answers=FakeAnswers([acknowledgement(1)]))
    rig.journal.error = StorageFullError("no room")
    async with rig.running():
        await until(lambda: rig.local.batches)
    assert acknowledged(rig.local) == []
    rig.journal.error = None
    async with rig.running():
        await until(lambda: acknowledged(rig.local))


class BrokenOutbox(FakeOutbox):
    """An outbox that fails for a reason that no port knows."""

    def append(self, position: int, outputs: Outputs) -> None:
        """Fail."""
        raise RuntimeError("broken")


class BrokenStore(FakeStore):
    """A store that fails for a reason that no port knows."""

    async def write(self, batch: Sequence[Outputs]) -> list[Refused]:
        """Fail."""
        raise RuntimeError("broken")


@pytest.mark.parametrize("rig", [Rig(outbox=BrokenOutbox()), Rig(local=BrokenStore())], ids=["outbox", "store"])
async def test_stage_that_fails_ends_the_gateway(rig: Rig) -> None:
    """An error that is no outcome of a port ends every stage: the supervisor restarts, the journal has the data."""
    rig.broker.deliver(*minutes(2))
    with pytest.raises(ExceptionGroup) as ended:
        await asyncio.wait_for(run(rig.parts(), asyncio.Event()), BOUND_S)
    assert ended.value.subgroup(RuntimeError)


class HeldOutbox(FakeOutbox):
    """An outbox whose disk hangs until it is let go."""

    def __init__(self) -> None:
        """Hang from the start."""
        super().__init__()
        self.let_go = threading.Event()

    def append(self, position: int, outputs: Outputs) -> None:
        """Hang, then take the outputs."""
        assert self.let_go.wait(BOUND_S)
        super().append(position, outputs)


async def test_full_queue_stops_acknowledging() -> None:
    """With room for one batch and an outbox that hangs, the third delivery is not taken from the broker."""
    outbox = HeldOutbox()
    rig = Rig(outbox=outbox, settings=Settings(queues=QueueSettings(batches=1, tick_s=60.0)))
    async with rig.running():
        deliveries = [rig.broker.deliver(*minutes(0.2, first=12 * part)) for part in range(5)]
        await until(lambda: len(rig.journal.disk.batches) == 3)
        for _ in range(100):
            await asyncio.sleep(0)
        assert [delivery.acknowledged for delivery in deliveries] == [True, True, True, False, False]
        outbox.let_go.set()
        await until(lambda: all(delivery.acknowledged for delivery in deliveries))


async def test_health_is_published_retained() -> None:
    rig = Rig()
    async with rig.running():
        await until(lambda: topics.gateway("edge-1", "health") in rig.broker.retained)
