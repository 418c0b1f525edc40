"""Whatever the broker does, the gateway comes back, subscribes again, and nothing has a double effect."""

from __future__ import annotations

import asyncio
from itertools import islice
from pathlib import Path

import aiomqtt
import pytest

from tests.brokers import Mosquitto
from tests.faults.crashes import arrived, finished
from tests.faults.gateways import Publisher, running, settings_file, until
from tests.faults.outcomes import compare, ledger_sums, local_outcome
from tests.faults.proxy import FaultProxy
from tests.faults.streams import Stream

pytestmark = [pytest.mark.timeout(240), pytest.mark.mosquitto]
PART = 600


async def test_every_trouble_with_the_broker_passes_without_loss(tmp_path: Path, mosquitto: Mosquitto) -> None:
    """Restart, half-open connection, slow and cut connection, a second client of the same id."""
    messages = iter(Stream(seed=20, devices=5, messages=7 * PART))
    state = tmp_path / "proxied" / "state"
    async with (
        FaultProxy(mosquitto.port) as proxy,
        running(settings_file(tmp_path / "whole", mosquitto.port, gateway="whole")) as whole,
    ):
        await whole.says("broker connected")
        file = settings_file(
            tmp_path / "proxied", proxy.port, gateway="proxied", broker={"port": proxy.port, "keep_alive_s": 5}
        )
        async with running(file) as gateway:
            await gateway.says("broker connected")

            async def publish() -> None:
                async with Publisher.connected(mosquitto.port) as publisher:
                    await publisher.publish(islice(messages, PART))

            await publish()
            await until(lambda: published(state) >= 0.9 * PART)
            await mosquitto.restart()
            await publish()
            await gateway.says("broker connected", count=2)
            proxy.mode = "hold"  # half-open: both ends believe in a connection that carries nothing
            await publish()
            await gateway.says("broker not connected", count=2)
            proxy.mode = "pass"
            proxy.reset()
            await gateway.says("broker connected", count=3)
            for mode in ("slow", "cut"):
                proxy.mode = mode
                proxy.reset()
                await publish()
                await asyncio.sleep(0.5)  # the trouble lasts
            proxy.mode = "pass"
            proxy.reset()
            await gateway.says("broker connected", count=4)
            down = len([line for line in gateway.log if "broker not connected" in line])
            up = len([line for line in gateway.log if "broker connected" in line])
            async with aiomqtt.Client(
                "127.0.0.1", mosquitto.port, identifier="edgefleet-proxied", clean_session=False, username="x"
            ):
                await until(lambda: len([line for line in gateway.log if "broker not connected" in line]) > down)
            await publish()
            await gateway.says("broker connected", count=up + 1)
            async with Publisher.connected(mosquitto.port) as publisher:
                await publisher.publish(finished(messages))
            await until(lambda: arrived(state) and arrived(tmp_path / "whole" / "state"))
            assert await gateway.stop() == 0
        assert await whole.stop() == 0
    difference = compare(local_outcome(state), local_outcome(tmp_path / "whole" / "state"))
    assert not difference, str(difference)


async def test_session_that_the_broker_lost_is_begun_anew(tmp_path: Path, mosquitto: Mosquitto) -> None:
    """A broker that was killed has forgotten the session: the gateway subscribes again, and takes what comes."""
    async with running(settings_file(tmp_path, mosquitto.port)) as gateway:
        await gateway.says("broker connected")
        await mosquitto.kill()
        await gateway.says("broker not connected")
        (tmp_path / "mosquitto" / "mosquitto.db").unlink(missing_ok=True)
        await mosquitto.start()
        line = await gateway.says("broker connected", count=2)
        assert '"session_present": false' in line
        async with Publisher.connected(mosquitto.port) as publisher:
            await publisher.publish(Stream(seed=21, devices=2, messages=500))
        await until(lambda: published(tmp_path / "state") >= 490)
        assert await gateway.stop() == 0


async def test_malformed_packets_end_the_connection_only(tmp_path: Path) -> None:
    """A broker that sends nonsense after its CONNACK is left and called again, for as long as it does so."""
    calls = 0

    async def nonsense(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal calls
        calls += 1
        try:
            await reader.read(1000)
            writer.write(b"\x20\x03\x00\x00\x00" + b"\xff" * 50)
            await writer.drain()
        except OSError:  # the gateway was quicker in leaving
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(nonsense, "127.0.0.1", 0)
    async with server, running(settings_file(tmp_path, server.sockets[0].getsockname()[1])) as gateway:
        await gateway.says("broker not connected")
        await until(lambda: calls >= 3)
        assert gateway.process.returncode is None
        assert await gateway.stop() == 0


def published(state: Path) -> int:
    """Return the ledger's count of published samples."""
    return ledger_sums(state).get("published", 0)
