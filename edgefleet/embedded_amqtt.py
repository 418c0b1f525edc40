"""amqtt as a process, ``python -m edgefleet.embedded_amqtt PORT``: the demo's broker where Mosquitto is missing."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections import deque
from itertools import cycle
from typing import Any, Final

from amqtt.broker import Broker
from amqtt.mqtt.constants import QOS_1
from amqtt.mqtt.protocol.broker_handler import BrokerProtocolHandler
from amqtt.session import OutgoingApplicationMessage, Session

from edgefleet.brokers import HOST

IN_FLIGHT: Final = 1000
"""Messages that are sent to a client and not acknowledged yet, at most."""


class Line:
    """What waits for one session with QoS 1, in order: sent as the client acknowledges, sent again when it is back."""

    def __init__(self) -> None:
        """Start empty, with nobody to send."""
        self._waiting: deque[tuple[str, bytes, bool]] = deque()
        self._sent: dict[int, OutgoingApplicationMessage] = {}
        self._numbers = cycle(range(1, 65_536))
        self._news = asyncio.Event()
        self._sender: asyncio.Task[None] | None = None

    def add(self, topic: str, data: bytes, retain: bool) -> None:  # noqa: FBT001  # as amqtt has it
        """Take a message."""
        self._waiting.append((topic, data, retain))
        self._news.set()

    def acknowledged(self, number: int) -> None:
        """Forget a message that the client has."""
        self._sent.pop(number, None)
        self._news.set()

    def connect(self, handler: Any) -> None:
        """Send through a connection from now on, and through no other."""
        self.disconnect()
        self._sender = asyncio.create_task(self._send(handler), name="line")

    def disconnect(self) -> None:
        """Send nothing until the client is back."""
        if self._sender is not None:
            self._sender.cancel()

    async def _send(self, handler: Any) -> None:
        for message in list(self._sent.values()):
            await handler._send_packet(message.build_publish_packet(dup=True))  # noqa: SLF001  # there is no other way
        while True:
            while self._waiting and len(self._sent) < IN_FLIGHT:
                topic, data, retain = self._waiting.popleft()
                number = next(number for number in self._numbers if number not in self._sent)
                message = OutgoingApplicationMessage(number, topic, QOS_1, data, retain)
                self._sent[number] = message
                await handler._send_packet(message.build_publish_packet())  # noqa: SLF001  # likewise
            self._news.clear()
            await self._news.wait()


_publish, _start, _stop = BrokerProtocolHandler.mqtt_publish, BrokerProtocolHandler.start, BrokerProtocolHandler.stop
_left = BrokerProtocolHandler.wait_disconnect
_keep, _delete = Broker._retain_broadcast_message, Broker._delete_session  # noqa: SLF001  # there is no other way in


def mend_delivery() -> None:
    """Let amqtt deliver what it has acknowledged, once and in order.

    amqtt 0.12 sends every message in a task of its own. An acknowledgement that comes before its own write has returned
    is taken for an unknown one, and the message is given up after five seconds, as is one that is acknowledged later.
    When a client comes back, what is new overtakes what was kept for it. When one leaves or connects anew, the messages
    of it that were acknowledged and not yet looked at are forgotten.
    """
    handler: Any = BrokerProtocolHandler
    broker: Any = Broker
    handler.mqtt_publish, handler.handle_puback = _into_line, _acknowledged
    handler.start, handler.stop, handler.wait_disconnect = _started, _stopped, _disconnected
    broker._retain_broadcast_message, broker._delete_session = _kept, _delete_session  # noqa: SLF001  # likewise


def _line(session: Any) -> Line:
    if not hasattr(session, "line"):
        session.line = Line()
    line: Line = session.line
    return line


async def _into_line(handler: Any, topic: str, data: bytes, qos: int, retain: bool, *more: Any) -> Any:  # noqa: FBT001
    if qos != QOS_1:
        return await _publish(handler, topic, data, qos, retain, *more)
    return _line(handler.session).add(topic, data, retain)


async def _kept(broker: Any, broadcast: Any, qos: int, session: Session) -> None:
    if qos == QOS_1:
        _line(session).add(broadcast["topic"], broadcast["data"], retain=False)
    else:
        await _keep(broker, broadcast, qos, session)


async def _acknowledged(handler: Any, puback: Any) -> None:
    _line(handler.session).acknowledged(puback.variable_header.packet_id)


async def _started(handler: Any) -> None:
    await _start(handler)
    _line(handler.session).connect(handler)


async def _stopped(handler: Any) -> None:
    if handler.session is not None:
        _line(handler.session).disconnect()
    await _stop(handler)


async def _disconnected(handler: Any) -> Any:
    packet = await _left(handler)
    await _looked_at(handler.session)
    return packet


async def _delete_session(broker: Any, client: str) -> None:
    session, _ = broker._sessions.get(client, (None, None))  # noqa: SLF001  # likewise
    if session is not None:
        await _looked_at(session)
    await _delete(broker, client)


async def _looked_at(session: Any) -> None:
    """Return when what a client has sent was passed on: its queue is empty and is waited for, or the client is gone."""
    received = session.delivered_message_queue
    # a queue whose items nobody calls done says it in no other way, and to nobody who waits
    while session.transitions.is_connected() and not (received.empty() and received._getters):  # noqa: ASYNC110, SLF001
        await asyncio.sleep(0.001)


async def serve(port: int) -> None:
    """Run amqtt until the process is told to end."""
    mend_delivery()
    broker = Broker(
        {
            "listeners": {"default": {"type": "tcp", "bind": f"{HOST}:{port}"}},
            "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
        }
    )
    await broker.start()
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    await ended.wait()
    await broker.shutdown()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
