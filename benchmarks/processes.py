"""Processes under measurement: the gateway, subscribers, loads; their CPU time and memory as the kernel counts them."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import msgspec
import yaml

from edgefleet.brokers import HOST, RunningBroker
from edgefleet.gateway_process import listening
from edgefleet.load import Load, Sent
from gateway.sqlite_file import StorageError
from gateway.stores.reader import LocalReader

GATEWAY: Final = "bench"
MIB: Final = 2**20
_TICKS: Final = os.sysconf("SC_CLK_TCK")
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")
_END_S: Final = 60.0
BYTECODE: Final = Path("build/bytecode").absolute()
"""Where the processes under measurement find Python compiled, as an installation leaves it."""


def cpu_s(pid: int) -> float:
    """Return user and system time of a process and of the children it has waited for, seconds (proc(5), stat)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / _TICKS


def rss_bytes(pid: int) -> int:
    """Return the resident memory of a process (proc(5), statm)."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE


@dataclass(slots=True)
class Memory:
    """Resident memory of a process, looked at every second."""

    pid: int
    seen: list[int] = field(default_factory=list)
    """Bytes, one a second."""

    async def watch(self) -> None:
        """Look until cancelled."""
        while True:
            self.seen.append(rss_bytes(self.pid))
            await asyncio.sleep(1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gateway:
    """A gateway that runs, as a process of its own."""

    pid: int
    folder: Path

    @property
    def store(self) -> LocalReader:
        """What it has stored."""
        return LocalReader(self.folder / "store.db")

    async def stored(self, samples: int, within_s: float) -> int:
        """Wait until its ledger accounts for so many samples and nothing waits; return how many it does.

        The ledger is written with the readings, and the rest of what changed as soon as nothing arrives.
        """
        loop = asyncio.get_running_loop()
        end_s = loop.time() + within_s
        found = await asyncio.to_thread(self._stored)
        while found < samples and loop.time() < end_s:
            await asyncio.sleep(0.25)  # another process: nothing to await
            found = await asyncio.to_thread(self._stored)
        return found

    def _stored(self) -> int:
        try:
            return sum(line.stored for line in self.store.ledger())
        except StorageError:
            return 0


@asynccontextmanager
async def gateway(
    broker: RunningBroker, folder: Path, entry: Sequence[str] = ("-m", "edgefleet", "gateway"), **more: Any
) -> AsyncIterator[Gateway]:
    """Run a gateway with the settings that an installed one has, but for addresses; ``more`` are sections over these.

    The journal is at FULL, the models are the ones that come along, and every output goes to the local store.
    """
    folder.mkdir(parents=True, exist_ok=True)  # noqa: ASYNC240  # nothing is measured yet
    file = folder / "gateway.yaml"
    settings = {
        "gateway": GATEWAY,
        "state_dir": str(folder),
        "broker": {"host": HOST, "port": broker.port},
        "log": {"level": "warning"},
        **more,
    }
    file.write_text(yaml.safe_dump(settings))
    async with process(*entry, "-c", str(file), log=folder / "gateway.log") as running:
        await listening(HOST, broker.port, GATEWAY)
        yield Gateway(pid=running.pid, folder=folder)


@asynccontextmanager
async def process(*arguments: str, log: Path | None = None) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run Python with arguments while the context lasts; its output is a pipe, or goes to ``log``."""
    output: Any = asyncio.subprocess.PIPE if log is None else log.open("ab")
    environment = {**os.environ, "PYTHONPYCACHEPREFIX": str(BYTECODE)}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    running = await asyncio.create_subprocess_exec(
        sys.executable,
        *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=output,
        stderr=None if log is None else output,
        env=environment,
    )
    try:
        yield running
    finally:
        if log is not None:
            output.close()
        if running.returncode is None:
            running.terminate()
            try:
                await asyncio.wait_for(running.wait(), _END_S)
            except TimeoutError:
                running.kill()
                await running.wait()


async def send(load: Load) -> Sent:
    """Run a load in a process of its own; return what came of it."""
    async with process("-m", "edgefleet.load", msgspec.json.encode(load).decode()) as running:
        output, _ = await running.communicate()
        return msgspec.json.decode(output, type=Sent)
