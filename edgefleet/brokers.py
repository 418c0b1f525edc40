"""The embedded broker of the demo: Mosquitto where it is installed, else amqtt, as a process on a free loopback port.

:mod:`edgefleet.embedded_amqtt` is the amqtt process. Nothing but this machine can reach either.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from edgefleet.errors import BrokerStartError

BrokerChoice = Literal["auto", "mosquitto", "amqtt"]
HOST: Final = "127.0.0.1"
START_S: Final = 15.0
"""Longest wait for the broker to listen; amqtt takes 1-2 s on a small machine."""
STOP_S: Final = 5.0
ATTEMPTS: Final = 3
"""Tries with another port: between finding a free one and taking it, somebody else may."""

MOSQUITTO_CONF: Final = """\
listener {port} {host}
allow_anonymous true
max_inflight_messages 0
max_queued_messages 0
max_queued_bytes 0
log_type error
log_type warning
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningBroker:
    """A broker that listens."""

    kind: Literal["mosquitto", "amqtt"]
    port: int
    pid: int

    @property
    def url(self) -> str:
        """Address for clients."""
        return f"mqtt://{HOST}:{self.port}"


def mosquitto_path() -> str | None:
    """Return where Mosquitto is, or ``None``; Debian puts it where only root's PATH looks."""
    return shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")


def free_port() -> int:
    """Return a TCP port of the loopback interface that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


@asynccontextmanager
async def embedded_broker(folder: Path, choice: BrokerChoice = "auto") -> AsyncIterator[RunningBroker]:
    """Run a broker while the context lasts; its configuration and log stand in ``folder``.

    :raises BrokerStartError: it did not come up, or Mosquitto was asked for and is not installed
    """
    mosquitto = None if choice == "amqtt" else mosquitto_path()
    if choice == "mosquitto" and mosquitto is None:
        raise BrokerStartError("Mosquitto is not installed. Install it, or take amqtt.")
    kind: Literal["mosquitto", "amqtt"] = "amqtt" if mosquitto is None else "mosquitto"
    log_file = folder / f"{kind}.log"
    for _ in range(ATTEMPTS):
        port = free_port()
        process = await _start(_command(folder, port, mosquitto), log_file)
        try:
            if await _listening(port, process):
                yield RunningBroker(kind=kind, port=port, pid=process.pid)
                return
        finally:
            await _stop(process)
    message = f"{kind} did not listen on {HOST} within {START_S:.0f} s; its log is {log_file}."
    raise BrokerStartError(message)


def _command(folder: Path, port: int, mosquitto: str | None) -> list[str]:
    if mosquitto is None:
        return [sys.executable, "-m", "edgefleet.embedded_amqtt", str(port)]
    config = folder / "mosquitto.conf"
    text = MOSQUITTO_CONF.format(port=port, host=HOST)
    # started by root, Mosquitto would become the user "mosquitto", who may not read the folder
    config.write_text(text + ("user root\n" if os.geteuid() == 0 else ""))
    return [mosquitto, "-c", str(config)]


async def _start(command: Sequence[str], log_file: Path) -> asyncio.subprocess.Process:
    with log_file.open("ab") as log:
        return await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,  # Ctrl-C is for the demo, which then stops the broker last
        )


async def _listening(port: int, process: asyncio.subprocess.Process) -> bool:
    """Tell whether the port answers before the process ends or the time is over."""
    with suppress(TimeoutError):
        async with asyncio.timeout(START_S):
            while process.returncode is None:
                with suppress(OSError):
                    _, writer = await asyncio.open_connection(HOST, port)
                    writer.close()
                    return True
                await asyncio.sleep(0.05)
    return False


async def _stop(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    process.terminate()
    try:
        async with asyncio.timeout(STOP_S):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
