# ruff: noqa: INP001, T201  # a script of the containers; it says when the link breaks
"""A bad uplink for the profile ``chaos``: passes bytes between devices and broker, late, and breaks now and then.

``python link.py BROKER PORT`` listens on 1883. Whatever breaks here must not lose a sample: the audit says so.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import sys
from dataclasses import dataclass
from typing import Final

READ_BYTES: Final = 65536


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """How bad the link is, all in seconds."""

    up_s: tuple[float, float] = (40.0, 120.0)
    """Shortest and longest time for which it holds."""
    down_s: tuple[float, float] = (5.0, 30.0)
    """Shortest and longest time for which it is gone."""
    delay_s: tuple[float, float] = (0.0, 0.3)
    """Least and most that each piece of data is late."""


class Link:
    """A TCP proxy that cuts all its connections together."""

    def __init__(self, host: str, port: int, trouble: Trouble, rng: random.Random) -> None:
        """Take where the broker is, and how bad to be."""
        self._host, self._port = host, port
        self._trouble, self._rng = trouble, rng
        self._open: set[asyncio.StreamWriter] = set()
        self.up = True
        self.cuts = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass one connection on, while the link is up."""
        if not self.up:
            writer.transport.abort()
            return
        try:
            back, forth = await asyncio.open_connection(self._host, self._port)
        except OSError:
            writer.transport.abort()
            return
        both = {writer, forth}
        self._open |= both
        try:
            await asyncio.gather(self._pass(reader, forth), self._pass(back, writer))
        finally:
            self._open -= both
            for each in both:
                each.transport.abort()

    async def break_now_and_then(self) -> None:
        """Cut everything, stay away, come back; for ever."""
        while True:
            await asyncio.sleep(self._rng.uniform(*self._trouble.up_s))
            self.cut()
            print(f"link down, {self.cuts} times so far", flush=True)
            await asyncio.sleep(self._rng.uniform(*self._trouble.down_s))
            self.up = True

    def cut(self) -> None:
        """Take the link down and reset every connection."""
        self.up = False
        self.cuts += 1
        for writer in self._open:
            writer.transport.abort()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while piece := await reader.read(READ_BYTES):
                await asyncio.sleep(self._rng.uniform(*self._trouble.delay_s))
                writer.write(piece)
                await writer.drain()
        writer.close()


async def main(host: str, port: int) -> None:
    """Serve until stopped."""
    link = Link(host, port, Trouble(), random.Random())  # noqa: S311  # bad luck, not a secret
    server = await asyncio.start_server(link.serve, "0.0.0.0", 1883)  # noqa: S104  # inside its own container
    async with server, asyncio.TaskGroup() as tasks:
        tasks.create_task(server.serve_forever())
        tasks.create_task(link.break_now_and_then())


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
