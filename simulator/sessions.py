"""One device's session with the broker, over aiomqtt.

Everything that knows MQTT stands here, behind :class:`Session`, so that another client can take its place.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

import aiomqtt

from contract import topics
from contract.codec import encode_state
from contract.messages import DeviceState
from contract.topics import DeviceId
from simulator.broker_url import BrokerUrl
from simulator.errors import RefusedError

FIRST_RETRY_S: Final = 0.25
LONGEST_RETRY_S: Final = 10.0
GOODBYE_S: Final = 3.0
"""Longest wait for the broker when leaving."""
KEEP_ALIVE_S: Final = 30

log = logging.getLogger(__name__)
_paho_log = logging.getLogger(f"{__name__}.paho")
_paho_log.setLevel(logging.CRITICAL)  # every lost connection of every device would speak; ours speaks once for each


class Session(Protocol):
    """What the fleet needs of a client: one per device, with the device's will."""

    async def publish(self, payload: bytes) -> None:
        """Publish telemetry with QoS 1; return when the broker has it. Connects and reconnects as needed."""

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
        self._client: aiomqtt.Client | None = None
        self.connections = 0
        """How often the session was established."""

    async def publish(self, payload: bytes) -> None:
        """Publish telemetry; return when the broker has acknowledged it, however often it goes away before."""
        retry_s = FIRST_RETRY_S
        while True:
            try:
                client = self._client or await self._connect()
                await client.publish(topics.telemetry(self._device), payload, qos=1)
            except aiomqtt.MqttError as error:
                self._lost(error, retry_s)
                await asyncio.sleep(retry_s)
                retry_s = min(2 * retry_s, LONGEST_RETRY_S)
            else:
                return

    def drop(self) -> None:
        """Cut the connection, so that the broker publishes the will."""
        client, self._client = self._client, None
        if client is not None:
            _cut(client)

    async def close(self) -> None:
        """Say ``stopped`` and leave; a broker that does not answer within seconds is left anyway."""
        client, self._client = self._client, None
        if client is None:
            return
        try:
            async with asyncio.timeout(GOODBYE_S):
                await client.publish(topics.state(self._device), encode_state(DeviceState.STOPPED), qos=1, retain=True)
                await client.__aexit__(None, None, None)
        except (aiomqtt.MqttError, TimeoutError):
            _cut(client)

    async def _connect(self) -> aiomqtt.Client:
        state = topics.state(self._device)
        client = aiomqtt.Client(
            self._broker.host,
            self._broker.port,
            username=self._login[0],
            password=self._login[1],
            identifier=str(self._device).replace("/", "."),
            will=aiomqtt.Will(state, encode_state(DeviceState.OFFLINE), qos=1, retain=True),
            keepalive=KEEP_ALIVE_S,
            logger=_paho_log,
            tls_context=self._tls,
        )
        # a lost connection shows in the next publish; nobody else need look at this future
        client._disconnected.add_done_callback(_look_at)  # noqa: SLF001
        async with self._connecting:
            await client.__aenter__()
            await client.publish(state, encode_state(DeviceState.ONLINE), qos=1, retain=True)
        self._client = client
        self.connections += 1
        return client

    def _lost(self, error: aiomqtt.MqttError, retry_s: float) -> None:
        if self._client is not None or retry_s == FIRST_RETRY_S:
            log.warning("%s: broker %s:%d: %s; trying again", self._device, self._broker.host, self._broker.port, error)
        self.drop()


def _look_at(disconnected: asyncio.Future[None]) -> None:
    if not disconnected.cancelled():
        disconnected.exception()


def _cut(client: aiomqtt.Client) -> None:
    # neither aiomqtt nor paho offers to leave without DISCONNECT, as a device without power does
    connection = client._client.socket()  # noqa: SLF001
    if isinstance(connection, socket.socket):
        with contextlib.suppress(OSError):  # it is gone already
            connection.shutdown(socket.SHUT_RDWR)


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
