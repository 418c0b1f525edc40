"""What the gateway does for itself beside the flow: says how it is, keeps within its limits, forgets what is old."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Final

import structlog

from contract import codec, topics
from gateway.flow import Flow, Parts
from gateway.health import health_point
from gateway.ports import Keep, Outputs, StorageFullError, StoreUnavailableError
from gateway.settings import Settings
from gateway.tuning import give_back

log = structlog.get_logger(__name__)

LONGEST_REPORT_S: Final = 5.0
"""How long a report waits for a broker or a store that has gone, seconds: else it held up later ones, and the end."""
LIMITS_EVERY_S: Final = 1.0
"""Time between two looks at the outbox's limits, seconds; it may grow beyond them by what comes meanwhile."""
PRUNE_EVERY_S: Final = 600.0
"""Time between two looks for what is old in the local store, seconds."""
NOTES_A_WRITE: Final = 500
DAY_S: Final = 86_400.0
MEGABYTE: Final = 1_000_000


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
            if store.name not in flow.away:
                with suppress(StoreUnavailableError, TimeoutError):
                    async with asyncio.timeout(LONGEST_REPORT_S):
                        await store.write([outputs])
        if parts.broker.connected and not closing:
            topic = topics.gateway(settings.gateway, "health")
            with suppress(TimeoutError):
                async with asyncio.timeout(LONGEST_REPORT_S):
                    await parts.broker.publish(topic, codec.encode_health(health), retain=True)
        if closing:
            return
        await flow.pause(settings.health_every_s)


async def upkeep(parts: Parts, flow: Flow) -> None:
    """Hold outbox and local store to their limits until the flow closes; a full disk or a busy store is tried again."""
    pruned_s = -PRUNE_EVERY_S
    while not flow.closing.is_set():
        with suppress(StorageFullError):
            await relieve(parts, flow)
        give_back()
        now_s = parts.clock.monotonic_s()
        if now_s - pruned_s >= PRUNE_EVERY_S:
            with suppress(StoreUnavailableError):
                pruned = await parts.local.prune(parts.clock.wall_s(), keep(parts.settings))
                pruned_s = now_s
                if pruned.for_room:
                    log.warning("the local store reached its limit", dropped=pruned.for_room)
        await flow.pause(LIMITS_EVERY_S)


async def relieve(parts: Parts, flow: Flow) -> None:
    """Give up what is beyond the outbox's limits, least important first, and enter it in the ledger."""
    limits, outbox = parts.settings.outbox, parts.outbox
    max_bytes, max_age_s = int(limits.max_mb * MEGABYTE), limits.max_age_days * DAY_S
    reduced = False
    while await flow.in_outbox(lambda: outbox.relieve(max_bytes, max_age_s)):
        reduced = True
        await asyncio.sleep(0)
    if reduced:
        log.warning("outbox over its limit: the oldest was thinned or dropped; see edgefleet audit")
    while notes := await flow.in_outbox(lambda: outbox.reductions(NOTES_A_WRITE)):
        for note in notes:
            flow.given_up[f"{note.what} {note.lane}"] += note.samples + note.points + note.alerts
        try:
            await parts.local.write([Outputs(reductions=notes)])
        except StoreUnavailableError:
            return  # they are noted in the outbox until then
        await flow.in_outbox(lambda: outbox.settle(notes[-1].number))


def keep(settings: Settings) -> Keep:
    """Return how long the local store keeps what."""
    retention, quarantine = settings.retention, settings.quarantine
    return Keep(
        readings_s=retention.readings_days * DAY_S,
        points_s=retention.points_days * DAY_S,
        alerts_s=retention.alerts_days * DAY_S,
        quarantine_s=quarantine.max_age_days * DAY_S,
        max_bytes=int(retention.max_mb * MEGABYTE),
    )
