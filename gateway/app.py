"""The wiring: the life of a reading, left to right.

    broker ─▶ ingest ─▶ journal ─▶ [received] ─▶ process ─▶ outbox ─▶ deliver ─▶ stores
                ack ◀──────┘                     windows · features · scores · alerts

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
from msgspec import json

from gateway.backoff import Backoff
from gateway.health import report
from gateway.pipeline import Pipeline
from gateway.ports import Batch, Broker, Journal, Lane, Outbox, Outputs, Quarantined, Refused, Store, StoreUnavailableError
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


class Flow:
    """What the stages share: one worker thread for each blocking port, and who waits for whom."""

    def __init__(self, journal: Journal, outbox: Outbox, stores: Sequence[Store]) -> None:
        """Share these ports; the first store is the local one, which keeps what the others refuse."""
        self.journal, self.outbox, self.stores = journal, outbox, stores
        self._journal_thread = ThreadPoolExecutor(1, "journal")
        self._outbox_thread = ThreadPoolExecutor(1, "outbox")
        self.filled = {store.name: Event() for store in stores}
        """By store: something was appended to the outbox since it last looked."""
        self.closing = Event()
        """No more outputs will come: deliver what is there once, then end."""
        self.received = self.processed = 0
        """Newest journal position, and the newest whose outputs are in the outbox."""

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


async def run(
    broker: Broker,
    journal: Journal,
    outbox: Outbox,
    stores: Sequence[Store],
    pipeline: Pipeline,
    settings: Settings,
    clock: Clock,
    stop: Event,
) -> None:
    """Move readings from the broker to the stores until ``stop``; a failing stage ends them all.

    After ``stop`` nothing more is taken from the broker; what is journaled is processed, a snapshot is kept, and what
    the stores take at once is delivered. The rest is in the outbox for the next start.
    """
    received: Queue[Batch | None] = Queue(settings.queues.batches)
    flow = Flow(journal, outbox, stores)
    recover(pipeline, journal, outbox)

    async with TaskGroup() as stages:
        delivering = [stages.create_task(deliver(flow, store), name=f"deliver to {store.name}") for store in stores]
        stages.create_task(report(broker, flow, pipeline, settings, clock), name="report")
        stages.create_task(process(received, pipeline, flow, settings, clock), name="process")
        taking = stages.create_task(ingest(broker, received, flow, settings, clock), name="ingest")  # last: takers are up
        stages.create_task(shut_down(stop, taking, flow, delivering), name="shut down")


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
        replayed += len(batch.messages)
    log.info("recovered", snapshot=position, replayed=replayed)


async def ingest(broker: Broker, received: Queue[Batch | None], flow: Flow, settings: Settings, clock: Clock) -> None:
    """Journal what the broker sends, acknowledge it, pass it on. Cancelling it ends the flow in order."""
    try:
        while True:
            try:
                async with asyncio.timeout(settings.queues.tick_s):
                    delivery = await broker.receive()
            except TimeoutError:
                if broker.connected:  # without a broker nobody is heard, and silence proves nothing
                    await received.put(await flow.in_journal(lambda: flow.journal.append(clock.wall_s(), ())))
                continue
            messages = delivery.messages
            batch = await flow.in_journal(lambda: flow.journal.append(clock.wall_s(), messages))  # noqa: B023  # awaited here
            delivery.acknowledge()
            await received.put(batch)
    finally:
        await received.put(None)


async def process(
    received: Queue[Batch | None], pipeline: Pipeline, flow: Flow, settings: Settings, clock: Clock
) -> None:
    """Turn batches into outputs and keep these; now and then keep the state, so that a restart replays little."""
    position = saved = 0
    saved_s = clock.monotonic_s()
    while (batch := await received.get()) is not None:
        position = batch.position
        outputs = pipeline.process(batch)
        await flow.in_outbox(lambda: flow.outbox.append(position, outputs))  # noqa: B023  # awaited here
        if outputs:
            flow.wake()
        if clock.monotonic_s() - saved_s >= settings.journal.snapshot_every_s:
            await keep_state(position, pipeline, flow)
            saved, saved_s = position, clock.monotonic_s()
    if position > saved:
        await keep_state(position, pipeline, flow)
    flow.closing.set()
    flow.wake()


async def keep_state(position: int, pipeline: Pipeline, flow: Flow) -> None:
    """Save a snapshot; only after the outputs that led to it are durable, since replay starts behind it."""
    state = pipeline.dump()
    await flow.in_outbox(flow.outbox.flush)
    await flow.in_journal(lambda: flow.journal.save_snapshot(position, state))


async def deliver(flow: Flow, store: Store) -> None:
    """Write a store's entries, alerts first, until the flow closes; while it is unavailable the entries wait."""
    backoff = Backoff()
    filled = flow.filled[store.name]
    while True:
        filled.clear()
        try:
            delivered = await deliver_once(flow, store)
        except StoreUnavailableError as error:
            if flow.closing.is_set():
                return
            delay_s = backoff.next_s(error.retry_after_s)
            log.warning("store unavailable", store=store.name, error=str(error), retry_in_s=round(delay_s, 1))
            with suppress(TimeoutError):
                await asyncio.wait_for(flow.closing.wait(), delay_s)
            continue
        backoff.reset()
        if not delivered:
            if flow.closing.is_set():
                return
            await filled.wait()


async def deliver_once(flow: Flow, store: Store) -> bool:
    """Write one load of the first lane that has any; return whether there was one."""
    for lane in LANES:
        entries = await flow.in_outbox(lambda: flow.outbox.pending(store.name, lane, ENTRIES_A_WRITE))  # noqa: B023  # awaited here
        if entries:
            last = entries[-1].id
            refused = await store.write([entry.outputs for entry in entries])
            if refused:
                await keep_refused(flow, store, last, refused)
            await flow.in_outbox(lambda: flow.outbox.done(store.name, lane, last))  # noqa: B023  # awaited here
            return True
    return False


async def keep_refused(flow: Flow, store: Store, entry_id: int, refused: Sequence[Refused]) -> None:
    """Put what a store will never take into quarantine, with the store's words."""
    log.warning("points refused", store=store.name, count=len(refused), reason=refused[0].reason)
    kept = [
        Quarantined(-entry_id, index, 0.0, f"{store.name}: {one.point.measurement}", one.reason, json.encode(one.point))
        for index, one in enumerate(refused)
    ]
    await flow.stores[0].write([Outputs(quarantined=kept)])


async def shut_down(stop: Event, taking: Task[None], flow: Flow, delivering: Sequence[Task[None]]) -> None:
    """When asked to stop: take no more, let everything journaled pass, and give the stores a moment."""
    await stop.wait()
    taking.cancel()
    await flow.closing.wait()
    _, waiting = await asyncio.wait(delivering, timeout=DRAIN_S)
    for task in waiting:
        task.cancel()
