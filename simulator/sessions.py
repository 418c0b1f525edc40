"""One device's session with the broker: connects, connects again, says how the device is.

The fleet knows :class:`Session` only. Ten thousand of these fit in one process, which is why they stand on
:mod:`simulator.connection` and not on a client library: docs/decisions/0010-a-page-of-mqtt-for-devices.md.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, Protocol

from contract import topics
from contract.codec import encode_state
from contract.messages import DeviceState
from contract.topics import DeviceId
from simulator.broker_url import BrokerUrl
from simulator.connection import Connection, LostError
from simulator.errors import RefusedError
from simulator.wire import connect

FIRST_RETRY_S: Final = 0.25
LONGEST_RETRY_S: Final = 10.0
GOODBYE_S: Final = 3.0
"""Longest wait for the broker when leaving."""
CONNECT_S: Final = 10.0
"""Longest wait for the broker when connecting."""
KEEP_ALIVE_S: Final = 30

log = logging.getLogger(__name__)


class Session(Protocol):
    """What the fleet needs of a client: one per device, with the device's will."""

    async def publish(self, payloads: Sequence[bytes]) -> None:
        """Publish telemetry with QoS 1; return when the broker has all of it. Connects and reconnects as needed."""

    def drop(self) -> None:
        """Cut the connection without a goodbye, so that the broker publishes the will."""

    async def close(self) -> None:
        """Say ``stopped`` and leave."""


SessionOf = Callable[[DeviceId], Session]
Login = tuple[str | None, str | None]
"""User name and password."""


class MqttSession:
    """A device's session; connects with its first message."""

    def __init__(
        self,
        device: DeviceId,
        broker: BrokerUrl,
        connecting: asyncio.Semaphore,
        login: Login = (None, None),
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """Prepare; ``connecting`` bounds how many devices of a fleet connect at once."""
        self._device = device
        self._broker = broker
        self._login = login
        self._tls = tls
        self._connecting = connecting
        self._topic = topics.telemetry(device)
        self._connection: Connection | None = None
        self.connections = 0
        """How often the session was established."""

    async def publish(self, payloads: Sequence[bytes]) -> None:
        """Publish telemetry; return when the broker has acknowledged all of it, however often it goes away before."""
        retry_s = FIRST_RETRY_S
        while True:
            try:
                connection = self._connection or await self._connect()
                await connection.publish(self._topic, payloads)
            except (LostError, OSError, TimeoutError) as error:
                self._lost(error, retry_s)
                await asyncio.sleep(retry_s)
                retry_s = min(2 * retry_s, LONGEST_RETRY_S)
            else:
                return

    def drop(self) -> None:
        """Cut the connection, so that the broker publishes the will."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.cut()

    async def close(self) -> None:
        """Say ``stopped`` and leave; a broker that does not answer within seconds is left anyway."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        try:
            async with asyncio.timeout(GOODBYE_S):
                await connection.publish(topics.state(self._device), [encode_state(DeviceState.STOPPED)], retain=True)
        except (LostError, TimeoutError):
            connection.cut()
        else:
            connection.leave()

    async def _connect(self) -> Connection:
        state = topics.state(self._device)
        greeting = connect(
            str(self._device).replace("/", "."),
            keep_alive_s=KEEP_ALIVE_S,
            username=self._login[0],
            password=self._login[1],
            will=(state, encode_state(DeviceState.OFFLINE)),
        )
        connection = Connection(KEEP_ALIVE_S)
        loop = asyncio.get_running_loop()
        try:
            async with self._connecting, asyncio.timeout(CONNECT_S):
                await loop.create_connection(lambda: connection, self._broker.host, self._broker.port, ssl=self._tls)
                await connection.greet(greeting)
                await connection.publish(state, [encode_state(DeviceState.ONLINE)], retain=True)
        except BaseException:
            connection.cut()
            raise
        self._connection = connection
        self.connections += 1
        return connection

    def _lost(self, error: Exception, retry_s: float) -> None:
        if self._connection is not None or retry_s == FIRST_RETRY_S:
            log.warning("%s: broker %s:%d: %s; trying again", self._device, self._broker.host, self._broker.port, error)
        self.drop()


def mqtt_sessions(broker: BrokerUrl, *, connect_at_once: int = 32) -> SessionOf:
    """Return a maker of sessions with one broker.

    :raises RefusedError: a file that the address names cannot be used, or a device has no password in it
    """
    connecting = asyncio.Semaphore(connect_at_once)
    passwords, tls = read_passwords(broker.passwords_file), ssl_context(broker)

    def session(device: DeviceId) -> MqttSession:
        login = broker.username, broker.password
        if broker.passwords_file is not None:
            if str(device) not in passwords:
                raise RefusedError(str(broker.passwords_file), [f"{device} has no line in it."])
            login = str(device), passwords[str(device)]
        return MqttSession(device, broker, connecting, login, tls)

    return session


def read_passwords(file: Path | None) -> dict[str, str]:
    """Return passwords by user name; none without a file.

    :raises RefusedError: it cannot be read
    """
    if file is None:
        return {}
    try:
        lines = file.read_text().splitlines()
    except OSError as error:
        raise RefusedError(str(file), [f"cannot be read: {error.strerror}."]) from error
    pairs = (line.partition(":") for line in lines if line)
    return {username: password for username, _, password in pairs}


def ssl_context(broker: BrokerUrl) -> ssl.SSLContext | None:
    """Return how to encrypt towards a broker; ``None`` where its address does not ask for it.

    :raises RefusedError: a certificate or key cannot be used
    """
    if not broker.tls:
        return None
    try:
        context = ssl.create_default_context(cafile=broker.ca_file)
        if broker.certificate_file is not None:
            context.load_cert_chain(broker.certificate_file, broker.key_file)
    except OSError as error:  # ssl.SSLError is one
        raise RefusedError("broker's certificates", [str(error)]) from error
    return context
