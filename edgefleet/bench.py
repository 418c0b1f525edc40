"""The short benchmark: what this machine sustains, measured on it, with the settings that an installed gateway has.

A broker, a gateway with journal at FULL and the models that come along, and a load over one connection, each a process
of its own. The load is raised until the gateway, the broker or the load itself cannot keep up; what is said is 70 % of
the highest that was kept up with. Models are loaded, but the devices are new and still calibrating: no window of theirs
is scored.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
import yaml
from rich.bar import Bar
from rich.console import Console
from rich.table import Table

from edgefleet.brokers import HOST, RunningBroker, embedded_broker
from edgefleet.gateway_process import gateway_process, listening
from edgefleet.load import Load, Sent
from gateway.sqlite_file import StorageError
from gateway.stores.reader import LocalReader

RATES: Final = (1000.0, 2000.0, 5000.0, 10_000.0, 20_000.0, 30_000.0, 45_000.0)
"""Messages a second that are tried, one after the other."""
DEVICES: Final = 1000
HEADROOM: Final = 0.3
BEHIND_S: Final = 2.0
"""Longest time after the load's end until everything must be stored."""
PERIODS_S: Final = (1.0, 10.0, 60.0)
NAME: Final = "bench"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One rate that was tried."""

    rate_per_s: float
    cpu_us: float
    """CPU of the gateway a message, µs."""
    behind_s: float
    """Time from the end of the load until everything was stored, seconds."""
    memory_bytes: int
    sustained: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What this machine sustains."""

    broker: str
    steps: tuple[Step, ...]

    @property
    def messages_per_s(self) -> float:
        """Sustained rate, with headroom taken off."""
        return (1 - HEADROOM) * max((step.rate_per_s for step in self.steps if step.sustained), default=0.0)

    def as_dict(self) -> dict[str, Any]:
        """Return everything, for JSON."""
        return {**asdict(self), "messages_per_s": self.messages_per_s, "headroom": HEADROOM}

    def render(self) -> Table:
        """Return the table that people read, with a bar for each rate."""
        table = Table(title=f"gateway, {self.broker}, {os.cpu_count()} processors", title_justify="left")
        for heading in ("messages/s", "", "CPU of a core", "µs a message", "behind", ""):
            table.add_column(heading, justify="left" if not heading else "right")
        for step in self.steps:
            share = step.rate_per_s * step.cpu_us / 1e6
            table.add_row(
                f"{step.rate_per_s:,.0f}",
                Bar(1.0, 0.0, min(1.0, share), width=30, color="green" if step.sustained else "red"),
                f"{100 * share:.0f} %",
                f"{step.cpu_us:.1f}",
                f"{step.behind_s:.1f} s",
                "kept up" if step.sustained else "fell behind",
            )
        return table

    def sentences(self) -> list[str]:
        """Say what that means, in devices."""
        return [
            f"This machine sustains {self.messages_per_s * period_s:,.0f} devices that measure every {period_s:g} s"
            f" with {HEADROOM:.0%} headroom."
            for period_s in PERIODS_S
        ]


async def bench(step_s: float, console: Console) -> Result:
    """Raise the load until something falls behind.

    :raises EdgefleetError: broker or gateway did not come up
    """
    with tempfile.TemporaryDirectory(prefix="edgefleet-bench-") as name:
        folder = Path(name)
        async with embedded_broker(folder) as broker:
            settings = folder / "gateway.yaml"
            settings.write_text(_settings(folder, broker))
            async with gateway_process(settings, folder / "gateway.log") as running:
                await listening(HOST, broker.port, NAME)
                steps: list[Step] = []
                for rate in RATES:
                    with console.status(f"{rate:,.0f} messages/s for {step_s:.0f} s"):
                        steps.append(await _step(broker, running.pid, folder, rate, step_s, steps))
                    if not steps[-1].sustained:
                        break
                return Result(broker=broker.kind, steps=tuple(steps))


async def _step(  # noqa: PLR0917
    broker: RunningBroker, pid: int, folder: Path, rate: float, step_s: float, before: Sequence[Step]
) -> Step:
    messages = int(rate * step_s)
    store = LocalReader(folder / "store.db")
    already = await asyncio.to_thread(_stored, store)
    load = Load(
        port=broker.port,
        site=f"step-{len(before)}",
        devices=DEVICES,
        messages=messages,
        rate_per_s=rate,
        start_s=time.time() - messages / DEVICES - 1,
    )
    spent_s = _cpu_s(pid)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "edgefleet.load", msgspec.json.encode(load).decode()),
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate()
    sent = msgspec.json.decode(output, type=Sent)
    ended_s = time.monotonic()
    end_s = ended_s + 5 * BEHIND_S
    stored = await asyncio.to_thread(_stored, store)
    while stored - already < messages and time.monotonic() < end_s:
        await asyncio.sleep(0.1)  # another process: nothing to await
        stored = await asyncio.to_thread(_stored, store)
    behind_s = time.monotonic() - ended_s
    return Step(
        rate_per_s=rate,
        cpu_us=(_cpu_s(pid) - spent_s) / messages * 1e6,
        behind_s=behind_s,
        memory_bytes=_memory_bytes(pid),
        sustained=stored - already == messages and behind_s <= BEHIND_S and sent.latest_s <= BEHIND_S,
    )


def _settings(folder: Path, broker: RunningBroker) -> str:
    text: str = yaml.safe_dump(
        {
            "gateway": NAME,
            "state_dir": str(folder),
            "broker": {"host": HOST, "port": broker.port},
            "limits": {"max_devices": DEVICES * len(RATES)},
            "queues": {"tick_s": 0.5},
            "log": {"level": "warning"},
        }
    )
    return text


def _stored(store: LocalReader) -> int:
    try:
        return sum(line.stored for line in store.ledger())
    except StorageError:  # the gateway has not made it yet
        return 0


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")


def _memory_bytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
