"""Publishes a fleet: one task a line, each device over its own session.

A line takes the steps that are due, at most :data:`BURST` of them, and sends them as one message a device, or as
several that leave together; then it waits for the broker. History is simply what is due already, so it goes in full
bursts, as fast as the broker takes it; a line that fell behind catches up the same way, and memory holds one burst a
device.
"""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from contract.codec import encode_burst, encode_sample
from contract.messages import Sample
from contract.topics import DeviceId
from simulator.fleet import Fleet, Group, Line
from simulator.pacing import Clock, Pace, catching_up
from simulator.sessions import SessionOf

BURST: Final = 60
"""Most samples that leave a device together: in one message a payload of about 10 kB."""

LAST_S: Final = 5.0
"""Longest wait at the end for the broker's acknowledgements."""
AT_ONCE: Final = Pace(device_s=0.0, wall_s=0.0, speed=math.inf)
"""Everything is due."""

Listener = Callable[[DeviceId, Sequence[Sample], float], None]
"""Called with each live message just before the broker gets it: device, samples, wall time (Unix seconds)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """What the broker has acknowledged so far."""

    samples: int
    """Distinct samples: one that a faulty link sent twice counts once."""
    sent: int
    """Samples with their repetitions."""
    messages: int
    by_device: dict[DeviceId, int]
    """Distinct samples of each device."""


class Publisher:
    """Publishes lines through sessions, and counts what was acknowledged."""

    def __init__(
        self,
        lines: Sequence[Line],
        session_of: SessionOf,
        clock: Clock,
        listener: Listener | None = None,
        *,
        samples_per_message: int = BURST,
    ) -> None:
        """Prepare; sessions connect with their first message. ``samples_per_message`` is the most of one message."""
        self._samples_per_message = samples_per_message
        self._lines = tuple(lines)
        self._clock = clock
        self._listener = listener
        self._sessions = {device: session_of(device) for line in lines for device in line.devices}
        self._samples: Counter[DeviceId] = Counter()
        self._messages = self._sent = 0
        self._sending: set[asyncio.Task[None]] = set()

    def statistics(self) -> Published:
        """Return what was acknowledged so far."""
        return Published(
            samples=self._samples.total(),
            sent=self._sent,
            messages=self._messages,
            by_device=dict(self._samples),
        )

    async def run(self, line: Line, pace: Pace, until_s: float, *, watched: bool = False) -> None:
        """Publish one line up to device time ``until_s`` (exclusive), each sample when it is due.

        ``watched``: the listener hears of it, and a dead device is cut off the broker.
        """
        # history says only that a dead device measured nothing; the broker would speak up now, out of its time
        while line.next_s < until_s:
            await self._clock.sleep_until(pace.due_s(line.next_s))
            sending = asyncio.create_task(
                self._send(line, pace.reached_s(self._clock.now_s()), until_s, watched=watched)
            )
            self._sending.add(sending)
            sending.add_done_callback(self._sending.discard)
            await asyncio.shield(sending)  # who cancels us leaves it to close() to count what is on its way

    async def close(self) -> None:
        """Wait for what is on its way, but not for ever; say ``stopped`` for every device and leave."""
        if self._sending:
            _, late = await asyncio.wait(self._sending, timeout=LAST_S)
            for sending in late:
                sending.cancel()
        await asyncio.gather(*(session.close() for session in self._sessions.values()))

    async def _send(self, line: Line, reached_s: float, until_s: float, *, watched: bool) -> None:
        """Take the steps that are due, at least one and at most a burst; return when the broker has them."""
        bursts: list[list[Sample]] = [[] for _ in line.devices]
        for _ in range(BURST):
            for burst, samples in zip(bursts, line.advance(), strict=True):
                burst.extend(samples)
            if line.next_s > reached_s or line.next_s >= until_s:
                break
        full = []
        for index, (device, burst) in enumerate(zip(line.devices, bursts, strict=True)):
            if watched and line.dead(index):
                self._sessions[device].drop()
            elif burst:
                full.append(self._publish(device, burst, watched=watched))
        if len(full) == 1:
            await full[0]
        else:
            await asyncio.gather(*full)

    async def _publish(self, device: DeviceId, burst: Sequence[Sample], *, watched: bool) -> None:
        session = self._sessions[device]
        if watched and self._listener is not None:
            self._listener(device, burst, self._clock.now_s())
        size = self._samples_per_message
        payloads = [_payload(burst[start : start + size]) for start in range(0, len(burst), size)]
        await session.publish(payloads)
        self._messages += len(payloads)
        self._sent += len(burst)
        self._samples[device] += len({sample.seq for sample in burst})


def _payload(samples: Sequence[Sample]) -> bytes:
    return encode_sample(samples[0]) if len(samples) == 1 else encode_burst(samples)


async def backfill(publisher: Publisher, fleet: Fleet) -> None:
    """Publish the history of every group, as fast as the broker takes it."""
    async with asyncio.TaskGroup() as tasks:
        for group, line, _ in _lines(fleet):
            tasks.create_task(publisher.run(line, AT_ONCE, group.span.live_s), name=f"history {line.devices[0]}")


async def live(publisher: Publisher, fleet: Fleet, clock: Clock, run_s: float | None) -> None:
    """Publish the live part: ``run_s`` seconds of wall time, at the end of which every device's time is the present.

    ``None``: until cancelled, in real time.
    """
    from_s = clock.now_s()
    until_s = math.inf if run_s is None else from_s + run_s
    async with asyncio.TaskGroup() as tasks:
        for group, line, phase in _lines(fleet):
            pace = _live_pace(group, from_s, until_s).later(phase * group.domain.period_s)
            tasks.create_task(publisher.run(line, pace, until_s, watched=True), name=f"live {line.devices[0]}")


def _lines(fleet: Fleet) -> Iterator[tuple[Group, Line, float]]:
    """Yield every line with its phase, 0 … 1: devices of a group do not all speak at the same moment."""
    for group in fleet.groups:
        for index, line in enumerate(group.lines):
            yield group, line, index / len(group.lines)


def _live_pace(group: Group, from_s: float, until_s: float) -> Pace:
    if group.speed == 1:
        return Pace(device_s=from_s, wall_s=from_s, speed=1.0)
    return catching_up(from_device_s=group.span.live_s, from_wall_s=from_s, until_wall_s=until_s)
