"""Runs each peer on the same load and puts CPU, memory and loss side by side."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from benchmarks.peers import node_red, telegraf, thingsboard
from benchmarks.peers.sink import WARM, Sink, sink
from benchmarks.processes import MIB, cpu_s, rss_bytes, send
from edgefleet.brokers import HOST, RunningBroker, embedded_broker
from edgefleet.load import Load

RATE: Final = 2000.0
"""Messages a second of the load: what each of them can be asked for."""
DEVICES: Final = 200
WINDOW: Final = 10
READY_S: Final = 120.0
DRAIN_S: Final = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """Something that takes MQTT and delivers."""

    name: str
    command: Callable[[Path, int, int], list[str]]
    delivery: str
    """What it promises."""
    open_windows: int = 0
    """Windows of each device that are still open when the load ends."""
    derives: bool = True
    """Whether its windows are counted; otherwise, the samples that it forwards or derives a value from."""
    install: Callable[[Path], None] = lambda _folder: None
    version: Callable[[Path], str] = lambda _folder: ""
    needs: str | None = None
    """A command without which it cannot run here."""


def _edgefleet(folder: Path, broker_port: int, sink_port: int) -> list[str]:
    settings = {
        "gateway": "peer",
        "state_dir": str(folder / "state"),
        "broker": {"host": HOST, "port": broker_port},
        "influx": {"url": f"http://{HOST}:{sink_port}", "token": "bench"},
        "log": {"level": "warning"},
    }
    (folder / "gateway.yaml").write_text(yaml.safe_dump(settings))
    return [sys.executable, "-m", "edgefleet", "gateway", "-c", str(folder / "gateway.yaml")]


def _plain(_folder: Path, broker_port: int, sink_port: int) -> list[str]:
    return [sys.executable, "-m", "benchmarks.peers.plain", str(broker_port), str(sink_port)]


PEERS: Final = (
    Peer(
        name="edgefleet",
        command=_edgefleet,
        open_windows=1,  # one closes when a sample beyond it has come
        delivery="acknowledged after a commit at FULL; outbox on disk; 59 fields and a score a window, local store too",
    ),
    Peer(name="aiomqtt script", command=_plain, delivery="acknowledged on receipt, held in memory; one mean a window"),
    Peer(
        name="Node-RED",
        command=node_red.command,
        install=node_red.install,
        version=node_red.version,
        needs="npm",
        delivery="acknowledged on receipt, held in memory; one mean a window",
    ),
    Peer(
        name="ThingsBoard IoT Gateway",
        command=thingsboard.command,
        install=thingsboard.install,
        version=thingsboard.version,
        derives=False,
        delivery="acknowledged on receipt, held in memory; forwards samples by MQTT, no window, no line protocol",
    ),
    Peer(
        name="Telegraf",
        command=telegraf.command,
        version=telegraf.version,
        derives=False,
        needs="telegraf",
        delivery="acknowledged when aggregated, held in memory; one mean and count a second by its own clock",
    ),
)


async def run(messages: int, only: str = "") -> str:
    """Return a Markdown table."""
    rows = ["| | CPU a message | memory, most | delivered | what it promises |", "|---|---:|---:|---:|---|"]
    for peer in PEERS:
        if only and only not in peer.name:
            continue
        if peer.needs is not None and shutil.which(peer.needs) is None:
            rows.append(f"| {peer.name} | not run: there is no `{peer.needs}` here | | | |")
            continue
        print(f"peer: {peer.name}", flush=True)
        rows.append(await _row(peer, messages))
    return "\n".join(rows)


async def _row(peer: Peer, messages: int) -> str:
    with tempfile.TemporaryDirectory(prefix="edgefleet-peer-") as name:
        folder = Path(name)
        await asyncio.to_thread(peer.install, folder)
        async with embedded_broker(folder, "mosquitto") as broker, sink(broker) as into:
            found = await _measure(peer, folder, broker, into, messages)
        said = peer.version(folder) or peer.name
    if found is None:
        return f"| {said} | did not deliver within {READY_S:.0f} s | | | {peer.delivery} |"
    cpu_us, most, delivered, expected = found
    return f"| {said} | {cpu_us:.0f} µs | {most / MIB:.0f} MiB | {delivered:,} of {expected:,} | {peer.delivery} |"


async def _measure(
    peer: Peer, folder: Path, broker: RunningBroker, into: Sink, messages: int
) -> tuple[float, int, int, int] | None:
    expected = messages // WINDOW - DEVICES * peer.open_windows if peer.derives else messages
    log = (folder / "peer.log").open("ab")
    command = peer.command(folder, broker.port, into.port)
    inside = {**os.environ, "PYTHONPATH": str(Path.cwd())}
    running = await asyncio.create_subprocess_exec(
        *command, cwd=folder, env=inside, stdout=log, stderr=log, start_new_session=True
    )
    try:
        if not await _ready(broker, into) or running.returncode is not None:
            return None
        before_s, most = _tree(running.pid, cpu_s), 0
        start_s = time.time() - messages / DEVICES - 10
        load = Load(port=broker.port, devices=DEVICES, messages=messages, rate_per_s=RATE, start_s=start_s)
        sending = asyncio.create_task(send(load))
        end_s = float("inf")
        while into.windows < 0.995 * expected and time.monotonic() < end_s:
            await asyncio.sleep(0.5)
            most = max(most, int(_tree(running.pid, rss_bytes)))
            if sending.done() and end_s == float("inf"):
                end_s = time.monotonic() + DRAIN_S
        await sending
        await asyncio.sleep(2.0)
        return (_tree(running.pid, cpu_s) - before_s) / messages * 1e6, most, into.windows, expected
    finally:
        if running.returncode is None:
            running.terminate()
        try:
            await asyncio.wait_for(running.wait(), 20)
        except TimeoutError:
            running.kill()
            await running.wait()
        log.close()


async def _ready(broker: RunningBroker, into: Sink) -> bool:
    """Send a few devices' windows until the first of them arrives."""
    end_s = time.monotonic() + READY_S
    turn = 0
    while not into.warm:
        if time.monotonic() > end_s:
            return False
        turn += 1
        start_s = time.time() - 3000 + 25 * turn
        first = 100_000 + 25 * turn
        await send(Load(port=broker.port, site=WARM, devices=5, messages=125, start_s=start_s, first_seq=first))
        await asyncio.sleep(1.0)
    await asyncio.sleep(3.0)
    into.windows = 0
    return True


def _tree(pid: int, of: Callable[[int], Any]) -> float:
    """Return the sum over a process and its descendants."""
    return float(sum(of(one) for one in _descendants(pid)))


def _descendants(pid: int) -> Iterator[int]:
    yield pid
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            yield from _descendants(int(child))


if __name__ == "__main__":
    print(asyncio.run(run(int(sys.argv[1]), *sys.argv[2:])))
