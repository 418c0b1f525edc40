"""One connection of one device to the broker: callbacks of the event loop, no task and no thread of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, cast

from simulator import wire
from simulator.wire import Answer

BEATS_A_KEEP_ALIVE: Final = 2
"""How often the broker is asked for a sign of life within a keep-alive."""


class LostError(Exception):
    """The connection ended, or was never made."""


@dataclass(slots=True)
class _Batch:
    """Messages that left together."""

    left: int
    """How many the broker has not acknowledged."""
    done: asyncio.Future[None]


class Connection(asyncio.Protocol):
    """A connection that publishes. Of no use any more once it is lost."""

    def __init__(self, keep_alive_s: float) -> None:
        """Bind to the running loop."""
        self._loop = asyncio.get_running_loop()
        self._keep_alive_s = keep_alive_s
        self._transport: asyncio.Transport | None = None
        self._received = bytearray()
        self._welcome: asyncio.Future[None] = self._loop.create_future()
        self._unacknowledged: dict[int, _Batch] = {}
        self._last_id = 0
        self._heard = True
        self._beat: asyncio.TimerHandle | None = None
        self.lost = False

    async def greet(self, connect: bytes) -> None:
        """Send CONNECT; return when the broker takes it.

        :raises LostError: it does not
        """
        assert self._transport is not None
        self._transport.write(connect)
        await self._welcome

    async def publish(self, topic: str, payloads: Sequence[bytes], *, retain: bool = False) -> None:
        """Publish a message for each payload with QoS 1, in one write; return when the broker has acknowledged all.

        :raises LostError: the connection ended before
        """
        if self.lost or self._transport is None:
            raise LostError("the connection is closed")
        batch = _Batch(len(payloads), self._loop.create_future())
        packets = []
        for payload in payloads:
            number = self._free_id()
            self._unacknowledged[number] = batch
            packets.append(wire.publish(topic, payload, number, retain=retain))
        self._transport.write(b"".join(packets))
        await batch.done

    def leave(self) -> None:
        """Say goodbye: the broker forgets the will."""
        if self._transport is not None and not self.lost:
            self._transport.write(wire.DISCONNECT)
            self._transport.close()

    def cut(self) -> None:
        """End without a word, as a device without power does: the broker publishes the will."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport (asyncio)."""
        self._transport = cast("asyncio.Transport", transport)
        self._schedule_beat()

    def data_received(self, data: bytes) -> None:
        """Take the broker's answers (asyncio)."""
        self._heard = True
        if not self._received and (numbers := wire.acknowledged(data)):
            for number in numbers:
                self._acknowledge(number)
            return
        self._received += data
        try:
            for answer in wire.answers(self._received):
                self._take(answer)
        except ValueError as error:
            self._end(LostError(f"the broker does not speak MQTT: {error}"))
            self.cut()

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail whatever waits (asyncio)."""
        self._end(LostError(str(exc or "closed by the broker")))

    def _take(self, answer: Answer) -> None:
        if answer.kind == wire.PUBACK:
            self._acknowledge(int.from_bytes(answer.body[:2], "big"))
        elif answer.kind == wire.CONNACK and not self._welcome.done():
            code = answer.body[-1] if answer.body else 0xFF
            if code:
                self._welcome.set_exception(LostError(f"refused by the broker, return code {code}"))
            else:
                self._welcome.set_result(None)

    def _acknowledge(self, number: int) -> None:
        batch = self._unacknowledged.pop(number, None)
        if batch is not None:
            batch.left -= 1
            if not batch.left and not batch.done.done():
                batch.done.set_result(None)

    def _free_id(self) -> int:
        self._last_id = self._last_id % wire.PACKET_IDS + 1
        while self._last_id in self._unacknowledged:
            self._last_id = self._last_id % wire.PACKET_IDS + 1
        return self._last_id

    def _schedule_beat(self) -> None:
        self._beat = self._loop.call_later(self._keep_alive_s / BEATS_A_KEEP_ALIVE, self._look)

    def _look(self) -> None:
        """Ask for a sign of life; give up when nothing came since the last time."""
        if not self._heard:
            self._end(LostError("the broker says nothing"))
            self.cut()
            return
        self._heard = False
        if self._transport is not None:
            self._transport.write(wire.PINGREQ)
        self._schedule_beat()

    def _end(self, error: LostError) -> None:
        self.lost = True
        if self._beat is not None:
            self._beat.cancel()
        for waiting in (self._welcome, *(batch.done for batch in self._unacknowledged.values())):
            if not waiting.done():
                waiting.set_exception(error)
                waiting.exception()  # nobody need look at it
        self._unacknowledged.clear()
