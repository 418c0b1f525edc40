"""Real brokers for tests: Mosquitto as a process on a free loopback port, amqtt in this process."""

from __future__ import annotations

import asyncio
import gc
import shutil
import socket
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from amqtt.broker import Broker as AmqttBroker
from amqtt.contexts import BrokerConfig

MOSQUITTO = shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin") or shutil.which(
    "mosquitto"
)
START_TIMEOUT_S = 10.0


def free_port() -> int:
    """Return a TCP port that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Mosquitto:
    """One Mosquitto with a configuration and a folder of its own; keeps its port over restarts.

    It persists to disk when stopped, so sessions and their backlog survive ``restart``, not ``kill``.
    """

    def __init__(self, folder: Path, options: Sequence[str] = ()) -> None:
        """Lay down the configuration; ``options`` are further lines of it."""
        self.host = "127.0.0.1"
        self.port = free_port()
        self._folder = folder
        self._process: asyncio.subprocess.Process | None = None
        folder.mkdir(parents=True, exist_ok=True)
        lines = (
            "user root",  # started by root it would become a user who may not write here; otherwise it ignores this
            f"listener {self.port} {self.host}",
            "persistence true",
            f"persistence_location {folder}/",
            "autosave_interval 0",
            "max_queued_messages 0",
            "max_inflight_messages 1000",
            "log_dest stderr",
            *(("allow_anonymous true",) if not any("password_file" in option for option in options) else ()),
            *options,
        )
        self._config = folder / "mosquitto.conf"
        self._config.write_text("\n".join(lines) + "\n")

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Start it; return when it listens.

        :raises RuntimeError: it ended, or does not listen in time; with what it wrote
        """
        assert MOSQUITTO is not None
        log = self._folder / "mosquitto.log"
        with log.open("ab") as output:
            self._process = await asyncio.create_subprocess_exec(
                MOSQUITTO, "-c", str(self._config), stdout=output, stderr=output
            )
        loop = asyncio.get_running_loop()
        end_s = loop.time() + START_TIMEOUT_S
        while not await self._listens():
            if self._process.returncode is not None or loop.time() > end_s:
                raise RuntimeError(f"mosquitto does not listen:\n{log.read_text()}")
            await asyncio.sleep(0.01)  # between bounded looks: a process cannot be awaited to listen

    async def stop(self) -> None:
        """End it as its supervisor would; sessions and backlog are kept."""
        await self._end("terminate")

    async def kill(self) -> None:
        """End it at once; what it held in memory is gone."""
        await self._end("kill")

    async def restart(self) -> None:
        """Stop it and start it again on the same port."""
        await self.stop()
        await self.start()

    async def _end(self, how: str) -> None:
        process, self._process = self._process, None
        if process is not None and process.returncode is None:
            getattr(process, how)()
            await asyncio.wait_for(process.wait(), START_TIMEOUT_S)

    async def _listens(self) -> bool:
        try:
            _, writer = await asyncio.open_connection(self.host, self.port)
        except OSError:
            return False
        writer.close()
        await writer.wait_closed()
        return True


class Amqtt:
    """amqtt in this process and event loop: MQTT 3.1.1 only."""

    def __init__(self) -> None:
        """Choose a port; open nothing."""
        self.host = "127.0.0.1"
        self.port = free_port()
        self.broker: Any = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Start it; it listens when this returns."""
        config = {
            "listeners": {"default": {"type": "tcp", "bind": f"{self.host}:{self.port}"}},
            "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
        }
        self.broker = AmqttBroker(BrokerConfig.from_dict(config))
        await self.broker.start()

    async def stop(self) -> None:
        """End it; amqtt keeps nothing."""
        broker, self.broker = self.broker, None
        if broker is not None:
            await broker.shutdown()
            del broker
            # amqtt leaves streams of ended connections open; they are collected while their loop still runs
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ResourceWarning)
                gc.collect()
