"""amqtt as a process, ``python -m edgefleet.embedded_amqtt PORT``: the demo's broker where Mosquitto is missing."""

from __future__ import annotations

import asyncio
import signal
import sys
from typing import Any

from amqtt.broker import Broker
from amqtt.mqtt.protocol.broker_handler import BrokerProtocolHandler
from amqtt.mqtt.protocol.handler import ProtocolHandler
from amqtt.session import OutgoingApplicationMessage

from edgefleet.brokers import HOST


def mend_delivery() -> None:
    """Let amqtt wait for the acknowledgement of what it delivers, and deliver what it has acknowledged.

    amqtt 0.12 begins to wait only when its own write has returned. An acknowledgement that comes sooner, as under
    load, is taken for an unknown one; five seconds later the message is given up, and with it all that follow.
    When a client leaves, amqtt forgets the messages of it that it has acknowledged and not yet looked at.
    """
    take: Any = ProtocolHandler._handle_qos1_message_flow  # noqa: SLF001  # there is no other way in
    left = BrokerProtocolHandler.wait_disconnect

    async def flow(self: Any, message: Any) -> None:
        if isinstance(message, OutgoingApplicationMessage):
            await _deliver(self, message)
        else:
            await take(self, message)

    async def wait_disconnect(self: Any) -> Any:
        packet = await left(self)
        await _looked_at(self.session.delivered_message_queue)
        return packet

    ProtocolHandler._handle_qos1_message_flow = flow  # noqa: SLF001  # likewise
    BrokerProtocolHandler.wait_disconnect = wait_disconnect


async def _looked_at(received: Any) -> None:
    """Return when a client's queue is empty and its reader waits for more: then all before has been passed on."""
    # a queue whose items nobody calls done says it in no other way, and to nobody who waits
    while not (received.empty() and received._getters):  # noqa: ASYNC110, SLF001
        await asyncio.sleep(0)


async def _deliver(handler: Any, message: Any) -> None:
    """Send a message and return when it is acknowledged; when the connection ends first, it stays in the session."""
    again = message.publish_packet is not None
    handler.session.inflight_out.setdefault(message.packet_id, message)
    acknowledged = asyncio.get_running_loop().create_future()
    handler._puback_waiters[message.packet_id] = acknowledged  # noqa: SLF001  # likewise
    try:
        message.publish_packet = message.build_publish_packet(dup=again)
        await handler._send_packet(message.publish_packet)  # noqa: SLF001  # likewise
        message.puback_packet = await acknowledged
        handler.session.inflight_out.pop(message.packet_id, None)
    finally:
        handler._puback_waiters.pop(message.packet_id, None)  # noqa: SLF001  # likewise


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
