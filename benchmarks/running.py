"""CPU a message, throughput and delay of a running gateway, each beside a bare subscriber where the bar is a ratio."""

from __future__ import annotations

import asyncio
import contextlib
import json
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiomqtt
import msgspec

from benchmarks.figures import Figure
from benchmarks.processes import GATEWAY, MIB, Gateway, Memory, cpu_s, gateway, process, rss_bytes, send
from contract import topics
from contract.codec import encode_sample
from contract.messages import Health, Sample
from edgefleet.brokers import HOST, RunningBroker, embedded_broker
from edgefleet.load import Load, Sent

DEVICES: Final = 1000
LOADED_DEVICES: Final = 5000
ROUNDS: Final = 3
"""Times that what is held to a narrow bar is measured in one run; the median counts, for others use the machine too."""
FLAT_MESSAGES: Final = 10_000_000
"""Messages over which memory must stay as it is."""
HISTORY_SAMPLES: Final = 460
"""Samples that a device needs before its windows are scored: the calibration of the industrial shelf, and some."""
ODD_EVERY: Final = 10
ENTRY: Final = ("-m", "benchmarks.subscribers")
FIRST_TOPIC: Final = topics.telemetry(topics.device_id("bench", "industrial", "first"))


@asynccontextmanager
async def rig(**more: Any) -> AsyncIterator[tuple[RunningBroker, Gateway]]:
    """Run a broker and a gateway in a folder of their own."""
    with tempfile.TemporaryDirectory(prefix="edgefleet-bench-") as folder:
        path = Path(folder)
        async with embedded_broker(path, "mosquitto") as broker, gateway(broker, path / "gateway", **more) as running:
            yield broker, running


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What a gateway needed for a load."""

    sent: Sent
    cpu_s: float
    stored: int
    took_s: float
    rss: tuple[int, ...]
    """Resident memory, bytes, one a second."""
    inference_s: float = 0.0

    @property
    def us_a_message(self) -> float:
        """CPU, µs."""
        return self.cpu_s / self.sent.messages * 1e6


async def run_load(broker: RunningBroker, running: Gateway, loads: list[Load]) -> Run:
    """Send loads one after the other; return what the gateway needed until everything was stored and delivered."""
    memory = Memory(running.pid)
    watching = asyncio.create_task(memory.watch())
    before_s, began = cpu_s(running.pid), time.monotonic()
    already = await running.stored(0, 0.0)
    sent = [await send(msgspec.structs.replace(load, port=broker.port)) for load in loads]
    messages = sum(one.messages for one in sent)
    stored = await running.stored(already + messages, 60.0) - already
    health = await _health(broker)
    watching.cancel()
    return Run(
        sent=msgspec.structs.replace(sent[-1], messages=messages, took_s=sum(one.took_s for one in sent)),
        cpu_s=cpu_s(running.pid) - before_s,
        stored=stored,
        took_s=time.monotonic() - began,
        rss=tuple(memory.seen),
        inference_s=health.inference_s,
    )


async def _health(broker: RunningBroker) -> Health:
    """Return the next health report."""
    async for health in _reports(broker):
        return health
    raise RuntimeError


async def _reports(broker: RunningBroker) -> AsyncIterator[Health]:
    async with aiomqtt.Client(HOST, broker.port) as client:
        await client.subscribe(topics.gateway(GATEWAY, "health"))
        async for message in client.messages:
            if isinstance(message.payload, bytes):
                yield msgspec.json.decode(message.payload, type=Health)


async def bare(kind: str, load: Load) -> tuple[float, float]:
    """Return CPU µs a message and messages a second of a bare subscriber under a load."""
    with tempfile.TemporaryDirectory(prefix="edgefleet-bench-") as folder:
        async with (
            embedded_broker(Path(folder), "mosquitto") as broker,
            process(*ENTRY, kind, str(broker.port), str(load.messages)) as running,
        ):
            assert running.stdout is not None
            await running.stdout.readline()  # it has subscribed
            await send(msgspec.structs.replace(load, port=broker.port))
            found = json.loads(await running.stdout.readline())
            return found["cpu_s"] / load.messages * 1e6, load.messages / found["wall_s"]


def fast(messages: int, devices: int = DEVICES, channels: int = 4) -> Load:
    """Return a load that comes as fast as the broker takes it: the newest sample is of the present."""
    start_s = time.time() - messages / devices - 1
    return Load(port=0, devices=devices, messages=messages, start_s=start_s, channels=channels)


async def beside(kind: str, load: Load) -> tuple[float, float]:
    """Return CPU µs a message of the gateway and of a bare subscriber, both subscribed while one load is sent."""
    async with (
        rig(health_every_s=1.0) as (broker, running),
        process(*ENTRY, kind, str(broker.port), str(load.messages)) as other,
    ):
        assert other.stdout is not None
        await other.stdout.readline()  # it has subscribed
        run = await run_load(broker, running, [load])
        return run.us_a_message, json.loads(await other.stdout.readline())["cpu_s"] / load.messages * 1e6


async def cpu(messages: int) -> Iterator[Figure]:
    """CPU of the gateway process per message, beside paho's, and the models' share of it."""
    async with rig(health_every_s=1.0) as (broker, running):
        run = await run_load(broker, running, [fast(messages)])
    shared = [await beside("paho", fast(messages)) for _ in range(ROUNDS)]
    ratios = [own_us / paho_us for own_us, paho_us in shared]
    paho_us, paho_rate = await bare("paho", fast(min(messages, 300_000)))
    socket_us, socket_rate = await bare("socket", fast(min(messages, 300_000)))
    note = f"{run.stored:,} of {messages:,} stored"
    return iter(
        (
            Figure(name="CPU of the gateway a message", unit="µs", values=(run.us_a_message,), bar=12.0, note=note),
            Figure(
                name="against paho-mqtt, both subscribed to one load",
                unit="times",
                values=(statistics.median(ratios),),
                bar=0.30,
                note=", ".join(f"{own_us:.1f} and {paho_us:.1f} µs" for own_us, paho_us in shared),
            ),
            Figure(name="against paho-mqtt, one after the other", unit="times", values=(run.us_a_message / paho_us,)),
            Figure(name="CPU of a bare paho-mqtt subscriber alone, a message", unit="µs", values=(paho_us,)),
            Figure(name="CPU of a bare socket subscriber a message", unit="µs", values=(socket_us,)),
            Figure(name="delivered to a bare paho-mqtt subscriber", unit="msg/s", values=(paho_rate,)),
            Figure(name="delivered to a bare socket subscriber", unit="msg/s", values=(socket_rate,)),
            Figure(name="taken by the gateway, not paced", unit="msg/s", values=(messages / run.sent.took_s,)),
            Figure(name="inference, share of all CPU", unit="%", values=(100 * run.inference_s / run.cpu_s,), bar=5.0),
            Figure(name="lost", unit="messages", values=(messages - run.stored,), bar=0.0),
        )
    )


async def throughput(for_s: float) -> Iterator[Figure]:
    """Hold the gateway at 0.8 of what the broker delivers to a bare subscriber, and look whether it falls behind."""
    _, delivered = await bare("socket", fast(300_000))
    rate = 0.8 * delivered
    messages = int(rate * for_s)
    load = msgspec.structs.replace(fast(messages), rate_per_s=rate)
    lag: list[tuple[float, float]] = []
    async with rig(health_every_s=0.5) as (broker, running):

        async def watch() -> None:
            async for health in _reports(broker):
                lag.append((health.ts, health.messages_total))  # noqa: PERF401  # it is read while it grows

        watching = asyncio.create_task(watch())
        run = await run_load(broker, running, [load])
        watching.cancel()
    ends = run.sent.began_s + messages / rate
    behind_s = [(ts, ts - run.sent.began_s - total / rate) for ts, total in lag if run.sent.began_s + 2 < ts < ends]
    early = [s for ts, s in behind_s if ts < run.sent.began_s + for_s / 2]
    late = [s for ts, s in behind_s if ts >= run.sent.began_s + for_s / 2]
    growth_s = (max(late) - max(early)) if early and late else 0.0
    return iter(
        (
            Figure(
                name="open-loop load that it was held at",
                unit="msg/s",
                values=(rate,),
                note="0.8 of what a bare socket subscriber gets",
            ),
            Figure(name="lost under it", unit="messages", values=(messages - run.stored,), bar=0.0),
            Figure(name="lag, most in the second half", unit="s", values=(max(late, default=0.0),)),
            Figure(name="lag, growth from the first half to the second", unit="s", values=(growth_s,), bar=0.5),
            Figure(name="CPU a message under it", unit="µs", values=(run.us_a_message,)),
        )
    )


async def delay(for_s: float, rate: float = 5000.0) -> Iterator[Figure]:
    """Delay from when a sample was due to when the alert that it decided was stored; the load never waits for us."""
    odd = LOADED_DEVICES // ODD_EVERY
    async with rig(health_every_s=1.0) as (broker, running):
        history = Load(
            port=0,
            devices=odd,
            stride=ODD_EVERY,
            messages=odd * HISTORY_SAMPLES,
            start_s=time.time() - HISTORY_SAMPLES - 30,
        )
        await run_load(broker, running, [history])
        live = Load(
            port=0,
            devices=LOADED_DEVICES,
            messages=int(rate * for_s),
            rate_per_s=rate,
            period_s=LOADED_DEVICES / rate,
            first_seq=history.first_seq + HISTORY_SAMPLES,
            odd_every=ODD_EVERY,
            odd_from_s=time.time() + 5,
            odd_over_s=for_s - 60,  # the shelf's rule waits for 30 s, and windows for their end
        )
        run = await run_load(broker, running, [live])
        fired = [
            (one.alert.trigger_s, one.stored_s)
            for one in running.store.transitions()
            if one.alert.state == "firing" and one.alert.trigger_s > run.sent.began_s
        ]
    delays_ms = sorted(1000 * (stored_s - due_s) for due_s, stored_s in fired)
    own_ms = sorted(1000 * (stored_s - _sent_s(run.sent, due_s)) for due_s, stored_s in fired) or [0.0]
    found = delays_ms or [float("inf")]
    note = f"{len(delays_ms)} alerts, {rate:,.0f} msg/s"
    return iter(
        (
            Figure(name="sample due to alert stored, p50", unit="ms", values=(_at(found, 0.5),), bar=60.0, note=note),
            Figure(name="sample due to alert stored, p99", unit="ms", values=(_at(found, 0.99),), bar=250.0),
            Figure(name="sample due to alert stored, longest", unit="ms", values=(found[-1],)),
            Figure(name="from when it was sent, p50", unit="ms", values=(_at(own_ms, 0.5),)),
            Figure(name="from when it was sent, p99", unit="ms", values=(_at(own_ms, 0.99),)),
            Figure(name="load sent late by, at most", unit="ms", values=(1000 * run.sent.latest_s,)),
        )
    )


def _sent_s(sent: Sent, due_s: float) -> float:
    """Return when a sample was sent that was due at a time: then, or later where the load was."""
    return next((sent_s for sent_s, first_due_s in sent.late if first_due_s <= due_s <= sent_s), due_s)


def _at(ordered: list[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


async def memory(samples: int) -> Iterator[Figure]:
    """Resident memory of a gateway that nobody talks to, and with 10,000 devices of four domains."""
    async with rig(health_every_s=1.0) as (broker, running):
        await asyncio.sleep(5.0)
        empty = rss_bytes(running.pid)
        loads = [
            Load(
                port=0, domain=domain, devices=2500, messages=2500 * samples, period_s=period_s,
                start_s=time.time() - period_s * (samples + 1),
            )
            for domain, period_s in (("industrial", 1.0), ("agriculture", 60.0), ("retail", 60.0), ("traffic", 60.0))
        ]  # fmt: skip
        run = await run_load(broker, running, loads)
    return iter(
        (
            Figure(name="memory, empty", unit="MiB", values=(empty / MIB,), bar=80.0),
            Figure(name="memory, 10,000 devices, most", unit="MiB", values=(max(run.rss) / MIB,), bar=200.0),
            Figure(name="memory, 10,000 devices, at the end", unit="MiB", values=(run.rss[-1] / MIB,)),
            Figure(name="lost with 10,000 devices", unit="messages", values=(10_000 * samples - run.stored,), bar=0.0),
        )
    )


async def flat(messages: int) -> Iterator[Figure]:
    """Resident memory over a long load: most in the last tenth against most in the second.

    What is seen while the broker's backlog is worked off after it does not count: less is under way then. A shorter
    load is not judged: its second tenth lies in the start.
    """
    async with rig(health_every_s=1.0) as (broker, running):
        run = await run_load(broker, running, [fast(messages)])
    loaded = run.rss[: max(2, int(run.sent.took_s))]
    tenth = max(1, len(loaded) // 10)
    growth = 100 * (max(loaded[-tenth:]) / max(loaded[tenth : 2 * tenth]) - 1)
    name = f"memory, growth over {messages:,} messages"
    bar = 5.0 if messages >= FLAT_MESSAGES else None
    return iter((Figure(name=name, unit="%", values=(growth,), bar=bar, note=f"{max(run.rss) / MIB:.0f} MiB at most"),))


async def start_up() -> Iterator[Figure]:
    """Time from starting the process to its first message handled, with nothing to replay; the second start counts.

    The first one leaves Python compiled, as an installation does.
    """
    took_s = spent_s = 0.0
    for _ in range(2):
        with tempfile.TemporaryDirectory(prefix="edgefleet-bench-") as folder:
            path = Path(folder)
            async with embedded_broker(path, "mosquitto") as broker, aiomqtt.Client(HOST, broker.port) as device:
                handled = asyncio.create_task(_first_handled(broker))
                began = time.monotonic()
                async with gateway(broker, path / "gateway", health_every_s=0.1) as running:
                    sample = Sample(ts=time.time(), seq=1, values={"current_a": 1.3})
                    await device.publish(FIRST_TOPIC, encode_sample(sample), qos=1)
                    await handled
                    took_s, spent_s = time.monotonic() - began, cpu_s(running.pid)
    return iter(
        (
            Figure(name="start to first message handled", unit="s", values=(took_s,), bar=2.0),
            Figure(name="CPU of the start", unit="s", values=(spent_s,)),
        )
    )


async def _first_handled(broker: RunningBroker) -> None:
    with contextlib.suppress(aiomqtt.MqttError):
        async for health in _reports(broker):
            if health.messages_total:
                return
