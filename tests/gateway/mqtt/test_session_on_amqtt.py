"""The session against amqtt, the embedded broker of the demo: MQTT 3.1.1 only."""

from __future__ import annotations

import asyncio

import pytest

from tests.brokers import Amqtt
from tests.gateway.mqtt.scripted import WAIT_S, collect, publish, until, up

AMQTT_STALLS_S = 40.0
"""Amqtt 0.12 looks for an acknowledgement only after its own send has returned; one that is faster is dropped, and the
subscriber hears nothing more for 5 s."""


# amqtt leaves a transport open whose client went before it was refused
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_amqtts_version_is_found_by_probing(amqtt_broker: Amqtt) -> None:
    """Amqtt does not answer CONNECT of MQTT 5 at all."""
    async with up(amqtt_broker.port, connect_timeout_s=1.0) as session:
        assert session.statistics().protocol == "3.1.1"


@pytest.mark.parametrize("quality", [0, 1])
async def test_messages_go_both_ways_on_amqtt(amqtt_broker: Amqtt, quality: int) -> None:
    payloads = [b"%d" % number for number in range(50)]
    async with up(amqtt_broker.port, protocol="3.1.1") as session, asyncio.timeout(AMQTT_STALLS_S):
        await publish(amqtt_broker.port, *payloads, quality=quality)
        assert await collect(session, 50, within_s=AMQTT_STALLS_S) == [("t/a", payload) for payload in payloads]
        await session.publish("t/own", b"back")
        assert await collect(session, 1) == [("t/own", b"back")]


async def test_a_restart_of_amqtt_is_outlived(amqtt_broker: Amqtt) -> None:
    async with up(amqtt_broker.port, protocol="3.1.1") as session, asyncio.timeout(WAIT_S):
        await amqtt_broker.stop()
        await until(lambda: not session.connected)
        publishing = asyncio.create_task(session.publish("t/own", b"while away"))
        await amqtt_broker.start()
        await publishing
        assert await collect(session, 1) == [("t/own", b"while away")]
