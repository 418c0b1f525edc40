"""The wiring: the life of a reading, left to right.

    broker ─▶ ingest ─▶ journal ─▶ [received] ─▶ process ─▶ outbox ─▶ deliver ─▶ stores
                ack ◀──────┘                     the pipeline

Queues carry batches, in order. ``received`` is bounded: when it is full, ingest waits, nothing is acknowledged, and the
broker holds the backlog. The outbox is bounded by the disk. A bad message is data and ends in quarantine; a stage that
fails ends them all, and the supervisor starts the gateway again: state is a pure function of the journal.
"""

from __future__ import annotations

import asyncio
from asyncio import Event, Queue, Task, TaskGroup
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, TypeVar

import structlog

from contract import codec, topics
from gateway.backoff import Backoff
from gateway.health import Reporter, health_point
from gateway.pipeline import Pipeline
from gateway.ports import (
    Batch,
    Broker,
    Journal,
    Keeper,
    Lane,
    Message,
    Outbox,
    Outputs,
    StorageFullError,
    Store,
    StoreUnavailableError,
)
from gateway.settings import Settings

log = structlog.get_logger(__name__)

LANES: Final[tuple[Lane, ...]] = ("alerts", "bulk")
ENTRIES_A_WRITE: Final = 256
"""Outbox entries that one write to a store takes; bounds the memory of a backlog."""
DRAIN_S: Final = 10.0
"""How long a stopping gateway waits for its stores, seconds; what they have not taken then is kept in the outbox."""

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


class Flow:
    """What the stages share while they run: a worker thread for each blocking port, and who waits for whom."""

    def __init__(self, parts: Parts) -> None:
        """Start with nothing under way."""
        self.received: Queue[Batch | None] = Queue(parts.settings.queues.batches)
        """Journaled batches to be processed; ``None`` ends the flow. When full, ingest waits."""
        self.filled = {store.name: Event() for store in (parts.local, *parts.stores)}
        """By store: something was appended to the outbox since it last looked."""
        self.closing = Event()
        """No more outputs will come: deliver what is there once, then end."""
        self._journal_thread = ThreadPoolExecutor(1, "journal")
        self._outbox_thread = ThreadPoolExecutor(1, "outbox")

    async def in_journal(self, call: Callable[[], T]) -> T:
        """Run a call on the journal's thread."""
        return await asyncio.get_running_loop().run_in_executor(self._journal_thread, call)

    async def in_outbox(self, call: Callable[[], T]) -> T:
        """Run a call on the outbox's thread."""
        return await asyncio.get_running_loop().run_in_executor(self._outbox_thread, call)

    def wake(self) -> None:
        """Tell every deliverer to look into the outbox."""
        for event in self.filled.values():
            event.set()

    async def pause(self, delay_s: float) -> None:
        """Wait, but not longer than until the flow closes."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self.closing.wait(), delay_s)

    def end(self) -> None:
        """Let the worker threads go."""
        self._journal_thread.shutdown()
        self._outbox_thread.shutdown()


async def run(parts: Parts, stop: Event) -> None:
    """Move readings from the broker to the stores until ``stop``; a failing stage ends them all.

    After ``stop`` nothing more is taken from the broker; what is journaled is processed, a snapshot is kept, and what
    the stores take at once is delivered. The rest is in the outbox for the next start.
    """
    recover(parts.pipeline, parts.journal, parts.outbox)
    flow = Flow(parts)
    try:
        async with TaskGroup() as stages:
            delivering = [
                stages.create_task(deliver(parts, flow, store), name=f"deliver to {store.name}")
                for store in (parts.local, *parts.stores)
            ]
            stages.create_task(process(parts, flow), name="process")
            stages.create_task(report(parts, flow), name="report")
            taking = stages.create_task(ingest(parts, flow), name="ingest")  # last: all takers are up
            stages.create_task(shut_down(stop, taking, flow, delivering), name="shut down")
    finally:
        flow.end()


def recover(pipeline: Pipeline, journal: Journal, outbox: Outbox) -> None:
    """Bring the pipeline to where the journal is: the newest snapshot, then every batch after it."""
    position = 0
    snapshot = journal.load_snapshot()
    if snapshot is not None:
        position, state = snapshot
        pipeline.load(state)
    replayed = 0
    for batch in journal.read(position):
        outbox.append(batch.position, pipeline.process(batch))
        replayed += 1
    log.info("recovered", snapshot=position, batches_replayed=replayed)


async def ingest(parts: Parts, flow: Flow) -> None:
    """Journal what the broker sends, acknowledge it, pass it on. Cancelling it ends the flow in order."""
    broker, tick_s = parts.broker, parts.settings.queues.tick_s
    try:
        while True:
            try:
                async with asyncio.timeout(tick_s):
                    delivery = await broker.receive()
            except TimeoutError:
                if broker.connected:  # without a broker nobody is heard, and silence proves nothing
                    await flow.received.put(await journal(parts, flow, ()))
                continue
            batch = await journal(parts, flow, delivery.messages)
            delivery.acknowledge()
            await flow.received.put(batch)
    finally:
        await flow.received.put(None)


async def journal(parts: Parts, flow: Flow, messages: Sequence[Message]) -> Batch:
    """Make messages durable. While the disk is full nothing is acknowledged, and the broker holds the backlog."""
    backoff = Backoff()
    while True:
        received_s = parts.clock.wall_s()
        try:
            return await flow.in_journal(lambda: parts.journal.append(received_s, messages))  # noqa: B023  # awaited here
        except StorageFullError as error:
            delay_s = backoff.next_s()
            log.error("journal full, nothing is acknowledged", error=str(error), retry_in_s=round(delay_s, 1))  # noqa: TRY400  # a state, not a fault of the program
            await flow.pause(delay_s)


async def process(parts: Parts, flow: Flow) -> None:
    """Turn batches into outputs and keep these; now and then keep the state, so that a restart replays little."""
    position = saved = 0
    saved_s = parts.clock.monotonic_s()
    while (batch := await flow.received.get()) is not None:
        position = batch.position
        outputs = parts.pipeline.process(batch)
        await flow.in_outbox(lambda: parts.outbox.append(position, outputs))  # noqa: B023  # awaited here
        if outputs:
            flow.wake()
        if parts.clock.monotonic_s() - saved_s >= parts.settings.journal.snapshot_every_s:
            await keep_state(parts, flow, position)
            saved, saved_s = position, parts.clock.monotonic_s()
    if position > saved:
        await keep_state(parts, flow, position)
    flow.closing.set()
    flow.wake()


async def keep_state(parts: Parts, flow: Flow, position: int) -> None:
    """Save a snapshot; only after the outputs that led to it are durable, since replay starts behind it."""
    state = parts.pipeline.dump()
    await flow.in_outbox(parts.outbox.flush)
    await flow.in_journal(lambda: parts.journal.save_snapshot(position, state))


async def deliver(parts: Parts, flow: Flow, store: Store) -> None:
    """Write a store's entries, alerts first, until the flow closes; while it is unavailable the entries wait."""
    backoff = Backoff()
    filled = flow.filled[store.name]
    while True:
        filled.clear()
        closing = flow.closing.is_set()  # before looking: what was appended earlier is seen
        try:
            delivered = await deliver_once(parts, flow, store)
        except StoreUnavailableError as error:
            if closing:
                return
            delay_s = backoff.next_s(error.retry_after_s)
            log.warning("store unavailable", store=store.name, error=str(error), retry_in_s=round(delay_s, 1))
            await flow.pause(delay_s)
            continue
        backoff.reset()
        if not delivered:
            if closing:
                return
            await filled.wait()


async def deliver_once(parts: Parts, flow: Flow, store: Store) -> bool:
    """Write one load of the first lane that has any; return whether there was one."""
    outbox = parts.outbox
    for lane in LANES:
        entries = await flow.in_outbox(lambda: outbox.pending(store.name, lane, ENTRIES_A_WRITE))  # noqa: B023  # awaited here
        if entries:
            refused = await store.write([entry.outputs for entry in entries])
            if refused:
                log.warning("points refused", store=store.name, count=len(refused), reason=refused[0].reason)
                await parts.local.write_refused(store.name, refused)
            await flow.in_outbox(lambda: outbox.done(store.name, lane, entries[-1].id))  # noqa: B023  # awaited here
            return True
    return False


async def report(parts: Parts, flow: Flow) -> None:
    """Say now and then how the gateway is, and once more at the end: to the stores that answer, and on its topic.

    A report that cannot be placed is dropped: it is about now.
    """
    settings = parts.settings
    while True:
        closing = flow.closing.is_set()
        health = parts.reporter.report(batches_waiting=flow.received.qsize(), outbox=parts.outbox.load())
        outputs = Outputs(points=[health_point(settings.gateway, health)])
        for store in (parts.local, *parts.stores):
            with suppress(StoreUnavailableError):
                await store.write([outputs])
        if parts.broker.connected and not closing:
            topic = topics.gateway(settings.gateway, "health")
            await parts.broker.publish(topic, codec.encode_health(health), retain=True)
        if closing:
            return
        await flow.pause(settings.health_every_s)


async def shut_down(stop: Event, taking: Task[None], flow: Flow, delivering: Sequence[Task[None]]) -> None:
    """When asked to stop: take no more, let everything journaled pass, and give the stores a moment."""
    await stop.wait()
    taking.cancel()
    await flow.closing.wait()
    _, waiting = await asyncio.wait(delivering, timeout=DRAIN_S)
    for task in waiting:
        task.cancel()
