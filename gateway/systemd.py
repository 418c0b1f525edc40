"""What systemd wants to hear (``Type=notify``, ``WatchdogSec=``): ready, alive, stopping. Without it, nothing is said.

The protocol is one datagram a message to the socket that ``NOTIFY_SOCKET`` names, see sd_notify(3).
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Final

LEAST_OFTEN_S: Final = 10.0
"""Longest time between two looks, seconds, where no watchdog asks for less."""


class Notifier:
    """Tells the service manager how it stands; a manager that does not listen is no fault."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        """Remember where to tell it; nothing is opened."""
        address = environment.get("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self.watchdog_s: float | None = None
        """Longest silence before the manager restarts this process, seconds; ``None`` where it does not."""
        if environment.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid()):
            self.watchdog_s = int(environment.get("WATCHDOG_USEC", "0")) / 1e6 or None

    def say(self, *lines: str) -> None:
        """Send one message."""
        if self._address:
            with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as there:
                there.sendto("\n".join(lines).encode(), self._address)


@asynccontextmanager
async def notifying(
    ready: asyncio.Event, healthy: Callable[[], bool], notifier: Notifier | None = None
) -> AsyncIterator[None]:
    """Say when this is ready, that it is alive as long as it is healthy, and on leaving that it stops."""
    notifier = notifier or Notifier()
    task = asyncio.create_task(_keep_saying(notifier, ready, healthy), name="systemd")
    try:
        yield
    finally:
        task.cancel()
        notifier.say("STOPPING=1")


async def _keep_saying(notifier: Notifier, ready: asyncio.Event, healthy: Callable[[], bool]) -> None:
    every_s = (notifier.watchdog_s or 3 * LEAST_OFTEN_S) / 3
    told = False
    while True:
        if ready.is_set() and not told:
            notifier.say("READY=1", "STATUS=taking readings")
            told = True
        if healthy():
            notifier.say("WATCHDOG=1")
        with suppress(TimeoutError):
            async with asyncio.timeout(every_s):
                await (asyncio.Event() if told else ready).wait()
