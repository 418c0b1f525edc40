"""Messages that were read from the socket and not yet taken: a bounded buffer that stops the reading when full."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from gateway.mqtt.connection import Connection
from gateway.mqtt.parser import Read
from gateway.ports import Message


@dataclass(slots=True)
class Tally:
    """Counts of messages taken and acknowledged."""

    messages: int = 0
    received_bytes: int = 0
    acknowledged: int = 0
    pauses: int = 0


class Delivery:
    """Messages read from one connection, not yet acknowledged."""

    __slots__ = ("_connection", "_packet_ids", "_tally", "messages")

    def __init__(
        self, messages: Sequence[Message], packet_ids: list[bytes], connection: Connection, tally: Tally
    ) -> None:
        """Bind messages to the connection on which alone they can be acknowledged."""
        self.messages = messages
        self._packet_ids = packet_ids
        self._connection = connection
        self._tally = tally

    def acknowledge(self) -> None:
        """Tell the broker that the messages are safe; a no-op the second time, and when the connection is gone.

        The broker then sends them again by the next connection, marked as duplicates.
        """
        packet_ids, self._packet_ids = self._packet_ids, []
        if self._connection.acknowledge(packet_ids):
            self._tally.acknowledged += len(packet_ids)


class _Chunk(NamedTuple):
    connection: Connection
    read: Read
    size_bytes: int


class Inbox:
    """Reads in the order in which they came.

    When full, the connection stops reading, so TCP makes the broker hold the backlog; it reads on when half is taken.
    Messages of a connection that is gone stay: QoS 0 would be lost otherwise, and QoS 1 twice is harmless.
    """

    def __init__(self, *, batch_messages: int, buffer_messages: int, buffer_bytes: int) -> None:
        """Set the bounds; see :class:`gateway.mqtt.settings.SessionSettings`."""
        self.tally = Tally()
        self.buffered_messages = 0
        self.buffered_bytes = 0
        self._batch_messages = batch_messages
        self._buffer_messages = buffer_messages
        self._buffer_bytes = buffer_bytes
        self._chunks: deque[_Chunk] = deque()
        self._paused: Connection | None = None
        self._arrived = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._failure: BaseException | None = None

    def put(self, connection: Connection, read: Read, size_bytes: int) -> None:
        """Take one read of a connection; stop its reading if that fills the buffer."""
        self._chunks.append(_Chunk(connection, read, size_bytes))
        self.buffered_messages += len(read.messages)
        self.buffered_bytes += size_bytes
        self.tally.messages += len(read.messages)
        self.tally.received_bytes += size_bytes
        self._arrived.set()
        if self.buffered_messages >= self._buffer_messages or self.buffered_bytes >= self._buffer_bytes:
            self._room.clear()
            self.hold(connection)

    def hold(self, connection: Connection) -> None:
        """Stop a connection's reading if there is no room; one that still shakes hands is stopped when that is done."""
        if not self._room.is_set() and connection.established:
            self.tally.pauses += self._paused is not connection
            self._paused = connection
            connection.pause()

    async def room(self) -> None:
        """Wait until the buffer is not full."""
        await self._room.wait()

    async def take(self) -> Delivery:
        """Wait for messages; return those of one connection, up to the batch bound. Nothing is lost when cancelled.

        :raises MqttError: the session failed for good or is closed
        """
        while not self._chunks:
            if self._failure is not None:
                raise self._failure
            self._arrived.clear()
            await self._arrived.wait()
        delivery = self._join()
        if self.buffered_messages * 2 <= self._buffer_messages and self.buffered_bytes * 2 <= self._buffer_bytes:
            self._reopen()
        return delivery

    def fail(self, error: BaseException) -> None:
        """Raise an error from :meth:`take` once the buffer is empty."""
        self._failure = error
        self._arrived.set()

    def _join(self) -> Delivery:
        connection, read, size_bytes = self._chunks.popleft()
        messages, packet_ids = read.messages, read.packet_ids
        while self._chunks and self._chunks[0].connection is connection and len(messages) < self._batch_messages:
            chunk = self._chunks.popleft()
            messages += chunk.read.messages
            packet_ids += chunk.read.packet_ids
            size_bytes += chunk.size_bytes
        self.buffered_messages -= len(messages)
        self.buffered_bytes -= size_bytes
        return Delivery(messages, packet_ids, connection, self.tally)

    def _reopen(self) -> None:
        self._room.set()
        if self._paused is not None:
            self._paused.resume()
            self._paused = None
