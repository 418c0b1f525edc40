"""Kills a gateway again and again while a fixed input flows through it, and looks at what its stores hold."""

from __future__ import annotations

import asyncio
import random
import statistics
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from contract import codec, topics
from contract.messages import Sample
from contract.topics import DeviceId
from gateway.ports import Message
from gateway.stores.reader import LocalReader
from tests.batches import START_S, USUAL
from tests.faults.gateways import BOUND_S, Gateway, Publisher, settings_file, until
from tests.faults.outcomes import Difference, Outcome
from tests.faults.streams import Stream

LAST = DeviceId("plant", "industrial", "the-last")
"""Publishes one message after all others: when the ledger has it, everything has passed."""
AT_START = 0.25
"""Share of kills that meet the gateway while it starts and recovers; the others meet it at work."""
STARTING_S = 1.6
WORKING_S = 0.6


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the table in docs/reliability.md."""

    fault: str
    repetitions: int
    published: int
    stored: int
    difference: Difference
    recovery_s: float = float("nan")

    TITLES = ("fault", "repetitions", "published", "stored", "missing", "extra", "recovery, s (median)")

    def cells(self) -> tuple[str, ...]:
        """Return the line as text; a changed value counts as one missing and one extra."""
        difference = self.difference
        missing = len(difference.missing) + len(difference.changed)
        extra = len(difference.extra) + len(difference.changed)
        recovery = "" if self.recovery_s != self.recovery_s else f"{self.recovery_s:.2f}"  # NaN
        numbers = (self.repetitions, self.published, self.stored, missing, extra)
        return (self.fault, *(f"{number:,}" for number in numbers), recovery)


@dataclass(slots=True, kw_only=True)
class Lives:
    """What the lives of one gateway were like."""

    kills: int = 0
    messages: int = 0
    recoveries_s: list[float] = field(default_factory=list)
    log: list[str] = field(default_factory=list)

    @property
    def recovery_s(self) -> float:
        """Median time from the start of the process until it listens, seconds."""
        return statistics.median(self.recoveries_s) if self.recoveries_s else float("nan")


async def lives(
    folder: Path,
    port: int,
    stream: Stream,
    *,
    kills: int,
    seed: int = 0,
    between: Callable[[int], Awaitable[None]] | None = None,
    final: Literal["stop", "kill"] = "stop",
    **settings: Any,
) -> Lives:
    """Send a stream through a gateway that is killed at seeded moments; return when everything is delivered.

    ``between`` is awaited after each kill, before the next start; ``final`` says how the last life ends.
    """
    file = settings_file(folder, port, **settings)
    draw, told, messages = random.Random(seed), Lives(), iter(stream)
    gateway = await Gateway.start(file)
    try:
        await gateway.says("broker connected")  # the broker knows the session now, and keeps everything for it
        share = -(-stream.messages // (kills + 1))
        for number in range(kills):
            flow = asyncio.create_task(_published(port, islice(messages, share), told), name="flow")
            await _moment(gateway, draw, told)
            await gateway.kill()
            told.kills += 1
            told.log += gateway.log
            await flow
            if between is not None:
                await between(number)
            gateway = await Gateway.start(file)
        await _published(port, finished(messages), told)
        await until(lambda: arrived(folder / "state"), BOUND_S + stream.messages / 100)
        if final == "stop":
            assert await gateway.stop() == 0, "\n".join(gateway.log[-20:])
        told.log += gateway.log
    finally:
        await gateway.kill()
    return told


def stored(outcome: Outcome) -> int:
    """Return the number of raw samples in an outcome."""
    return len(outcome.rows["samples"])


async def _published(port: int, messages: Iterable[Message], told: Lives) -> None:
    async with Publisher.connected(port) as publisher:
        await publisher.publish(messages)
    told.messages += publisher.acknowledged


async def _moment(gateway: Gateway, draw: random.Random, told: Lives) -> None:
    """Wait for the moment at which the gateway is to die: while it starts, or at work."""
    started_s, already_up = time.monotonic(), told.kills == 0
    if draw.random() < AT_START:
        await asyncio.sleep(draw.uniform(0.0, STARTING_S))  # the moment is what is tested
        return
    await gateway.says("broker connected")
    if not already_up:
        told.recoveries_s.append(time.monotonic() - started_s)
    await asyncio.sleep(draw.uniform(0.0, WORKING_S))  # likewise


def finished(messages: Iterable[Message]) -> Iterator[Message]:
    """Yield messages, and the last one after them."""
    yield from messages
    yield topics.telemetry(LAST), codec.encode_sample(Sample(ts=START_S, seq=0, values=USUAL))


def arrived(state: Path) -> bool:
    """Tell whether everything up to the last message has passed."""
    return (state / "store.db").exists() and bool(LocalReader(state / "store.db").ledger(LAST))
