"""The embedded broker."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import aiomqtt
import pytest

from edgefleet import brokers, embedded_amqtt
from edgefleet.brokers import HOST, BrokerChoice, embedded_broker
from edgefleet.errors import BrokerStartError

BOUND_S = 20.0


@pytest.mark.parametrize("choice", ["amqtt", pytest.param("mosquitto", marks=pytest.mark.mosquitto)])
async def test_an_embedded_broker_carries_messages_and_is_gone_afterwards(tmp_path: Path, choice: BrokerChoice) -> None:
    async with asyncio.timeout(BOUND_S), embedded_broker(tmp_path, choice) as broker:
        assert broker.kind == choice
        async with aiomqtt.Client(HOST, broker.port) as client:
            await client.subscribe("a", qos=1)
            await client.publish("a", b"hello", qos=1)
            message = await anext(client.messages)
            assert message.payload == b"hello"
    with pytest.raises(ProcessLookupError):
        os.kill(broker.pid, 0)


async def test_a_broker_that_does_not_come_up_is_said_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(brokers, "mosquitto_path", lambda: "/bin/false")
    with pytest.raises(BrokerStartError, match=r"mosquitto did not listen .*mosquitto\.log"):
        async with asyncio.timeout(BOUND_S), embedded_broker(tmp_path):
            pass


async def test_asking_for_mosquitto_where_there_is_none_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(brokers, "mosquitto_path", lambda: None)
    with pytest.raises(BrokerStartError, match="not installed"):
        async with embedded_broker(tmp_path, "mosquitto"):
            pass


def test_no_broker_listens_beyond_this_machine(tmp_path: Path) -> None:
    command = brokers._command(tmp_path, 1234, "/usr/sbin/mosquitto")
    assert "listener 1234 127.0.0.1" in Path(command[-1]).read_text()


class Handler:
    """One connection of amqtt, as far as a delivery needs it; ``sent`` is called while a packet is being written."""

    def __init__(self, sent: Callable[[Handler, int], None]) -> None:
        """Wait for nothing yet."""
        self.session = SimpleNamespace(inflight_out={})
        self._puback_waiters: dict[int, asyncio.Future[str]] = {}
        self._sent = sent

    async def _send_packet(self, packet: int) -> None:
        self._sent(self, packet)


class Message:
    """One message on its way out."""

    packet_id = 7
    publish_packet: int | None = None
    puback_packet: str | None = None

    def build_publish_packet(self, *, dup: bool) -> int:
        """Return a number for the packet, another one for a duplicate."""
        return self.packet_id + (100 if dup else 0)


async def test_acknowledgement_that_comes_while_amqtt_still_writes_is_taken() -> None:
    handler = Handler(lambda each, packet: each._puback_waiters[packet].set_result("acknowledged"))
    message = Message()
    async with asyncio.timeout(BOUND_S):
        await embedded_amqtt._deliver(handler, message)
    assert message.puback_packet == "acknowledged"
    assert handler.session.inflight_out == {}


async def test_message_without_acknowledgement_stays_in_the_session_when_the_connection_ends() -> None:
    """A connection that ends cancels its waiters; the message is sent again, marked as a duplicate, by the next one."""
    packets = []

    def cut(handler: Handler, packet: int) -> None:
        packets.append(packet)
        handler._puback_waiters[7].cancel()

    handler, message = Handler(cut), Message()
    for _ in range(2):
        with pytest.raises(asyncio.CancelledError):
            await embedded_amqtt._deliver(handler, message)
    assert handler.session.inflight_out == {7: message}
    assert packets == [7, 107]
