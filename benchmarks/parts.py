"""Parts measured by themselves: the models, the simulator, and what a message costs as work grows."""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import yaml

from benchmarks.figures import Figure
from benchmarks.processes import MIB, process
from benchmarks.running import ROUNDS, fast, rig, run_load
from edgefleet.brokers import embedded_broker
from edgefleet.load import CHANNELS, Load
from gateway.inference.litert import BatchedModel
from gateway.inference.shelf import load
from gateway.settings import Settings, shelves_folder

WINDOWS: Final = 256
SESSIONS: Final = 10_000
DEVICE_COUNTS: Final = (100, 300, 1000, 3000, 10_000)
CHANNEL_COUNTS: Final = (1, 2, 4, 8, 16)
LONGEST_BYTES: Final = 226
"""Payload of sixteen channels."""
Curve = dict[int, float]


def inference() -> Iterator[Figure]:
    """One invocation for 256 windows against 256 of one, of the dense industrial shelf."""
    shelf = load(shelves_folder(Settings()) / "industrial")
    features = np.resize(shelf.vectors.features, (WINDOWS, shelf.vectors.features.shape[1]))
    scorer, model = shelf.scorer("optimised"), BatchedModel(shelf.content, "optimised")  # as served
    inputs = np.resize(shelf.vectors.inputs, features.shape)
    rows = range(WINDOWS)
    one = _cost_us(lambda: [scorer.score(features[i : i + 1]) for i in rows]) / WINDOWS
    kernel_one = _cost_us(lambda: [model.run(inputs[i : i + 1]) for i in rows]) / WINDOWS
    many, kernel_many = (
        _cost_us(work) / WINDOWS for work in (lambda: scorer.score(features), lambda: model.run(inputs))
    )
    same = np.array_equal(scorer.score(features), np.concatenate([scorer.score(features[i : i + 1]) for i in rows]))
    costs = (
        f"alone {one:.1f} µs a window, in 256 {many:.2f}; the interpreter {kernel_one:.1f} and {kernel_many:.2f} of it"
    )
    note = f"{costs}; results {'identical' if same else 'DIFFERENT'}"
    name = "inference, gain of a batch of 256"
    yield Figure(name=name, unit="times", values=(one / many,), bar=50.0, side="at least", note=note)


def _cost_us(work: Callable[[], Any]) -> float:
    """Return the least CPU time of some calls, µs: what others do on the machine only ever adds."""
    best = float("inf")
    for _ in range(30):
        started = time.process_time_ns()
        work()
        best = min(best, (time.process_time_ns() - started) / 1000)
    return best


async def simulator(devices: int, for_s: float) -> Iterator[Figure]:
    """Messages a second that one process publishes when everything is late, a sample a message."""
    found = await _fleet(devices=devices, for_s=for_s, speed=1000.0, burst=1)
    return iter(
        (
            Figure(
                name="simulator, one process",
                unit="msg/s",
                values=(found["messages"] / found["took_s"],),
                bar=20_000.0,
                side="at least",
            ),
            Figure(name="simulator, CPU a message", unit="µs", values=(found["cpu_s"] / found["messages"] * 1e6,)),
        )
    )


async def sessions() -> Iterator[Figure]:
    """Memory of one process with 10,000 sessions, each with a will."""
    # a device connects when it first has something to send: with bursts of a minute, within the first one
    found = await _fleet(devices=SESSIONS, for_s=120.0, speed=1.0, burst=60)
    note = f"{found['sessions']:,} connected"
    return iter(
        (
            Figure(
                name="simulator, 10,000 sessions with wills",
                unit="MiB",
                values=(found["rss_bytes"] / MIB,),
                bar=1024.0,
                note=note,
            ),
            Figure(
                name="sessions connected", unit="sessions", values=(found["sessions"],), bar=SESSIONS, side="at least"
            ),
        )
    )


async def _fleet(**options: float) -> dict[str, float]:
    with tempfile.TemporaryDirectory(prefix="edgefleet-bench-") as folder:
        async with (
            embedded_broker(Path(folder), "mosquitto") as broker,
            process("-m", "benchmarks.fleet", json.dumps({"broker": broker.url, **options})) as running,
        ):
            output, _ = await running.communicate()
            found: dict[str, float] = json.loads(output)
            return found


async def by_devices(messages: int) -> Curve:
    """CPU µs a message by number of devices."""

    async def cost(devices: int) -> float:
        async with rig(health_every_s=1.0) as (broker, running):
            return (await run_load(broker, running, [fast(messages, devices)])).us_a_message

    return await _curve(DEVICE_COUNTS, cost)


async def by_channels(messages: int, folder: Path, least_bytes: int = 0) -> Curve:
    """CPU µs a message by number of channels, each in a domain of its own that has so many.

    With ``least_bytes`` a message of one channel is as long as one of sixteen: to look at, so measured once.
    """
    for channels in CHANNEL_COUNTS:
        _write_domain(folder / f"domains-{channels}" / "scaling", channels)

    async def cost(channels: int) -> float:
        async with rig(health_every_s=1.0, domains_dir=str(folder / f"domains-{channels}")) as (broker, running):
            devices = 1000
            one = Load(
                port=0,
                domain="scaling",
                devices=devices,
                messages=messages,
                start_s=time.time() - messages / devices - 1,
                channels=channels,
                least_bytes=least_bytes,
            )
            return (await run_load(broker, running, [one])).us_a_message

    return await _curve(CHANNEL_COUNTS, cost, rounds=1 if least_bytes else ROUNDS)


async def _curve(counts: Sequence[int], cost: Callable[[int], Awaitable[float]], rounds: int = ROUNDS) -> Curve:
    """Return the median cost of each count over some rounds: one reading of a shared machine errs by the bar itself."""
    found: dict[int, list[float]] = {count: [] for count in counts}
    for _ in range(rounds):
        for count in counts:
            found[count].append(await cost(count))
    print(*(f"  {count:,}: {', '.join(f'{one:.1f}' for one in costs)}" for count, costs in found.items()), sep="\n")
    return {count: statistics.median(costs) for count, costs in found.items()}


def _write_domain(folder: Path, channels: int) -> None:
    folder.mkdir(parents=True)
    table = {
        "device": "measured thing",
        "period_s": 1.0,
        "window": {"length_s": 60.0, "hop_s": 10.0},
        "channels": [{"name": name, "low": 0.0, "high": 1000.0} for name, _, _ in CHANNELS["scaling"][:channels]],
    }
    (folder / "domain.yaml").write_text(yaml.safe_dump(table))


def spread_pct(curve: Curve) -> float:
    """Return how far the dearest point of a curve is above the cheapest, per cent."""
    return 100 * (max(curve.values()) / min(curve.values()) - 1)
