"""One connection to a broker, from CONNECT to its end: handshake, keep-alive, acknowledgements.

Runs in callbacks of the event loop, so that a message costs no task switch. What it reads goes to a :class:`Receiver`.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from typing import Protocol, TypeVar, cast

from gateway.mqtt import packets
from gateway.mqtt.errors import (
    ConnectionLostError,
    ConnectRefusedError,
    DisconnectedError,
    MalformedPacketError,
    MqttError,
    PeerSilentError,
    SubscribeRefusedError,
)
from gateway.mqtt.packets import ConnAck, Disconnect, PingResp, PubAck, SubAck, UnsubAck, Version
from gateway.mqtt.parser import Parser, Read
from gateway.mqtt.reasons import MALFORMED_PACKET, UNSPECIFIED_ERROR
from gateway.mqtt.settings import SessionSettings

T = TypeVar("T")

_SUBSCRIBE_ID = 1
"""Packet id of SUBSCRIBE. Messages of ours may use it too: it is answered before the first of them is sent."""

_FULL_READ_BYTES = 250_000
"""A read of this size may have left some in the socket; the event loop's buffers are a little larger (uvloop 256,000
bytes, asyncio 262,144)."""

_RUSH_BYTES_S = 1_250_000
"""Bytes a second, some 6,000 messages, above which breaths grow with the rate."""
_LONGEST_BREATH = 3.0
"""How many times as long they become at most."""

LATER_ID = 65535
"""Packet id of SUBSCRIBE and UNSUBSCRIBE while messages of ours are under way, which never use it."""


class Receiver(Protocol):
    """Takes what a connection reads; called from the event loop."""

    def on_read(self, connection: Connection, read: Read, size_bytes: int) -> None:
        """Take messages; may call :meth:`Connection.pause`."""

    def on_puback(self, puback: PubAck) -> None:
        """Take the broker's word on a message of ours."""


class Connection(asyncio.Protocol):
    """One connection. Of no use any more once :attr:`closed` is done."""

    def __init__(self, settings: SessionSettings, version: Version, receiver: Receiver) -> None:
        """Bind to the running event loop."""
        self.version = version
        self.parser = Parser(version=version, maximum_packet_bytes=settings.maximum_packet_bytes)
        self._loop = asyncio.get_running_loop()
        self.closed: asyncio.Future[MqttError] = self._loop.create_future()
        """Done when the connection has ended; holds why."""
        self._settings = settings
        self._receiver = receiver
        self._conn_ack: asyncio.Future[ConnAck] = self._loop.create_future()
        self._sub_ack: asyncio.Future[SubAck] = self._loop.create_future()
        self._unsub_ack: asyncio.Future[UnsubAck] = self._loop.create_future()
        self._transport: asyncio.Transport | None = None
        self._error: MqttError | None = None
        self.established = False
        """Whether the handshake is done."""
        self._heard = False
        self._paused = False
        self._breath: asyncio.TimerHandle | None = None
        """Runs from a read to the next one that is due."""
        self._breath_s = self._loop.time()
        self._breath_bytes = 0
        """Read since then, the time of the last breath."""
        self._keep_alive_s = settings.keep_alive_s
        self._beat_timer: asyncio.TimerHandle | None = None

    @property
    def opened(self) -> bool:
        """Whether there is, or was, a socket under it."""
        return self._transport is not None

    @property
    def accepted(self) -> bool:
        """Whether the broker took CONNECT, and with it the protocol version."""
        return self._conn_ack.done() and self._conn_ack.result().reason_code < UNSPECIFIED_ERROR

    async def handshake(self) -> ConnAck:
        """Open the MQTT session and subscribe; return the broker's limits.

        :raises ConnectRefusedError: the broker refuses the connection
        :raises SubscribeRefusedError: the broker refuses a filter
        :raises ConnectionLostError: the connection ended first
        :raises MalformedPacketError: the broker does not speak MQTT
        """
        self.send(self._connect_packet())
        ack = await self._first(self._conn_ack)
        if ack.reason_code >= UNSPECIFIED_ERROR:
            raise ConnectRefusedError("connection", ack.reason_code, ack.reason_string)
        if self._settings.unsubscribe:
            await self._unsubscribe(self._settings.unsubscribe, _SUBSCRIBE_ID)
        if self._settings.subscriptions:
            await self._subscribe(self._settings.subscriptions, _SUBSCRIBE_ID)
        self._keep_alive_s = ack.server_keep_alive_s or self._settings.keep_alive_s
        self.established = True
        self._beat()
        return ack

    async def resubscribe(self, remove: tuple[str, ...], add: tuple[str, ...]) -> None:
        """Change what is subscribed while messages flow; the broker sends what it has retained for new filters only.

        :raises SubscribeRefusedError: the broker refuses a filter
        :raises ConnectionLostError: the connection ended first
        """
        if remove:
            await self._unsubscribe(remove, LATER_ID)
        if add:
            await self._subscribe(add, LATER_ID)

    def send(self, data: bytes) -> None:
        """Write to the socket, or nowhere when the connection is gone.

        Does not wait: acknowledgements are bounded by what the broker may have in flight, messages by what we may.
        """
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def acknowledge(self, packet_ids: Sequence[bytes]) -> bool:
        """Acknowledge messages that came by this connection; tell whether it is still there to do so."""
        if not packet_ids or self._transport is None or self._transport.is_closing():
            return False
        self._transport.write(packets.acknowledge(packet_ids))
        return True

    def pause(self) -> None:
        """Stop reading: the broker keeps the backlog. Its answers to pings are not missed meanwhile."""
        if self._transport is not None and not self._paused and not self._transport.is_closing():
            self._paused = True
            if self._breath is None:
                self._transport.pause_reading()

    def resume(self) -> None:
        """Read again."""
        if self._transport is not None and self._paused and not self._transport.is_closing():
            self._paused = False
            self._heard = True
            if self._breath is None:
                self._transport.resume_reading()

    def disconnect(self) -> None:
        """End the connection cleanly: the broker keeps the session and withholds the will."""
        self.send(packets.disconnect(self.version))
        if self._transport is not None:
            self._transport.close()

    def abort(self, error: MqttError) -> None:
        """End the connection at once, for a reason."""
        self._error = self._error or error
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport (asyncio)."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Take bytes from the socket (asyncio)."""
        self._heard = True
        if self._error is not None:
            return
        try:
            read = self.parser.feed(data)
            for control in read.controls:
                self._on_control(control)
        except MalformedPacketError as error:
            self._refuse(error)
            return
        if read.packet_ids or read.messages:
            self._receiver.on_read(self, read, len(data))
            self._breath_bytes += len(data)
            if len(data) < _FULL_READ_BYTES:
                self._take_breath()

    def connection_lost(self, exc: Exception | None) -> None:
        """Say that the connection ended, and why (asyncio)."""
        if self._beat_timer is not None:
            self._beat_timer.cancel()
        if self._breath is not None:
            self._breath.cancel()
        error = self._error
        if error is None:
            error = ConnectionLostError(f"connection lost: {exc or 'closed by the broker'}")
            error.__cause__ = exc
        self.closed.set_result(error)

    def _take_breath(self) -> None:
        """Read no more for a moment, so that the next read finds more: longer in a rush, as batches are dear."""
        if self.established and self._breath is None and self._transport is not None and self._settings.read_every_s:
            if not self._paused:
                self._transport.pause_reading()
            now_s = self._loop.time()
            rate = self._breath_bytes / max(now_s - self._breath_s, self._settings.read_every_s)
            self._breath_s, self._breath_bytes = now_s, 0
            times = min(max(rate / _RUSH_BYTES_S, 1.0), _LONGEST_BREATH)
            self._breath = self._loop.call_later(times * self._settings.read_every_s, self._breathe)

    def _breathe(self) -> None:
        self._breath = None
        if not self._paused and self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def _on_control(self, control: packets.Control) -> None:
        match control:
            case PubAck():
                self._receiver.on_puback(control)
            case PingResp():
                pass
            case ConnAck() if not self._conn_ack.done():
                self._conn_ack.set_result(control)
            case SubAck() if not self._sub_ack.done():
                self._sub_ack.set_result(control)
            case UnsubAck() if not self._unsub_ack.done():
                self._unsub_ack.set_result(control)
            case Disconnect():
                self.abort(DisconnectedError(control.reason_code, control.reason_string))
            case _:
                raise MalformedPacketError(f"{type(control).__name__} for a second time")

    def _refuse(self, error: MalformedPacketError) -> None:
        """Tell a broker that can be told that it sent no MQTT, and end the connection."""
        self._error = error
        if self.version is Version.V5:
            self.send(packets.disconnect(self.version, MALFORMED_PACKET))
        if self._transport is not None:
            self._transport.abort()

    async def _unsubscribe(self, filters: tuple[str, ...], packet_id: int) -> None:
        self._unsub_ack = self._loop.create_future()
        self.send(packets.unsubscribe(packet_id, filters, version=self.version))
        await self._first(self._unsub_ack)

    async def _subscribe(self, filters: tuple[str, ...], packet_id: int) -> None:
        self._sub_ack = self._loop.create_future()
        self.send(packets.subscribe(packet_id, filters, version=self.version))
        ack = await self._first(self._sub_ack)
        if len(ack.reason_codes) != len(filters):
            raise MalformedPacketError(f"SUBACK for {len(ack.reason_codes)} filters; {len(filters)} were asked for")
        for topic_filter, code in zip(filters, ack.reason_codes, strict=True):
            if code >= UNSPECIFIED_ERROR:
                raise SubscribeRefusedError(f"subscription to {topic_filter!r}", code, ack.reason_string)

    async def _first(self, answer: asyncio.Future[T]) -> T:
        """Wait for an answer, or for the end of the connection."""
        await asyncio.wait((answer, self.closed), return_when=asyncio.FIRST_COMPLETED)
        if answer.done():
            return answer.result()
        raise self.closed.result()

    def _beat(self) -> None:
        """Ask for a sign of life twice a keep-alive; give up when nothing came since the last time."""
        self._heard = False
        self.send(packets.PINGREQ)
        self._beat_timer = self._loop.call_later(self._keep_alive_s / 2, self._check_heard)

    def _check_heard(self) -> None:
        if self._heard or self._paused:
            self._beat()
            return
        self.abort(PeerSilentError(f"the broker said nothing for {self._keep_alive_s / 2:g} s, though asked"))

    def _connect_packet(self) -> bytes:
        settings = self._settings
        return packets.connect(
            version=self.version,
            client_id=settings.client_id,
            keep_alive_s=math.ceil(settings.keep_alive_s),
            session_expiry_s=settings.session_expiry_s,
            receive_maximum=settings.receive_maximum,
            maximum_packet_bytes=settings.maximum_packet_bytes,
            username=settings.username,
            password=settings.password,
            will=settings.will,
        )
