"""The embedded broker."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import aiomqtt
import pytest
from amqtt.mqtt.publish import PublishPacket

from edgefleet import brokers
from edgefleet.brokers import HOST, BrokerChoice, embedded_broker
from edgefleet.embedded_amqtt import IN_FLIGHT, Line
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


class Connection:
    """One connection of amqtt to a client, as far as a line needs it: keeps what was sent."""

    def __init__(self) -> None:
        """Have sent nothing yet."""
        self.sent: asyncio.Queue[tuple[str, int, bool]] = asyncio.Queue()

    async def _send_packet(self, packet: PublishPacket) -> None:
        await self.sent.put((packet.topic_name, packet.packet_id, packet.dup_flag))

    async def next(self) -> tuple[str, int, bool]:
        """Return topic, number and whether it is a duplicate, of the next message."""
        async with asyncio.timeout(BOUND_S):
            return await self.sent.get()


async def test_line_sends_in_order_and_what_was_not_acknowledged_again_to_the_next_connection() -> None:
    line, first, second = Line(), Connection(), Connection()
    for topic in "abc":
        line.add(topic, b"", retain=False)
    line.connect(first)
    assert [await first.next() for _ in "abc"] == [("a", 1, False), ("b", 2, False), ("c", 3, False)]
    line.acknowledged(1)
    line.disconnect()
    line.add("d", b"", retain=False)
    line.connect(second)
    assert [await second.next() for _ in "bcd"] == [("b", 2, True), ("c", 3, True), ("d", 4, False)]
    assert first.sent.empty()
    line.disconnect()


async def test_line_waits_for_a_client_that_does_not_acknowledge() -> None:
    line, connection = Line(), Connection()
    for number in range(IN_FLIGHT + 1):
        line.add(str(number), b"", retain=False)
    line.connect(connection)
    for _ in range(IN_FLIGHT):
        await connection.next()
    assert connection.sent.empty()
    line.acknowledged(1)
    assert await connection.next() == (str(IN_FLIGHT), IN_FLIGHT + 1, False)
    line.disconnect()


async def test_amqtt_forgets_nothing_of_a_client_that_publishes_leaves_and_comes_back(tmp_path: Path) -> None:
    """As soon as everything is acknowledged it leaves, and a new connection of the same client takes its place."""
    async with asyncio.timeout(BOUND_S), embedded_broker(tmp_path, "amqtt") as broker:
        async with aiomqtt.Client(HOST, broker.port) as listener:
            await listener.subscribe("a/#", qos=1)
            for share in range(3):
                async with aiomqtt.Client(HOST, broker.port, identifier="publisher") as publisher:
                    await asyncio.gather(*(publisher.publish(f"a/{share}/{n}", b"", qos=1) for n in range(200)))
            heard = [str((await anext(listener.messages)).topic) for _ in range(600)]
        assert sorted(heard) == sorted(f"a/{share}/{n}" for share in range(3) for n in range(200))
