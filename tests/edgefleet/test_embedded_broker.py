"""The embedded broker."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import aiomqtt
import pytest

from edgefleet import brokers
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
