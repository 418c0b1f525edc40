"""Our messages on their way to the broker with QoS 1: sent in order, kept until acknowledged, resent on reconnect."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field

from gateway.mqtt import packets
from gateway.mqtt.connection import Connection
from gateway.mqtt.errors import PublishRefusedError
from gateway.mqtt.packets import Announcement, ConnAck, PubAck
from gateway.mqtt.reasons import PACKET_TOO_LARGE, QOS_NOT_SUPPORTED, RETAIN_NOT_SUPPORTED, UNSPECIFIED_ERROR


@dataclass(slots=True, eq=False)
class _Publication:
    message: Announcement
    done: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    packet_id: int = 0
    duplicate: bool = False


class Outbound:
    """The queue of our messages and the window of those that the broker has not acknowledged.

    The queue holds one message a waiting caller, so that callers bound it; the window is ``limit`` at most.
    """

    def __init__(self, limit: int) -> None:
        """Start without a connection."""
        self.acknowledged = 0
        self._limit = limit
        self._waiting: deque[_Publication] = deque()
        self._sent: dict[int, _Publication] = {}
        self._last_id = 0
        self._connection: Connection | None = None
        self._broker = ConnAck()
        self._failure: BaseException | None = None

    @property
    def unacknowledged(self) -> int:
        """Messages queued or sent that the broker has not acknowledged."""
        return len(self._waiting) + len(self._sent)

    def submit(self, message: Announcement) -> asyncio.Future[None]:
        """Queue a message; the future is done when the broker has it, or fails with why it never will."""
        if self._failure is not None:
            raise self._failure
        publication = _Publication(message)
        self._waiting.append(publication)
        self._pump()
        return publication.done

    def attach(self, connection: Connection, broker: ConnAck) -> None:
        """Send by a new connection: first again, in order and under their old ids, what was not acknowledged."""
        for publication in self._sent.values():
            publication.duplicate = broker.session_present
        self._waiting.extendleft(reversed(self._sent.values()))
        self._sent.clear()
        self._broker = broker
        self._connection = connection
        self._pump()

    def detach(self) -> None:
        """Hold everything until there is a connection again."""
        self._connection = None

    def on_puback(self, puback: PubAck) -> None:
        """Let a message go that the broker has or refuses; one that is not ours is ignored."""
        publication = self._sent.pop(puback.packet_id, None)
        if publication is None:
            return
        if puback.reason_code >= UNSPECIFIED_ERROR:
            _refuse(publication, puback.reason_code, puback.reason_string)
        elif not publication.done.done():
            self.acknowledged += 1
            publication.done.set_result(None)
        self._pump()

    def fail(self, error: BaseException) -> None:
        """Fail everything that waits, now and later."""
        self._failure = error
        self._connection = None
        for publication in (*self._sent.values(), *self._waiting):
            if not publication.done.done():
                publication.done.set_exception(error)
        self._sent.clear()
        self._waiting.clear()

    def _pump(self) -> None:
        """Send as much as the window allows."""
        limit = min(self._limit, self._broker.receive_maximum)
        while self._connection is not None and self._waiting and len(self._sent) < limit:
            publication = self._waiting.popleft()
            if not publication.done.done():  # its caller may have been cancelled
                self._send(publication, self._connection)

    def _send(self, publication: _Publication, connection: Connection) -> None:
        message = publication.message
        packet_id = publication.packet_id or self._free_id()
        packet = packets.publish(
            message.topic,
            message.payload,
            packet_id=packet_id,
            version=connection.version,
            retain=message.retain,
            duplicate=publication.duplicate,
        )
        refusal = self._refusal(message, packet)
        if refusal is not None:
            _refuse(publication, refusal)
            return
        publication.packet_id = packet_id
        self._sent[packet_id] = publication
        connection.send(packet)

    def _refusal(self, message: Announcement, packet: bytes) -> int | None:
        """Return why this broker would end the connection over a packet."""
        if self._broker.maximum_packet_bytes is not None and len(packet) > self._broker.maximum_packet_bytes:
            return PACKET_TOO_LARGE
        if message.retain and not self._broker.retain_available:
            return RETAIN_NOT_SUPPORTED
        return QOS_NOT_SUPPORTED if self._broker.maximum_qos < 1 else None

    def _free_id(self) -> int:
        # what is resent was queued first, so every id that is taken stands in the window
        while True:
            self._last_id = self._last_id % 65534 + 1  # 65535 is of subscriptions
            if self._last_id not in self._sent:
                return self._last_id


def _refuse(publication: _Publication, reason_code: int, detail: str | None = None) -> None:
    if not publication.done.done():
        error = PublishRefusedError(f"message to {publication.message.topic!r}", reason_code, detail)
        publication.done.set_exception(error)
