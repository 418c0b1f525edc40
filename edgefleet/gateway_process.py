"""The gateway as a process of its own, started, watched and stopped."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import aiomqtt

from contract import topics
from contract.codec import encode_state
from contract.messages import DeviceState
from edgefleet.errors import GatewayExitError

READY_S: Final = 60.0
"""Longest wait until the gateway listens: it loads and proves its models first."""
STOP_S: Final = 30.0
LOG_LINES: Final = 15


class GatewayProcess:
    """A running gateway."""

    def __init__(self, process: asyncio.subprocess.Process, log_file: Path) -> None:
        """Take a process that was just started."""
        self._process = process
        self._log_file = log_file

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    async def ended(self) -> None:
        """Wait until the process ends by itself.

        :raises GatewayExitError: always; with the last lines of its log
        """
        code = await self._process.wait()
        tail = "\n".join(self._log_file.read_text(errors="replace").splitlines()[-LOG_LINES:])
        message = f"The gateway ended with exit code {code}. The end of {self._log_file}:\n{tail}"
        raise GatewayExitError(message)

    async def stop(self) -> int:
        """Ask it to stop, wait until it has delivered what it holds, and return its exit code."""
        if self._process.returncode is None:
            self._process.terminate()
            try:
                async with asyncio.timeout(STOP_S):
                    await self._process.wait()
            except TimeoutError:
                self._process.kill()
        return await self._process.wait()


@asynccontextmanager
async def gateway_process(settings_file: Path, log_file: Path) -> AsyncIterator[GatewayProcess]:
    """Run ``edgefleet gateway`` while the context lasts."""
    with log_file.open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "edgefleet", "gateway", "-c", str(settings_file)),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,  # Ctrl-C is for whoever started it, who then stops it in order
        )
    running = GatewayProcess(process, log_file)
    try:
        yield running
    finally:
        await running.stop()


async def listening(host: str, port: int, gateway: str) -> None:
    """Return when the gateway has subscribed: it says ``online`` only then.

    :raises GatewayExitError: it does not within :data:`READY_S`
    """
    try:
        async with asyncio.timeout(READY_S), aiomqtt.Client(host, port) as client:
            await client.subscribe(topics.gateway(gateway, "state"), qos=1)
            async for message in client.messages:
                if message.payload == encode_state(DeviceState.ONLINE):
                    return
    except TimeoutError as error:
        raise GatewayExitError(f"The gateway did not listen within {READY_S:.0f} s.") from error
