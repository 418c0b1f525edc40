"""What the stages of the wiring share: the parts they connect, and the state of the flow between them."""

from __future__ import annotations

import asyncio
from asyncio import Event, Queue, QueueFull
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Final, TypeVar

import structlog

from gateway.backoff import Backoff
from gateway.health import Reporter
from gateway.pipeline import Pipeline
from gateway.ports import Answers, Batch, Broker, Journal, Keeper, Outbox, Outputs, StorageFullError, Store
from gateway.settings import Settings
from gateway.thrift import Thrift

log = structlog.get_logger(__name__)

STUCK_S: Final = 120.0
"""A batch that waits longer than this for the one before it means that a stage is stuck, seconds."""
LONGEST_WAIT_FOR_ROOM_S: Final = 5.0
"""Longest time between two looks at a full disk, seconds."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """The two clocks: one that people read, one that never steps."""

    wall_s: Callable[[], float]
    """Unix seconds; may step."""
    monotonic_s: Callable[[], float]
    """Seconds since some moment; never steps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What the wiring connects."""

    broker: Broker
    answers: Answers
    journal: Journal
    outbox: Outbox
    local: Keeper
    """The store that is always there; it also keeps what the others refuse."""
    stores: Sequence[Store]
    """The other stores."""
    pipeline: Pipeline
    reporter: Reporter
    settings: Settings
    clock: Clock
    thrift: Thrift = field(default_factory=Thrift)
    """How long a commit may wait; by default it never does."""


class Ask(Enum):
    """What may be asked of the stage that takes batches, in their queue."""

    SNAPSHOT = auto()
    """Keep the state now: the journal needs room."""
    END = auto()
    """No batch will come after this."""


@dataclass(frozen=True, slots=True)
class Change:
    """Something to be done between two batches, and the state kept after it."""

    apply: Callable[[], None]
    done: Event = field(default_factory=Event)


class Flow:
    """What the stages share while they run: a worker thread for each blocking port, and who waits for whom."""

    def __init__(self, parts: Parts) -> None:
        """Start with nothing under way."""
        self.received: Queue[Batch | Ask | Change] = Queue(parts.settings.queues.batches)
        """Journaled batches to be processed. When full, ingest waits."""
        self.in_order = asyncio.Lock()
        """Held from a batch's commit until it is in the queue: positions are processed in order."""
        self.filled = {store.name: Event() for store in (parts.local, *parts.stores)}
        """By store: something was appended to the outbox since it last looked."""
        self.taken = Event()
        """A store took a load, or turned out to be away."""
        self.away: dict[str, str] = {}
        """Stores that take nothing now, with their words."""
        self.full: dict[str, str] = {}
        """What finds no room on the disk now, with the system's words: nothing is acknowledged meanwhile."""
        self.given_up: Counter[str] = Counter()
        """What went for room since the start: samples, points and alerts, by what was done and lane."""
        self.refused: Counter[str] = Counter()
        """Messages quarantined since the start, by kind."""
        self.batches = self.batch_messages = 0
        """Batches processed since the start, and the messages of the last one."""
        self._now_s = parts.clock.monotonic_s
        self.started_s = self.moved_s = self._now_s()
        """When this began, and when a batch was processed last; monotonic seconds."""
        self.ready = Event()
        """The state is recovered, and all stages run."""
        self.stopping = Event()
        """Nothing more is taken from the broker, and nobody waits for room any longer."""
        self.closing = Event()
        """No more outputs will come: deliver what is there once, then end."""
        self._journal_thread = ThreadPoolExecutor(1, "journal")
        self._outbox_thread = ThreadPoolExecutor(1, "outbox")

    async def between_batches(self, apply: Callable[[], None]) -> None:
        """Have something done between two batches; return when it is."""
        change = Change(apply)
        await self.received.put(change)
        await change.done.wait()

    async def hand_on(self, given: Batch | Ask) -> None:
        """Put something into the queue; wait for room only as long as somebody takes from it."""
        if not self.received.full():
            self.received.put_nowait(given)
            return
        waits = [asyncio.ensure_future(one) for one in (self.received.put(given), self.closing.wait())]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    async def in_journal(self, call: Callable[[], T]) -> T:
        """Run a call on the journal's thread."""
        return await asyncio.get_running_loop().run_in_executor(self._journal_thread, call)

    async def in_outbox(self, call: Callable[[], T]) -> T:
        """Run a call on the outbox's thread."""
        return await asyncio.get_running_loop().run_in_executor(self._outbox_thread, call)

    async def when_room(self, what: str, call: Callable[[], Awaitable[T]]) -> T:
        """Do what needs room on the disk. While there is none, wait and try again: the broker holds the backlog.

        :raises StorageFullError: there is no room, and the gateway is stopping
        """
        backoff = Backoff(limit_s=LONGEST_WAIT_FOR_ROOM_S)
        while True:
            try:
                done = await call()
            except StorageFullError as error:
                if self.stopping.is_set():
                    raise
                if what not in self.full:
                    log.error("no room, nothing is acknowledged", file=what, error=str(error))  # noqa: TRY400  # a state
                self.full[what] = str(error)
                await _wait(self.stopping, backoff.next_s())
            else:
                if self.full.pop(what, None) is not None:
                    log.info("there is room again", file=what)
                return done

    def ask(self, ask: Ask) -> None:
        """Ask something of the stage that takes batches; where the queue is full, not now."""
        with suppress(QueueFull):
            self.received.put_nowait(ask)

    def processed(self, batch: Batch, outputs: Outputs) -> None:
        """Note that a batch went through."""
        self.moved_s = self._now_s()
        self.batches += 1
        self.batch_messages = len(batch.messages)
        for message in outputs.quarantined:
            self.refused[message.reason.partition(":")[0]] += 1

    def healthy(self) -> bool:
        """Tell whether batches move: none waits for long, but for room on the disk."""
        return self.received.empty() or bool(self.full) or self._now_s() - self.moved_s < STUCK_S

    def wake(self) -> None:
        """Tell every deliverer to look into the outbox."""
        for event in self.filled.values():
            event.set()

    async def pause(self, delay_s: float) -> None:
        """Wait, but not longer than until the flow closes."""
        await _wait(self.closing, delay_s)

    async def rest(self, delay_s: float) -> None:
        """Wait, but not longer than until the gateway is to stop."""
        await _wait(self.stopping, delay_s)

    def end(self) -> None:
        """Let the worker threads go."""
        self._journal_thread.shutdown()
        self._outbox_thread.shutdown()


async def _wait(event: Event, longest_s: float) -> None:
    with suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), longest_s)
