"""What every broker session does, the fake included."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from gateway.mqtt import Session, SessionSettings
from gateway.ports import Broker, Message
from tests.brokers import Mosquitto
from tests.fakes import FakeBroker

BOUND_S = 10.0


@dataclass(frozen=True)
class Made:
    """A session, a way to send it messages, and a way to see what a new subscriber would get of a topic."""

    broker: Broker
    send: Callable[[Message], Awaitable[None]]
    retained: Callable[[str], Awaitable[bytes | None]]


@asynccontextmanager
async def made_fake(_: Path) -> AsyncIterator[Made]:
    async with FakeBroker() as broker:

        async def send(message: Message) -> None:
            broker.deliver(message)

        async def retained(topic: str) -> bytes | None:
            return broker.retained.get(topic)

        yield Made(broker, send, retained)


@asynccontextmanager
async def made_session(folder: Path) -> AsyncIterator[Made]:
    async with Mosquitto(folder / "mosquitto") as server:

        def settings(name: str, *subscriptions: str) -> SessionSettings:
            return SessionSettings(client_id=name, subscriptions=subscriptions, port=server.port)

        askers = itertools.count()  # the broker keeps a session, and what is sent meanwhile, under its name

        async def retained(topic: str) -> bytes | None:
            """Ask with a session of its own; a marker sent after it tells that nothing more comes."""
            async with Session(settings(f"asker-{next(askers)}", topic, "marker")) as asker:
                await asker.publish("marker", b"")
                seen: dict[str, bytes] = {}
                while "marker" not in seen:
                    seen |= dict((await asker.receive()).messages)
                return seen.get(topic)

        async with Session(settings("gateway", "in/#")) as session, Session(settings("device")) as device:
            await session.publish("up", b"")

            async def send(message: Message) -> None:
                await device.publish(*message)

            yield Made(session, send, retained)


@pytest.fixture(params=["fake", pytest.param("session", marks=pytest.mark.mosquitto)])
async def made(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Made]:
    makers = {"fake": made_fake, "session": made_session}
    async with asyncio.timeout(BOUND_S), makers[request.param](tmp_path) as made:
        yield made


async def received(broker: Broker, count: int) -> list[Message]:
    """Receive and acknowledge until that many messages have come."""
    messages: list[Message] = []
    while len(messages) < count:
        delivery = await asyncio.wait_for(broker.receive(), BOUND_S)
        messages += delivery.messages
        delivery.acknowledge()
    return messages


async def test_messages_come_as_topic_and_bytes_in_order(made: Made) -> None:
    sent = [("in/a", b"one"), ("in/b", b"\x00\xff"), ("in/a", b"three")]
    for message in sent:
        await made.send(message)
    found = await received(made.broker, 3)
    assert [(topic, bytes(payload)) for topic, payload in found] == sent


async def test_delivery_may_be_acknowledged_after_a_later_one_came(made: Made) -> None:
    await made.send(("in/a", b"1"))
    first = await asyncio.wait_for(made.broker.receive(), BOUND_S)
    await made.send(("in/a", b"2"))
    second = await asyncio.wait_for(made.broker.receive(), BOUND_S)
    first.acknowledge()
    second.acknowledge()
    assert [bytes(payload) for _, payload in (*first.messages, *second.messages)] == [b"1", b"2"]


async def test_retained_message_waits_for_new_subscribers_until_cleared(made: Made) -> None:
    await made.broker.publish("out/alert", b"on", retain=True)
    await made.broker.publish("out/news", b"gone")
    assert await made.retained("out/alert") == b"on"
    assert await made.retained("out/news") is None
    await made.broker.publish("out/alert", b"", retain=True)
    assert await made.retained("out/alert") is None


async def test_session_that_published_is_connected(made: Made) -> None:
    await made.broker.publish("out/a", b"1")
    assert made.broker.connected


async def test_waiting_for_messages_can_be_cancelled_and_loses_none(made: Made) -> None:
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(made.broker.receive(), 0.01)
    await made.send(("in/a", b"1"))
    assert len(await received(made.broker, 1)) == 1
