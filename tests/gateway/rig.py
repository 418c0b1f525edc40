"""The wiring on fakes of every port, for its tests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from gateway.app import Clock, Flow, Parts, run
from gateway.health import Reporter
from gateway.ports import Outbox
from gateway.settings import QueueSettings, Settings
from gateway.thrift import Thrift
from tests.batches import START_S, pipeline
from tests.fakes import FakeAnswers, FakeBroker, FakeJournal, FakeOutbox, FakeStore

BOUND_S = 10.0
"""Longest wait for something that must happen."""


@dataclass
class Rig:
    """A gateway of fakes."""

    broker: FakeBroker = field(default_factory=FakeBroker)
    answers: FakeAnswers = field(default_factory=FakeAnswers)
    journal: FakeJournal = field(default_factory=FakeJournal)
    outbox: Outbox = field(default_factory=FakeOutbox)
    local: FakeStore = field(default_factory=FakeStore)
    stores: tuple[FakeStore, ...] = ()
    settings: Settings = field(default_factory=lambda: Settings(queues=QueueSettings(tick_s=0.1)))
    thrift: Thrift = field(default_factory=Thrift)
    now_s: float = 0.0
    """What the monotonic clock says."""

    def parts(self) -> Parts:
        """Return what the wiring connects."""
        through = pipeline()
        clock = Clock(wall_s=lambda: START_S + 86_400, monotonic_s=lambda: self.now_s)
        return Parts(
            broker=self.broker,
            answers=self.answers,
            journal=self.journal,
            outbox=self.outbox,
            local=self.local,
            stores=self.stores,
            pipeline=through,
            reporter=Reporter(through, clock.wall_s, clock.monotonic_s, lambda: 0.0),
            settings=self.settings,
            clock=clock,
            thrift=self.thrift,
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Flow]:
        """Run the gateway; on leaving, stop it in order."""
        parts, stop = self.parts(), asyncio.Event()
        flow = Flow(parts)
        task = asyncio.create_task(run(parts, stop, flow))
        try:
            yield flow
        finally:
            stop.set()
            await asyncio.wait_for(task, BOUND_S)


async def until(condition: Callable[[], object]) -> None:
    """Let the gateway work until a condition holds."""
    async with asyncio.timeout(BOUND_S):
        while not condition():  # noqa: ASYNC110  # lets the stages run; nothing is waited for by time
            await asyncio.sleep(0)
