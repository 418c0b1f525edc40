# ruff: noqa: T201  # a command
"""``make faults``: the long set. Prints the table of docs/reliability.md; fails where anything is missing or extra."""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from contract.points import ALERTS
from tests.brokers import Mosquitto
from tests.faults.crashes import Row, lives, stored
from tests.faults.gateways import amqtt, running, settings_file
from tests.faults.outcomes import Outcome, compare, influx_outcome, local_outcome
from tests.faults.streams import Stream
from tests.influx import RealInflux

Check = Callable[[Path, float], Awaitable[list[Row]]]


@asynccontextmanager
async def mosquitto(folder: Path) -> AsyncIterator[Mosquitto]:
    """Run a Mosquitto of its own."""
    async with Mosquitto(folder / "mosquitto") as broker:
        yield broker


async def killed_on_mosquitto(folder: Path, share: float) -> list[Row]:
    """MQTT 5: the long one."""
    stream = Stream(seed=11, devices=100, messages=int(1_000_000 * share))
    return await _killed(folder, stream, kills=max(2, int(200 * share)), fault="SIGKILL, Mosquitto, MQTT 5")


async def killed_on_mosquitto_3(folder: Path, share: float) -> list[Row]:
    """MQTT 3.1.1."""
    stream = Stream(seed=12, devices=50, messages=int(60_000 * share))
    kills = max(2, int(15 * share))
    return await _killed(folder, stream, kills=kills, fault="SIGKILL, Mosquitto, MQTT 3.1.1", protocol="3.1.1")


async def killed_on_amqtt(folder: Path, share: float) -> list[Row]:
    """Kill on the embedded broker, MQTT 3.1.1."""
    stream, kills = Stream(seed=13, devices=10, messages=int(4000 * share)), max(2, int(10 * share))
    found: dict[str, Outcome] = {}
    for name, times in (("whole", 0), ("killed", kills)):
        async with amqtt() as port:
            told = await lives(
                folder / name, port, stream, kills=times, seed=3, gateway=name, broker={"protocol": "3.1.1"}
            )
        found[name] = local_outcome(folder / name / "state")
    return [_row("SIGKILL, amqtt, MQTT 3.1.1", told.kills, told.messages, found, told.recovery_s)]


async def killed_before_influx(folder: Path, share: float) -> list[Row]:
    """Kill, and look at a real InfluxDB."""
    stream, kills = Stream(seed=14, devices=50, messages=int(60_000 * share)), max(2, int(15 * share))
    local: dict[str, Outcome] = {}
    remote: dict[str, Outcome] = {}
    async with mosquitto(folder) as broker:
        for name, times in (("whole", 0), ("killed", kills)):
            async with RealInflux(folder / f"influx-{name}") as influx:
                told = await lives(
                    folder / name,
                    broker.port,
                    stream,
                    kills=times,
                    seed=4,
                    gateway=name,
                    influx={"url": influx.url, "token": "secret"},
                )
                local[name] = local_outcome(folder / name / "state")
                remote[name] = await influx_outcome(influx, ("industrial", "industrial_hourly", ALERTS))
    points = sum(map(len, remote["killed"].rows.values()))
    difference = compare(remote["killed"], remote["whole"])
    return [
        _row("SIGKILL, local store beside InfluxDB", told.kills, told.messages, local, told.recovery_s),
        Row(
            fault="SIGKILL, points and alerts in InfluxDB",
            repetitions=told.kills,
            published=told.messages,
            stored=points,
            difference=difference,
        ),
    ]


async def broker_restarts(folder: Path, share: float) -> list[Row]:
    """Restart the broker after each kill: it keeps sessions on its disk."""
    stream, kills = Stream(seed=15, devices=50, messages=int(30_000 * share)), max(2, int(10 * share))
    found: dict[str, Outcome] = {}
    async with mosquitto(folder) as broker:
        for name, times in (("whole", 0), ("killed", kills)):

            async def restart(_: int) -> None:
                await broker.restart()

            told = await lives(folder / name, broker.port, stream, kills=times, seed=5, between=restart, gateway=name)
            found[name] = local_outcome(folder / name / "state")
    return [_row("SIGKILL, and the broker restarted", told.kills, told.messages, found, told.recovery_s)]


async def million_journaled(folder: Path, share: float) -> list[Row]:
    """Start-up behind a journal of a million messages that no snapshot covers."""
    stream = Stream(seed=16, devices=100, messages=int(1_000_000 * share))
    outcomes: dict[str, Outcome] = {}
    async with mosquitto(folder) as broker:
        whole = await lives(folder / "whole", broker.port, stream, kills=0, gateway="whole")
        outcomes["whole"] = local_outcome(folder / "whole" / "state")
        killed = folder / "killed"
        never = {"snapshot_every_s": 86_400.0, "snapshot_every_messages": 10**9}
        await lives(killed, broker.port, stream, kills=0, gateway="killed", journal=never, final="kill")
        file = settings_file(killed, broker.port, gateway="killed", journal=never)
        clock = asyncio.get_running_loop().time
        began_s = clock()
        async with running(file) as gateway:
            line = await gateway.says("recovered")
            await gateway.says("broker connected")
            took_s = clock() - began_s
            assert await gateway.stop() == 0
        print(f"  {line}", file=sys.stderr)
        outcomes["killed"] = local_outcome(killed / "state")
    return [_row("SIGKILL, journal without a snapshot", 1, whole.messages, outcomes, took_s)]


CHECKS: dict[str, Check] = {
    check.__name__: check
    for check in (
        killed_on_mosquitto,
        killed_on_mosquitto_3,
        killed_on_amqtt,
        killed_before_influx,
        broker_restarts,
        million_journaled,
    )
}


async def _killed(folder: Path, stream: Stream, *, kills: int, fault: str, protocol: str = "5") -> list[Row]:
    found: dict[str, Outcome] = {}
    for name, times in (("whole", 0), ("killed", kills)):
        async with mosquitto(folder / name) as broker:
            told = await lives(
                folder / name, broker.port, stream, kills=times, seed=2, gateway=name, broker={"protocol": protocol}
            )
        found[name] = local_outcome(folder / name / "state")
    return [_row(fault, told.kills, told.messages, found, told.recovery_s)]


def _row(fault: str, repetitions: int, published: int, found: dict[str, Outcome], recovery_s: float) -> Row:
    difference = compare(found["killed"], found["whole"])
    if difference:
        print(f"  {fault}: {difference}", file=sys.stderr)
    return Row(
        fault=fault,
        repetitions=repetitions,
        published=published,
        stored=stored(found["killed"]),
        difference=difference,
        recovery_s=recovery_s,
    )


async def main() -> int:
    """Run the checks asked for; return how many rows differ."""
    arguments = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    arguments.add_argument("--share", type=float, default=1.0, help="share of the full size, 0 … 1")
    arguments.add_argument("checks", nargs="*", default=list(CHECKS), help=f"any of {', '.join(CHECKS)}")
    asked = arguments.parse_args()
    bad = 0
    print(f"| {' | '.join(Row.TITLES)} |\n|{'---|' * len(Row.TITLES)}", flush=True)
    for name in asked.checks:
        with tempfile.TemporaryDirectory(prefix="edgefleet-faults-") as folder:
            for row in await CHECKS[name](Path(folder), asked.share):
                bad += bool(row.difference)
                print(f"| {' | '.join(row.cells())} |", flush=True)
    return bad


if __name__ == "__main__":
    sys.exit(asyncio.run(main()) > 0)
