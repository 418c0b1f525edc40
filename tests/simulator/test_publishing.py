"""Publishing: bursts, pace, counts, and what the broker sees of a device."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import aiomqtt
import msgspec
import pytest

from contract import topics
from contract.messages import Sample
from contract.topics import DeviceId
from edgefleet.brokers import HOST, RunningBroker, embedded_broker
from simulator.broker_url import BrokerUrl
from simulator.fleet import build_fleet
from simulator.pacing import Pace
from simulator.publishing import AT_ONCE, BURST, Publisher, backfill, live
from simulator.sessions import mqtt_sessions
from simulator.settings import FleetSettings, GroupSettings
from simulator.worlds import World

DEVICE = DeviceId("here", "industrial", "pump-1")
BOUND_S = 20.0


class FakeClock:
    """Stands still until everybody sleeps, then jumps to the first to wake."""

    def __init__(self, now_s: float = 0.0) -> None:
        """Begin at ``now_s``."""
        self._now_s = now_s
        self._sleepers: list[tuple[float, int, asyncio.Event]] = []
        self._count = 0

    def now_s(self) -> float:
        """Return the time it stands at."""
        return self._now_s

    async def sleep_until(self, at_s: float) -> None:
        """Wait until somebody lets time pass."""
        if at_s <= self._now_s:
            return
        self._count += 1
        awake = asyncio.Event()
        heapq.heappush(self._sleepers, (at_s, self._count, awake))
        await awake.wait()

    def advance(self, at_s: float) -> None:
        """Let time pass and wake whose time has come."""
        self._now_s = max(self._now_s, at_s)
        while self._sleepers and self._sleepers[0][0] <= self._now_s:
            heapq.heappop(self._sleepers)[2].set()

    async def run(self, work: asyncio.Task[None]) -> None:
        """Let time pass until the work is done."""
        while not work.done():
            for _ in range(20):
                await asyncio.sleep(0)
            if self._sleepers:
                self.advance(self._sleepers[0][0])
        await work


@dataclass
class FakeSession:
    """Keeps what it was given, and when."""

    clock: FakeClock
    taken: list[tuple[float, list[dict[str, float]]]] = field(default_factory=list)
    dropped: list[float] = field(default_factory=list)
    closed: bool = False
    began: asyncio.Event = field(default_factory=asyncio.Event)
    slow_s: float = 0.0

    async def publish(self, payloads: Sequence[bytes]) -> None:
        """Take messages that come together, as slowly as told."""
        for content in map(msgspec.json.decode, payloads):
            self.taken.append((self.clock.now_s(), content if isinstance(content, list) else [content]))
        self.began.set()
        await self.clock.sleep_until(self.clock.now_s() + self.slow_s)

    def drop(self) -> None:
        """Note when."""
        self.dropped.append(self.clock.now_s())

    async def close(self) -> None:
        """Note it."""
        self.closed = True


class Counting:
    """A line of one sample a second from 0, without power from ``dead_from`` to ``dead_to``."""

    devices = (DEVICE,)

    def __init__(self, dead_from: float = -1.0, dead_to: float = -1.0) -> None:
        """Begin at 0."""
        self.next_s = 0.0
        self._dead = dead_from, dead_to

    def advance(self) -> Sequence[Sequence[Sample]]:
        """Return the next sample."""
        t_s = self.next_s
        self.next_s += 1.0
        return ((),) if self._is_dead(t_s) else ((Sample(ts=t_s, seq=int(t_s), values={"current_a": 1.0}),),)

    def dead(self, _index: int) -> bool:
        """Tell whether the last step was without power."""
        return self._is_dead(self.next_s - 1.0)

    def _is_dead(self, t_s: float) -> bool:
        return self._dead[0] <= t_s < self._dead[1]


async def test_history_goes_in_full_bursts_in_order() -> None:
    clock = FakeClock(1000.0)
    session = FakeSession(clock)
    publisher = Publisher([line := Counting()], lambda _: session, clock)
    await publisher.run(line, AT_ONCE, 150.0)
    assert [len(samples) for _, samples in session.taken] == [BURST, BURST, 30]
    assert [sample["ts"] for _, samples in session.taken for sample in samples] == [float(t) for t in range(150)]
    assert (publisher.statistics().samples, publisher.statistics().messages) == (150, 3)


@pytest.mark.parametrize("size", [1, 7])
async def test_history_goes_in_messages_as_small_as_wanted_and_all_of_them_count(size: int) -> None:
    clock = FakeClock(1000.0)
    session = FakeSession(clock)
    publisher = Publisher([line := Counting()], lambda _: session, clock, samples_per_message=size)
    await publisher.run(line, AT_ONCE, 150.0)
    assert max(len(samples) for _, samples in session.taken) == size
    assert [sample["seq"] for _, samples in session.taken for sample in samples] == list(range(150))
    assert publisher.statistics().messages == len(session.taken)
    assert publisher.statistics().samples == 150


async def test_live_samples_leave_when_they_are_due() -> None:
    clock = FakeClock(500.0)
    session = FakeSession(clock)
    publisher = Publisher([line := Counting()], lambda _: session, clock)
    await clock.run(asyncio.create_task(publisher.run(line, Pace(device_s=0.0, wall_s=500.0, speed=10.0), 30.0)))
    assert [at_s for at_s, _ in session.taken] == [pytest.approx(500.0 + t / 10.0) for t in range(30)]


async def test_a_slow_broker_makes_bursts_but_no_drift() -> None:
    """An acknowledgement takes 5 s, a sample comes each second: five at a time, never later than one round."""
    clock = FakeClock()
    session = FakeSession(clock, slow_s=5.0)
    publisher = Publisher([line := Counting()], lambda _: session, clock)
    await clock.run(asyncio.create_task(publisher.run(line, Pace(device_s=0.0, wall_s=0.0, speed=1.0), 100.0)))
    assert max(at_s - samples[0]["ts"] for at_s, samples in session.taken) <= 5.0
    assert session.taken[-1][0] <= 105.0
    assert {len(samples) for _, samples in session.taken[1:-1]} == {5}


async def test_the_listener_hears_of_live_samples_before_the_broker_has_them() -> None:
    clock = FakeClock()
    session = FakeSession(clock)
    heard: list[tuple[float, float]] = []
    publisher = Publisher(
        [line := Counting()], lambda _: session, clock, lambda _, burst, at: heard.append((burst[0].ts, at))
    )
    await publisher.run(line, AT_ONCE, 10.0)
    assert heard == []
    await clock.run(
        asyncio.create_task(publisher.run(line, Pace(device_s=0.0, wall_s=0.0, speed=1.0), 13.0, watched=True))
    )
    assert heard == [(10.0, 10.0), (11.0, 11.0), (12.0, 12.0)]


async def test_a_dead_device_is_cut_off_only_while_somebody_watches() -> None:
    clock = FakeClock()
    session = FakeSession(clock)
    publisher = Publisher([line := Counting(dead_from=3.0, dead_to=6.0)], lambda _: session, clock)
    await clock.run(
        asyncio.create_task(publisher.run(line, Pace(device_s=0.0, wall_s=0.0, speed=1.0), 10.0, watched=True))
    )
    assert session.dropped == [3.0, 4.0, 5.0]
    assert publisher.statistics().samples == 7
    history = FakeSession(clock)
    publisher = Publisher([line := Counting(dead_from=3.0, dead_to=6.0)], lambda _: history, clock)
    await publisher.run(line, AT_ONCE, 10.0)
    assert history.dropped == []


async def test_a_repeated_sample_is_published_once_but_sent_twice() -> None:
    clock = FakeClock()

    class Twice(Counting):
        def advance(self) -> Sequence[Sequence[Sample]]:
            """Return the next sample twice."""
            ((sample,),) = super().advance()
            return ((sample, sample),)

    session = FakeSession(clock)
    publisher = Publisher([line := Twice()], lambda _: session, clock)
    await publisher.run(line, AT_ONCE, 60.0)
    statistics = publisher.statistics()
    assert (statistics.samples, statistics.sent, statistics.messages) == (60, 120, 2)
    assert max(len(samples) for _, samples in session.taken) == BURST


async def test_what_is_on_its_way_when_publishing_is_cancelled_is_still_counted() -> None:
    """The broker has it, so it is published, whoever waits for it."""
    clock = FakeClock()
    session = FakeSession(clock, slow_s=5.0)
    publisher = Publisher([line := Counting()], lambda _: session, clock)
    running = asyncio.create_task(publisher.run(line, AT_ONCE, 60.0))
    await session.began.wait()
    running.cancel()
    await asyncio.wait([running])
    assert publisher.statistics().samples == 0
    await clock.run(asyncio.create_task(publisher.close()))
    assert publisher.statistics().samples == 60
    assert session.closed


async def test_a_whole_fleet_publishes_history_then_reaches_the_present(world: World) -> None:
    clock = FakeClock(1_700_000_000.0)
    groups = (GroupSettings(site="one", domain="industrial", devices=4, history_s=300.0),)
    settings = FleetSettings(run_s=20.0, groups=groups, device_faults=0.0)
    fleet = build_fleet(settings, now_s=clock.now_s(), world_of=lambda _: world)
    sessions: dict[DeviceId, FakeSession] = {}
    publisher = Publisher(
        [line for group in fleet.groups for line in group.lines],
        lambda device: sessions.setdefault(device, FakeSession(clock)),
        clock,
    )
    await backfill(publisher, fleet)
    assert publisher.statistics().by_device == dict.fromkeys(fleet.devices, 300)
    await clock.run(asyncio.create_task(live(publisher, fleet, clock, 20.0)))
    await publisher.close()
    assert publisher.statistics().by_device == dict.fromkeys(fleet.devices, 320)
    assert all(session.closed for session in sessions.values())
    spoken = {session.taken[-1][0] % 1.0 for session in sessions.values()}
    assert len(spoken) == 4, "devices do not all speak at the same moment"


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[RunningBroker]:
    async with embedded_broker(tmp_path) as running:
        yield running


async def next_payload(client: aiomqtt.Client) -> bytes:
    async with asyncio.timeout(BOUND_S):
        message = await anext(client.messages)
    assert isinstance(message.payload, bytes)
    return message.payload


async def test_a_device_says_online_publishes_and_says_stopped(broker: RunningBroker) -> None:
    clock = FakeClock()
    publisher = Publisher([line := Counting()], mqtt_sessions(BrokerUrl.parse(broker.url)), clock)
    async with aiomqtt.Client(HOST, broker.port) as watcher:
        await watcher.subscribe(topics.telemetry(DEVICE), qos=1)
        await watcher.subscribe(topics.state(DEVICE), qos=1)
        await publisher.run(line, AT_ONCE, 70.0)
        await publisher.close()
        seen = [await next_payload(watcher) for _ in range(4)]
    assert (seen[0], seen[3]) == (b"online", b"stopped")
    assert [len(msgspec.json.decode(payload)) for payload in seen[1:3]] == [60, 10]
    assert publisher.statistics().samples == 70


async def test_a_device_without_power_leaves_its_will_and_comes_back(broker: RunningBroker) -> None:
    """The broker says ``offline`` in its name, and ``online`` stands again once it publishes."""
    session = mqtt_sessions(BrokerUrl.parse(broker.url))(DEVICE)
    async with aiomqtt.Client(HOST, broker.port) as watcher:
        await watcher.subscribe(topics.state(DEVICE), qos=1)
        await session.publish([b'{"ts": 1}'])
        assert await next_payload(watcher) == b"online"
        session.drop()
        assert await next_payload(watcher) == b"offline"
        await session.publish([b'{"ts": 2}'])
        assert await next_payload(watcher) == b"online"
        await session.close()
        assert await next_payload(watcher) == b"stopped"


async def test_publishing_goes_on_when_the_broker_cuts_the_connection(broker: RunningBroker) -> None:
    """Somebody else takes the client id over, so the broker cuts the device off; nothing is given up."""
    session = mqtt_sessions(BrokerUrl.parse(broker.url))(DEVICE)
    await session.publish([b'{"ts": 1}'])
    async with aiomqtt.Client(HOST, broker.port, identifier="here.industrial.pump-1"):
        pass
    async with asyncio.timeout(BOUND_S):
        await session.publish([b'{"ts": 2}'])
    await session.close()


async def test_messages_that_leave_together_all_arrive_in_order(broker: RunningBroker) -> None:
    session = mqtt_sessions(BrokerUrl.parse(broker.url))(DEVICE)
    sent = [f'{{"ts": {number}}}'.encode() for number in range(60)]
    async with aiomqtt.Client(HOST, broker.port) as watcher:
        await watcher.subscribe(topics.telemetry(DEVICE), qos=1)
        async with asyncio.timeout(BOUND_S):
            await session.publish(sent)
            assert [await next_payload(watcher) for _ in sent] == sent
    await session.close()
