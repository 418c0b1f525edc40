"""The gateway as a real process that a test may kill, and a publisher that is quicker than any library."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import socket
import struct
import sys
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self

import yaml

from gateway.ports import Message
from tests.brokers import free_port

BOUND_S = 60.0
"""Longest wait for something that must happen; two cores are shared with other tests."""
ROOT = Path(__file__).parents[2]


def settings_file(folder: Path, port: int, **more: Any) -> Path:
    """Write settings for a gateway in a folder of its own; ``more`` are whole sections."""
    folder.mkdir(parents=True, exist_ok=True)
    models = folder / "models"
    if not models.exists():
        models.mkdir()
        shelf = ROOT / "models" / "industrial"
        if (shelf / "manifest.yaml").is_file():
            shutil.copytree(shelf, models / "industrial")
    settings: dict[str, Any] = {
        "gateway": "edge-1",
        "state_dir": str(folder / "state"),
        "models_dir": str(models),
        "health_every_s": 0.5,
        "broker": {"port": port, "protocol": "5", "username": "gateway"},
        # silence depends on when messages are received, and a killed gateway receives them later
        "domains": {"industrial": {"silent_after_s": 1e9}},
        "journal": {"snapshot_every_s": 1.0},
        "queues": {"tick_s": 0.2},
        "metrics": {"listen": "off"},
        # what is sent again is quarantined again; with a limit, other messages would have to go for it
        "quarantine": {"max_messages": 1_000_000, "max_mb": 1000.0},
        "log": {"format": "json"},
    }
    for section, values in more.items():
        held = settings.get(section)
        settings[section] = {**held, **values} if isinstance(held, dict) and isinstance(values, Mapping) else values
    file = folder / "gateway.yaml"
    file.write_text(yaml.safe_dump(settings))
    return file


class Gateway:
    """One life of a gateway process; what it logs is kept."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        """Take a process that was just started."""
        self.process = process
        self.log: list[str] = []
        self._news = asyncio.Condition()
        self._reader = asyncio.create_task(self._read(), name="gateway log")

    @classmethod
    async def start(cls, file: Path) -> Self:
        """Start a process on a settings file."""
        return cls(
            await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "edgefleet", "gateway", "-c", str(file)),
                cwd=ROOT,
                env={**os.environ, "OMP_NUM_THREADS": "1"},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.PIPE,
                limit=2**22,
            )
        )

    async def says(self, words: str, *, count: int = 1) -> str:
        """Wait until that many lines of the log hold some words; return the last of them.

        :raises AssertionError: the process ended first
        """
        async with asyncio.timeout(BOUND_S), self._news:
            await self._news.wait_for(lambda: self._reader.done() or len(self._lines(words)) >= count)
        lines = self._lines(words)
        assert len(lines) >= count, f"the gateway ended without saying {words!r}:\n" + "\n".join(self.log[-15:])
        return lines[-1]

    async def kill(self) -> None:
        """SIGKILL: nothing of the process survives but its files."""
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        await self.process.wait()
        await self._reader

    async def stop(self) -> int:
        """SIGTERM, as a supervisor does; return the exit code."""
        with contextlib.suppress(ProcessLookupError):
            self.process.terminate()
        try:
            async with asyncio.timeout(BOUND_S):
                code = await self.process.wait()
        except TimeoutError as error:
            raise AssertionError("the gateway does not stop:\n" + "\n".join(self.log[-25:])) from error
        await self._reader
        return code

    def memory_bytes(self) -> int:
        """Return the resident memory now."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def _lines(self, words: str) -> list[str]:
        return [line for line in self.log if words in line]

    async def _read(self) -> None:
        assert self.process.stderr is not None
        async for line in self.process.stderr:
            self.log.append(line.decode(errors="replace").rstrip())
            async with self._news:
                self._news.notify_all()
        async with self._news:
            self._news.notify_all()


@asynccontextmanager
async def running(file: Path) -> AsyncIterator[Gateway]:
    """Run a gateway while the context lasts; it is killed on leaving, where it still runs."""
    gateway = await Gateway.start(file)
    try:
        yield gateway
    finally:
        await gateway.kill()


@asynccontextmanager
async def amqtt() -> AsyncIterator[int]:
    """Run amqtt (MQTT 3.1.1) as a process of its own while the context lasts; yield its port."""
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.faults.persistent_amqtt", str(port)),
        cwd=ROOT,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        await until(lambda: _listens(port))
        yield port
    finally:
        process.kill()
        await process.wait()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


async def until(condition: Callable[[], object], bound_s: float = BOUND_S) -> None:
    """Wait until a condition holds that only another process can fulfil.

    :raises TimeoutError: it does not in time
    """
    async with asyncio.timeout(bound_s):
        while not condition():  # noqa: ASYNC110  # another process's files cannot be awaited
            await asyncio.sleep(0.02)


class Publisher:
    """Publishes with QoS 1 over MQTT 3.1.1; a bare socket, since it has to be quicker than the gateway."""

    WINDOW = 500

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take a connection that has shaken hands."""
        self._reader, self._writer = reader, writer
        self.sent = 0
        self.acknowledged = 0

    @classmethod
    @asynccontextmanager
    async def connected(cls, port: int, name: str = "publisher") -> AsyncIterator[Self]:
        """Connect while the context lasts."""
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**20)
        body = b"\x00\x04MQTT\x04\x82\x00\x00" + _text(name) + _text(name)  # the user's name is the client's
        writer.write(b"\x10" + _length(len(body)) + body)
        assert await reader.readexactly(4) == b"\x20\x02\x00\x00"
        try:
            yield cls(reader, writer)
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def publish(self, messages: Iterable[Message]) -> None:
        """Publish messages; return when the broker has acknowledged all of them."""
        pending: list[bytes] = []
        for topic, payload in messages:
            body = _text(topic) + struct.pack(">H", self.sent % 65_000 + 1) + payload
            pending.append(b"\x32" + _length(len(body)) + body)
            self.sent += 1
            if len(pending) >= self.WINDOW:
                await self._flush(pending)
        await self._flush(pending)

    async def _flush(self, pending: list[bytes]) -> None:
        self._writer.write(b"".join(pending))
        await self._writer.drain()
        await self._reader.readexactly(4 * len(pending))
        self.acknowledged += len(pending)
        pending.clear()


def _text(text: str) -> bytes:
    encoded = text.encode()
    return struct.pack(">H", len(encoded)) + encoded


def _length(length: int) -> bytes:
    digits = []
    while True:
        length, digit = divmod(length, 128)
        digits.append(digit | (128 if length else 0))
        if not length:
            return bytes(digits)


__all__ = ["BOUND_S", "Gateway", "Publisher", "amqtt", "running", "settings_file", "until"]
