"""The wiring on ports that die at a chosen call, before or after its effect, with or without what was not synced.

The disk is modelled, so that a power cut may take from it what no flush made durable; wiring and pipeline are real.
"""

from __future__ import annotations

import asyncio
import copy
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from gateway.app import Clock, Parts, run
from gateway.health import Reporter
from gateway.ports import Batch, Lane, Message, Outputs, Refused
from gateway.settings import JournalSettings, QueueSettings, Settings
from tests.batches import START_S, acknowledgement, pipeline
from tests.fakes import (
    LANES,
    FakeAnswers,
    FakeBroker,
    FakeDelivery,
    FakeJournal,
    FakeJournalDisk,
    FakeOutbox,
    FakeStore,
)

MESSAGES_A_READ = 20
SETTINGS = Settings(
    queues=QueueSettings(tick_s=60.0), journal=JournalSettings(snapshot_every_s=1.0), health_every_s=3600.0
)


class CrashError(Exception):
    """The process is gone."""


@dataclass
class Fate:
    """Counts the calls of ports, and ends the world at one of them."""

    at: int | None
    """Number of the call that is the last; ``None`` is never."""
    after: bool = False
    """Whether the call has its effect before the end."""
    calls: int = 0
    dead: bool = False

    def meet(self, effect: Callable[[], Any]) -> Any:
        """Do a call, or die."""
        if self.dead:
            raise CrashError
        self.calls += 1
        if self.calls == self.at:
            self.dead = True
            if self.after:
                effect()
            raise CrashError
        return effect()


@dataclass
class World:
    """What outlives the process: the broker's session, the disk, and the store."""

    messages: Sequence[Message]
    answers: FakeAnswers = field(default_factory=lambda: FakeAnswers([acknowledgement(n) for n in (1, 2)]))
    """What operators have answered from the beginning on."""
    acknowledged: int = 0
    journal: FakeJournalDisk = field(default_factory=FakeJournalDisk)
    outbox: FakeOutbox = field(default_factory=lambda: FakeOutbox({"local": LANES}))
    durable: list[FakeOutbox] = field(default_factory=list)
    """States of the outbox from its last flush on; a power cut leaves any one of them."""
    store: FakeStore = field(default_factory=FakeStore)
    flush_syncs: bool = True
    """Set False to skip the fsync point before a snapshot."""
    acknowledges_late: bool = True
    """Set False to acknowledge before the commit."""

    def cut_power(self, draw: random.Random) -> None:
        """Leave of the outbox what was flushed, and by chance some of what came after, in order."""
        if self.durable:
            self.outbox = draw.choice(self.durable)
        self.durable = [copy.deepcopy(self.outbox)]

    async def live(self, fate: Fate) -> bool:
        """Run one life of the gateway; tell whether it came to its end in order."""
        through, stop = pipeline(), asyncio.Event()
        ticks = iter(range(10**9))
        clock = Clock(wall_s=lambda: START_S + 86_400, monotonic_s=lambda: float(next(ticks)))  # a snapshot a batch
        parts = Parts(
            broker=_Session(self, fate, stop),
            answers=self.answers,
            journal=_Journal(self, fate),
            outbox=_Outbox(self, fate),
            local=_Store(self, fate),
            stores=(),
            pipeline=through,
            reporter=Reporter(through, clock.wall_s, clock.monotonic_s, lambda: 0.0),
            settings=SETTINGS,
            clock=clock,
        )
        try:
            await asyncio.wait_for(run(parts, stop), 30.0)
        except (CrashError, ExceptionGroup):
            if not fate.dead:
                raise
            return False
        return True


class _Session(FakeBroker):
    """Sends what was not acknowledged, again from the start of each life; all acknowledged, it asks to stop."""

    def __init__(self, world: World, fate: Fate, stop: asyncio.Event) -> None:
        super().__init__()
        self._world, self._fate, self._stop = world, fate, stop
        self._next = world.acknowledged

    async def receive(self) -> FakeDelivery:
        await asyncio.sleep(0)
        world, first = self._world, self._next
        if first >= len(world.messages):
            self._stop.set()
            await asyncio.Event().wait()
        self._next = min(first + MESSAGES_A_READ, len(world.messages))
        delivery = _Delivery(world.messages[first : self._next], world, self._fate, self._next)
        if not world.acknowledges_late:
            delivery.acknowledge()
        return delivery


class _Delivery(FakeDelivery):
    def __init__(self, messages: Sequence[Message], world: World, fate: Fate, end: int) -> None:
        super().__init__(messages)
        self._world, self._fate, self._end = world, fate, end

    def acknowledge(self) -> None:
        def effect() -> None:
            self._world.acknowledged = max(self._world.acknowledged, self._end)

        self._fate.meet(effect)


class _Journal(FakeJournal):
    """Every append is synced, as with ``synchronous=FULL``."""

    def __init__(self, world: World, fate: Fate) -> None:
        super().__init__(world.journal)
        self._fate = fate

    def append(self, received_s: float, messages: Sequence[Message]) -> Batch:
        batch: Batch = self._fate.meet(lambda: super(_Journal, self).append(received_s, messages))
        return batch

    def save_snapshot(self, position: int, state: Iterable[bytes]) -> None:
        self._fate.meet(lambda: super(_Journal, self).save_snapshot(position, state))


class _Outbox(FakeOutbox):
    """Appends are not synced; a flush is."""

    def __init__(self, world: World, fate: Fate) -> None:
        super().__init__({"local": LANES})
        self._world, self._fate = world, fate
        held = world.outbox
        self.cursors, self.entries, self._position = held.cursors, held.entries, held._position
        self._mark(flushed=not world.durable)

    def append(self, position: int, outputs: Outputs) -> None:
        def effect() -> None:
            super(_Outbox, self).append(position, outputs)
            self._mark()

        self._fate.meet(effect)

    def done(self, store: str, lane: Lane, entry_id: int) -> None:
        def effect() -> None:
            super(_Outbox, self).done(store, lane, entry_id)
            self._mark()

        self._fate.meet(effect)

    def flush(self) -> None:
        self._fate.meet(lambda: self._mark(flushed=self._world.flush_syncs))

    def _mark(self, *, flushed: bool = False) -> None:
        state = FakeOutbox({"local": LANES})
        state.cursors, state._position = dict(self.cursors), self._position
        state.entries = {lane: dict(entries) for lane, entries in self.entries.items()}
        self._world.outbox = state
        if flushed:
            self._world.durable.clear()
        self._world.durable.append(state)


class _Store(FakeStore):
    """What it took is synced."""

    def __init__(self, world: World, fate: Fate) -> None:
        super().__init__()
        self._fate, self.batches = fate, world.store.batches

    async def write(self, batch: Sequence[Outputs]) -> list[Refused]:
        self._fate.meet(lambda: self.batches.append(list(batch)))
        return []


async def uninterrupted(messages: Sequence[Message]) -> tuple[Outputs, int]:
    """Return what a run that never dies leaves in the store, and how many calls of ports it took."""
    world, fate = World(messages), Fate(None)
    assert await world.live(fate)
    return world.store.contents, fate.calls


async def crashed(world: World, at: int, *, after: bool, power: bool, seed: int) -> Outputs:
    """Return what the store holds when the first life ends at a call, the second soon after, and the third lives on."""
    draw = random.Random(seed)
    for end in (at, draw.randint(1, 30), None):
        lived = await world.live(Fate(end, after=after))
        if lived:
            break
        if power:
            world.cut_power(draw)
    return world.store.contents


def rows(outputs: Outputs) -> dict[str, list[str]]:
    """Return what a store holds, comparable: without the gateway's reports of itself and counts of duplicates."""
    return {
        "alerts": sorted(str(alert) for alert in outputs.alerts),
        "points": sorted(str(point) for point in outputs.points if point.measurement != "gateway"),
        "samples": sorted(
            f"{r.device} {r.start_ns} {r.times.hex()} {r.values.hex()}" for r in outputs.readings if not r.late
        ),
        "ledger": sorted(f"{x.device} {x.published} {x.stored} {x.lost} {x.gaps}" for x in outputs.ledger),
    }
