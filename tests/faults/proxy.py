"""A TCP proxy that injects faults between two parties, on command."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Literal, Self

Mode = Literal["pass", "refuse", "hold", "slow", "cut"]


class FaultProxy:
    """Passes bytes on to a port, or does what its ``mode`` says.

    ``refuse`` resets every connection, ``hold`` keeps them open and passes nothing (half-open), ``slow`` passes 20 KiB
    a second, ``cut`` passes 1000 bytes and resets.
    """

    def __init__(self, target: int) -> None:
        """Remember where to pass to."""
        self.target = target
        self.port = 0
        self.mode: Mode = "pass"
        self.connections = 0
        self._writers: set[asyncio.StreamWriter] = set()
        self._serving: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._take, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        self.reset()
        await asyncio.gather(*self._serving, return_exceptions=True)

    def reset(self) -> None:
        """Reset every connection that is open."""
        for writer in self._writers.copy():
            writer.transport.abort()

    def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.create_task(self._serve(reader, writer), name=f"proxied {self.connections}")
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError), self._held(writer):
            if self.mode == "refuse":
                return
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.target)
            with self._held(far_writer):
                pumps = self._pump(reader, far_writer), self._pump(far_reader, writer)
                await asyncio.gather(*pumps, return_exceptions=True)

    @contextlib.contextmanager
    def _held(self, writer: asyncio.StreamWriter) -> Iterator[None]:
        """Know an end of a connection while the context lasts; it is reset on leaving, whatever happened."""
        self._writers.add(writer)
        try:
            yield
        finally:
            writer.transport.abort()
            self._writers.discard(writer)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        passed = 0
        while data := await reader.read(2048 if self.mode == "slow" else 65_536):
            while self.mode == "hold" and not writer.is_closing():  # noqa: ASYNC110  # an attribute cannot be awaited
                await asyncio.sleep(0.02)  # between looks at what the test asks for
            if self.mode == "slow":
                await asyncio.sleep(0.1)  # the fault itself
            if self.mode == "cut" and passed + len(data) > 1000:
                writer.transport.abort()
                break
            writer.write(data)
            passed += len(data)
            await writer.drain()
        writer.close()
