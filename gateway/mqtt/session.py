"""A session with a broker that lives through lost connections: the ``Broker`` port of ``gateway/ports.py``.

connect ─▶ CONNACK ─▶ SUBACK ─▶ up ─▶ lost ─▶ wait (backoff, full jitter) ─▶ connect …

Nothing is acknowledged before :meth:`Delivery.acknowledge`, and the broker keeps the session by its client id, so what
was not acknowledged comes again by the next connection.
"""

from __future__ import annotations

import asyncio
import random
import ssl
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from types import TracebackType
from typing import Self

import structlog

from gateway.mqtt.connection import Connection
from gateway.mqtt.errors import (
    ConnectionLostError,
    ConnectRefusedError,
    MalformedPacketError,
    MqttError,
    PeerSilentError,
    PublishRefusedError,
    RefusedError,
    SessionClosedError,
    UnreachableError,
)
from gateway.mqtt.inbox import Delivery, Inbox
from gateway.mqtt.outbound import Outbound
from gateway.mqtt.packets import Announcement, ConnAck, PubAck, Version
from gateway.mqtt.parser import Read
from gateway.mqtt.reasons import TOPIC_NAME_INVALID, UNSUPPORTED_PROTOCOL_VERSION
from gateway.mqtt.settings import SessionSettings, valid_topic
from gateway.mqtt.statistics import SessionStatistics

_log = structlog.get_logger(__name__)


class Session:
    """A persistent MQTT session. Use with ``async with``; for one receiving task and any number of publishing ones."""

    def __init__(
        self,
        settings: SessionSettings,
        *,
        ssl_context: ssl.SSLContext | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        uniform: Callable[[float, float], float] = random.uniform,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Keep the settings; nothing is opened before ``async with``.

        ``sleep`` and ``uniform`` make the waits between attempts; ``clock`` (Unix seconds) is only shown in statistics.
        """
        self._settings = settings
        self._ssl_context = ssl_context
        self._sleep = sleep
        self._uniform = uniform
        self._clock = clock
        self._inbox = Inbox(
            batch_messages=settings.batch_messages,
            buffer_messages=settings.buffer_messages,
            buffer_bytes=settings.buffer_bytes,
        )
        self._outbound = Outbound(settings.publish_inflight)
        self._runner: asyncio.Task[None] | None = None
        self._connection: Connection | None = None
        self._connected_since_s: float | None = None
        self._birth: asyncio.Future[None] | None = None
        self._version = Version.V311 if settings.protocol == "3.1.1" else Version.V5
        self._version_agreed = settings.protocol != "auto"
        self._connects = 0
        self._failures = 0
        self._failures_in_a_row = 0
        self._malformed = 0
        self._oversized = 0
        self._last_fault: str | None = None

    async def __aenter__(self) -> Self:
        """Start connecting; does not wait for the broker to be there."""
        # not a TaskGroup: that would wrap every error of the caller's body in an ExceptionGroup
        self._runner = asyncio.create_task(self._run(), name=f"mqtt session {self._settings.client_id}")
        self._runner.add_done_callback(self._on_runner_done)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Publish the farewell and disconnect cleanly; what waits to be published fails."""
        try:
            await self._say_farewell()
        finally:
            connection = self._connection
            if self._runner is not None:
                self._runner.cancel()
            self._fail(SessionClosedError("the session is closed"))
            if connection is not None:
                await self._disconnect(connection)
            if self._runner is not None:
                await asyncio.wait((self._runner,))

    @property
    def connected(self) -> bool:
        """Whether the session is up now: connected and subscribed."""
        return self._connection is not None

    async def receive(self) -> Delivery:
        """Wait for messages; return all that have come, up to a bound. Reconnects are not visible here.

        :raises RefusedError: the broker refused the first connection, for a reason that does not pass by itself
        :raises SessionClosedError: the session is closed
        """
        return await self._inbox.take()

    async def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        """Publish with QoS 1; return when the broker has it. Waits while there is no connection.

        :raises PublishRefusedError: the broker refuses this message, or ``topic`` is not one
        :raises RefusedError: the broker refused the first connection, for a reason that does not pass by itself
        :raises SessionClosedError: the session is closed
        """
        if not valid_topic(topic):
            raise PublishRefusedError(f"message to {topic!r}", TOPIC_NAME_INVALID)
        await self._outbound.submit(Announcement(topic=topic, payload=payload, retain=retain))

    async def change(self, settings: SessionSettings, ssl_context: ssl.SSLContext | None) -> None:
        """Go on with other settings: subscriptions change at once, all else holds from the next connection on.

        The connection that stands is kept, so that no message is missed; a renewed certificate is shown with the next.

        :raises SubscribeRefusedError: the broker refuses a filter
        """
        before = self._settings.subscriptions
        remove = tuple(each for each in before if each not in settings.subscriptions)
        add = tuple(each for each in settings.subscriptions if each not in before)
        self._settings = replace(settings, unsubscribe=(*settings.unsubscribe, *remove))
        self._ssl_context = ssl_context
        if self._connection is not None:
            with suppress(ConnectionLostError):  # the next one subscribes anew
                await self._connection.resubscribe(remove, add)

    def statistics(self) -> SessionStatistics:
        """Return the counts as they are now."""
        connection, tally = self._connection, self._inbox.tally
        return SessionStatistics(
            connected=connection is not None,
            connected_since_s=self._connected_since_s,
            protocol=None if connection is None else _name(connection.version),
            connects=self._connects,
            failures=self._failures,
            malformed=self._malformed,
            messages=tally.messages,
            received_bytes=tally.received_bytes,
            acknowledged=tally.acknowledged,
            oversized=self._oversized + (0 if connection is None else connection.parser.skipped),
            published=self._outbound.acknowledged,
            unpublished=self._outbound.unacknowledged,
            buffered_messages=self._inbox.buffered_messages,
            pauses=tally.pauses,
        )

    def on_read(self, connection: Connection, read: Read, size_bytes: int) -> None:
        """Take messages from the connection."""
        self._inbox.put(connection, read, size_bytes)

    def on_puback(self, puback: PubAck) -> None:
        """Take the broker's word on a message of ours."""
        self._outbound.on_puback(puback)

    async def _run(self) -> None:
        """Connect again and again, until cancelled or refused for good."""
        while True:
            # a connection made while the buffer is full would add what the broker resends to it, each time anew
            await self._inbox.room()
            try:
                await self._live_once()
            except MqttError as error:
                self._note(error)
                if self._hopeless(error):
                    self._fail(error)
                    return
                if self._falls_back(error):
                    continue
            await self._sleep(self._next_wait_s())

    async def _live_once(self) -> None:
        """Connect, serve until the connection is lost, and raise why."""
        loop = asyncio.get_running_loop()
        connection, broker = await self._connect()
        began_s = loop.time()
        try:
            self._establish(connection, broker)
            raise await asyncio.shield(connection.closed)
        finally:
            self._connection = None
            self._connected_since_s = None
            self._oversized += connection.parser.skipped
            self._outbound.detach()
            # two clients with one id throw each other out as soon as they are in: that must not count as success
            if loop.time() - began_s > self._settings.backoff_max_s:
                self._failures_in_a_row = 0

    async def _connect(self) -> tuple[Connection, ConnAck]:
        connection = Connection(self._settings, self._version, self)
        timeout_s = self._settings.connect_timeout_s
        probing = self._version is Version.V5 and not self._version_agreed
        try:
            async with asyncio.timeout(timeout_s):
                await self._open(connection)
                async with asyncio.timeout(timeout_s / 5 if probing else None):
                    return connection, await connection.handshake()
        except TimeoutError as error:
            if connection.opened:
                raise PeerSilentError("the broker does not answer CONNECT or SUBSCRIBE") from error
            raise UnreachableError("no answer from this address") from error
        except OSError as error:
            raise UnreachableError(str(error)) from error
        finally:
            self._version_agreed |= connection.accepted
            if not connection.established:
                connection.abort(ConnectionLostError("given up"))

    async def _open(self, connection: Connection) -> None:
        loop = asyncio.get_running_loop()
        settings = self._settings
        if settings.unix_path is not None:
            await loop.create_unix_connection(lambda: connection, settings.unix_path)
        else:
            await loop.create_connection(lambda: connection, settings.host, settings.port, ssl=self._ssl_context)

    def _establish(self, connection: Connection, broker: ConnAck) -> None:
        self._connection = connection
        self._connected_since_s = self._clock()
        self._connects += 1
        self._last_fault = None
        _log.info(
            "broker connected",
            address=self._address,
            protocol=_name(connection.version),
            session_present=broker.session_present,
        )
        self._announce_birth()
        self._outbound.attach(connection, broker)
        self._inbox.hold(connection)

    def _announce_birth(self) -> None:
        """Queue the birth message, unless the last one still waits."""
        if self._settings.birth is not None and (self._birth is None or self._birth.done()):
            self._birth = self._outbound.submit(self._settings.birth)
            self._birth.add_done_callback(_log_refusal)

    async def _say_farewell(self) -> None:
        if self._settings.farewell is None or self._connection is None:
            return
        try:
            async with asyncio.timeout(self._settings.close_timeout_s):
                await self._outbound.submit(self._settings.farewell)
        except (MqttError, TimeoutError) as error:
            _log.warning("farewell not taken by the broker", reason=str(error))

    async def _disconnect(self, connection: Connection) -> None:
        """Disconnect cleanly; a broker that does not read is not waited for."""
        connection.disconnect()
        await asyncio.wait((connection.closed,), timeout=self._settings.close_timeout_s)
        if not connection.closed.done():
            connection.abort(SessionClosedError("the session is closed"))

    def _fail(self, error: BaseException) -> None:
        self._inbox.fail(error)
        self._outbound.fail(error)

    def _on_runner_done(self, runner: asyncio.Task[None]) -> None:
        """Raise a fault of this code in the tasks that use the session: it must not stop in silence."""
        if not runner.cancelled() and (fault := runner.exception()) is not None:
            self._fail(fault)

    def _hopeless(self, error: MqttError) -> bool:
        """Tell whether trying again is of no use: refused at first. Later on, the same settings were right once."""
        if not isinstance(error, RefusedError) or error.transient or self._connects:
            return False
        return self._version_agreed or error.reason_code != UNSUPPORTED_PROTOCOL_VERSION

    def _falls_back(self, error: MqttError) -> bool:
        """Change to the other protocol version, if the broker does not speak this one; tell whether to try at once.

        Some brokers say so, some just close the connection or answer with what MQTT 5 does not allow.
        """
        if self._settings.protocol != "auto":
            return False
        refused = isinstance(error, ConnectRefusedError) and error.reason_code == UNSUPPORTED_PROTOCOL_VERSION
        closed = isinstance(error, ConnectionLostError | MalformedPacketError) and not isinstance(
            error, UnreachableError
        )
        if not refused and (self._version_agreed or not closed):
            return False
        was_v5 = self._version is Version.V5
        self._version = Version.V311 if was_v5 else Version.V5
        return was_v5

    def _note(self, error: MqttError) -> None:
        """Count a failure, and log it when it is not the same as the last."""
        self._failures += 1
        self._malformed += isinstance(error, MalformedPacketError)
        if str(error) != self._last_fault:
            self._last_fault = str(error)
            _log.warning("broker not connected", address=self._address, reason=str(error), kind=type(error).__name__)

    def _next_wait_s(self) -> float:
        settings = self._settings
        longest_s = min(settings.backoff_max_s, settings.backoff_base_s * 2.0 ** min(self._failures_in_a_row, 64))
        self._failures_in_a_row += 1
        return self._uniform(0.0, longest_s)

    @property
    def _address(self) -> str:
        return self._settings.unix_path or f"{self._settings.host}:{self._settings.port}"


def _name(version: Version) -> str:
    return "5" if version is Version.V5 else "3.1.1"


def _log_refusal(birth: asyncio.Future[None]) -> None:
    if not birth.cancelled() and isinstance(birth.exception(), RefusedError):
        _log.warning("birth message refused", reason=str(birth.exception()))
