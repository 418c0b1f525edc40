"""The wiring: the life of a reading, left to right.

    broker ─▶ ingest ─▶ journal ─▶ [received] ─▶ process ─▶ outbox ─▶ deliver ─▶ stores
                ack ◀──────┘     ▲               the pipeline           upkeep: limits, age
    console's answers ───────────┘

Queues carry batches, in order. ``received`` is bounded: when it is full, ingest waits, nothing is acknowledged, and the
broker holds the backlog. The outbox is bounded by its limit; what goes when it is reached is entered in the ledger. A
bad message is data and ends in quarantine; a full disk is waited out; a stage that fails ends them all, and the
supervisor starts the gateway again: state is a pure function of the journal.
"""

from __future__ import annotations

import asyncio
import time
from asyncio import Event, Task, TaskGroup
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Final

import msgspec
import structlog

from gateway.backoff import Backoff
from gateway.flow import LONGEST_WAIT_FOR_ROOM_S, Ask, Change, Clock, Flow, Parts
from gateway.pipeline import Pipeline
from gateway.ports import (
    ANSWER,
    Batch,
    Journal,
    Lane,
    Message,
    Outbox,
    Outputs,
    StorageFullError,
    Store,
    StoreUnavailableError,
)
from gateway.upkeep import report, upkeep

__all__ = ["Clock", "Flow", "Parts", "recover", "run"]

log = structlog.get_logger(__name__)

LANES: Final[tuple[tuple[Lane, ...], ...]] = (("alerts",), ("features", "raw"))
"""Lanes in order of delivery; those that stand together go in one write."""
ALERTS: Final = LANES[:1]
"""What never waits for company."""
GATHERED_S: Final = 1.0
"""Time between two writes of what is no alert, seconds, unless a whole load waits: a write costs as much as hundreds of
points, and a page of the local store's indices is touched once for all that it gets meanwhile."""
ROWS_A_WRITE: Final = 2500
"""Rows of a lane that one write to a store takes, about; bounds the memory of a backlog."""
AHEAD_ROWS: Final = 2 * ROWS_A_WRITE
"""Rows that may wait for the local store in memory before the next batch's join them: it has a load under way and the
next one ready. Further ones would only be written to the outbox's file and read back, at a fifth of all CPU."""
LET_TAKE_S: Final = 2.0
"""How long outputs wait for that, seconds: a store that hangs is not waited for, and ingest goes on."""
MESSAGES_GATHERED: Final = 20_000
"""Messages that wait for a commit at most, where a loss window is declared; bounds their memory."""
ANSWERS_EVERY_S: Final = 1.0
"""Time between two looks for answers of operators, seconds."""
DRAIN_S: Final = 10.0
"""How long a stopping gateway waits for its stores, seconds; what they have not taken then is kept in the outbox."""


async def run(parts: Parts, stop: Event, flow: Flow | None = None) -> None:
    """Move readings from the broker to the stores until ``stop``; a failing stage ends them all.

    After ``stop`` nothing more is taken from the broker; what is journaled is processed, a snapshot is kept, and what
    the stores take at once is delivered. The rest is in the outbox for the next start. ``flow`` is for whoever watches.
    """
    flow = flow or Flow(parts)
    try:
        await asyncio.to_thread(recover, parts.pipeline, parts.journal, parts.outbox, stop.is_set)
        async with parts.broker, TaskGroup() as stages:
            delivering = [
                stages.create_task(deliver(parts, flow, store), name=f"deliver to {store.name}")
                for store in (parts.local, *parts.stores)
            ]
            stages.create_task(process(parts, flow), name="process")
            stages.create_task(report(parts, flow), name="report")
            stages.create_task(upkeep(parts, flow), name="upkeep")
            answering = stages.create_task(answers(parts, flow), name="answers")
            taking = stages.create_task(ingest(parts, flow), name="ingest")  # last: all takers are up
            stages.create_task(shut_down(stop, answering, taking, flow, delivering), name="shut down")
            flow.ready.set()
    finally:
        flow.end()


def recover(pipeline: Pipeline, journal: Journal, outbox: Outbox, stopping: Callable[[], bool] = lambda: False) -> None:
    """Bring the pipeline to where the journal is: the newest snapshot, then every batch after it.

    Then keep the state anew, so that a gateway that keeps crashing does not replay more each time. A full disk is
    waited out, until the gateway is to stop.
    """
    position = snapshot_position = 0
    snapshot = journal.load_snapshot()
    if snapshot is not None:
        position, state = snapshot
        snapshot_position = position
        pipeline.load(state)
    replayed = 0
    for batch in journal.read(position):
        position = batch.position
        outputs = pipeline.process(batch)
        while not _appended(outbox, position, outputs):
            if stopping():
                return
            time.sleep(LONGEST_WAIT_FOR_ROOM_S / 5)  # in a thread of its own, and nothing else runs yet
        replayed += 1
    log.info("recovered", snapshot=snapshot_position, batches_replayed=replayed)
    if replayed:
        with suppress(StorageFullError):  # later, then
            outbox.flush()
            journal.save_snapshot(position, pipeline.dump())


def _appended(outbox: Outbox, position: int, outputs: Outputs) -> bool:
    try:
        outbox.append(position, outputs)
    except StorageFullError as error:
        log.error("no room to recover", error=str(error))  # noqa: TRY400  # a state, not a fault of the program
        return False
    return True


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
                    await take(parts, flow, ())
                continue
            interval_s = parts.thrift.adjust()
            if interval_s:
                delivery.acknowledge()
                await gather(parts, flow, delivery.messages, interval_s)
                continue
            await take(parts, flow, delivery.messages, delivery.acknowledge)
    except StorageFullError as error:
        log.warning("stopped without room", error=str(error))  # what was not acknowledged comes again
    finally:
        await flow.hand_on(Ask.END)


async def gather(parts: Parts, flow: Flow, first: Sequence[Message], interval_s: float) -> None:
    """Take and acknowledge messages for a while, then journal them together: only within a declared loss window."""
    messages = list(first)
    try:
        with suppress(TimeoutError):
            async with asyncio.timeout(interval_s):
                while len(messages) < MESSAGES_GATHERED:
                    delivery = await parts.broker.receive()
                    delivery.acknowledge()
                    messages += delivery.messages
    finally:
        await take(parts, flow, messages)


async def answers(parts: Parts, flow: Flow) -> None:
    """Journal what operators answer in the console, until the gateway is to stop."""
    known = parts.pipeline.answered
    with suppress(StorageFullError):  # while stopping: they are in the console's file at the next start, too
        while True:
            last = flow.stopping.is_set()
            while given := await asyncio.to_thread(parts.answers.after, known):
                await take(parts, flow, [(ANSWER, msgspec.json.encode(one)) for one in given])
                known = given[-1].number
            if last:
                return
            await flow.rest(ANSWERS_EVERY_S)


async def take(
    parts: Parts, flow: Flow, messages: Sequence[Message], acknowledge: Callable[[], None] = lambda: None
) -> None:
    """Journal messages, acknowledge them, pass them on; one batch after the other."""
    async with flow.in_order:
        batch = await journal(parts, flow, messages)
        acknowledge()
        await flow.hand_on(batch)


async def journal(parts: Parts, flow: Flow, messages: Sequence[Message]) -> Batch:
    """Make messages durable. While the disk is full nothing is acknowledged, and the broker holds the backlog."""

    async def append() -> Batch:
        try:
            return await flow.in_journal(partial(parts.journal.append, parts.clock.wall_s(), messages))
        except StorageFullError:
            flow.ask(Ask.SNAPSHOT)  # with which the journal forgets what came before
            raise

    return await flow.when_room("journal", append)


async def process(parts: Parts, flow: Flow) -> None:
    """Turn batches into outputs and keep these; now and then keep the state, so that a restart replays little."""
    position = saved = messages = 0
    now_s, every = parts.clock.monotonic_s, parts.settings.journal
    saved_s = now_s()
    try:
        while (given := await flow.received.get()) is not Ask.END:
            if isinstance(given, Batch):
                outputs = parts.pipeline.process(given)
                await let_take(parts, flow)
                append = partial(parts.outbox.append, given.position, outputs)
                await flow.when_room("outbox", partial(flow.in_outbox, append))
                position = given.position
                messages += len(given.messages)
                flow.processed(given, outputs)
                if outputs:
                    flow.wake()
            if isinstance(given, Change):
                given.apply()
                given.done.set()
            due = messages >= every.snapshot_every_messages or now_s() - saved_s >= every.snapshot_every_s
            asked = given is Ask.SNAPSHOT or isinstance(given, Change)
            if (due or asked) and position > saved:
                await flow.when_room("snapshot", partial(keep_state, parts, flow, position))
                saved, saved_s, messages = position, now_s(), 0
        if position > saved:
            with suppress(StorageFullError):  # then the next start replays more
                await keep_state(parts, flow, position)
    except StorageFullError as error:
        log.warning("stopped without room", error=str(error))  # the journal gives the same outputs again
        while await flow.received.get() is not Ask.END:
            pass
    finally:
        flow.closing.set()
        flow.wake()


async def let_take(parts: Parts, flow: Flow) -> None:
    """Wait while the local store is behind, for a moment: what it takes now need not go to the outbox's file."""
    local = parts.local.name
    with suppress(TimeoutError):
        async with asyncio.timeout(LET_TAKE_S):
            while local not in flow.away and parts.outbox.fresh_rows(local) >= AHEAD_ROWS:
                flow.taken.clear()
                await flow.taken.wait()


async def keep_state(parts: Parts, flow: Flow, position: int) -> None:
    """Save a snapshot; only after the outputs that led to it are durable, since replay starts behind it.

    The journal's thread packs the state while it writes; nothing is processed meanwhile.
    """
    await flow.in_outbox(parts.outbox.flush)
    await flow.in_journal(lambda: parts.journal.save_snapshot(position, parts.pipeline.dump()))


async def deliver(parts: Parts, flow: Flow, store: Store) -> None:
    """Write a store's entries, alerts first, until the flow closes; while it is unavailable the entries wait."""
    backoff = Backoff()
    filled = flow.filled[store.name]
    now_s = asyncio.get_running_loop().time
    due_s = now_s()
    while True:
        filled.clear()
        closing = flow.closing.is_set()  # before looking: what was appended earlier is seen
        due = closing or now_s() >= due_s or parts.outbox.fresh_rows(store.name) >= ROWS_A_WRITE
        try:
            lanes, rows = await deliver_once(parts, flow, store, LANES if due else ALERTS)
        except (StoreUnavailableError, StorageFullError) as error:
            if closing:
                return
            delay_s = backoff.next_s(getattr(error, "retry_after_s", None))
            flow.away[store.name] = str(error)
            flow.taken.set()
            log.warning("store unavailable", store=store.name, error=str(error), retry_in_s=round(delay_s, 1))
            await flow.pause(delay_s)
            continue
        backoff.reset()
        flow.taken.set()
        if flow.away.pop(store.name, None) is not None:
            log.info("store available again", store=store.name)
        if not rows:
            if closing:
                return
            with suppress(TimeoutError):
                async with asyncio.timeout(None if due else due_s - now_s()):
                    await filled.wait()
        elif lanes not in ALERTS and rows < ROWS_A_WRITE:
            due_s = now_s() + GATHERED_S


async def deliver_once(
    parts: Parts, flow: Flow, store: Store, groups: Sequence[tuple[Lane, ...]]
) -> tuple[tuple[Lane, ...], int]:
    """Write one load of the first lanes that have any; return these, and the most rows that one of them had."""
    outbox = parts.outbox
    for lanes in groups:
        entries = {
            lane: await flow.in_outbox(partial(outbox.pending, store.name, lane, ROWS_A_WRITE)) for lane in lanes
        }
        load = [entry.outputs for of_lane in entries.values() for entry in of_lane]
        if load:
            refused = await store.write(load)
            if refused:
                log.warning("points refused", store=store.name, count=len(refused), reason=refused[0].reason)
                await parts.local.write_refused(store.name, refused)
            for lane, of_lane in entries.items():
                if of_lane:
                    await flow.in_outbox(partial(outbox.done, store.name, lane, of_lane[-1].id))
            return lanes, max(sum(entry.outputs.rows for entry in of_lane) for of_lane in entries.values())
    return (), 0


async def shut_down(
    stop: Event, answering: Task[None], taking: Task[None], flow: Flow, delivering: Sequence[Task[None]]
) -> None:
    """When asked to stop: take no more, let everything journaled pass, and give the stores a moment."""
    await stop.wait()
    flow.stopping.set()
    await asyncio.wait((answering,))
    taking.cancel()
    await flow.closing.wait()
    _, waiting = await asyncio.wait(delivering, timeout=DRAIN_S)
    for task in waiting:
        task.cancel()
