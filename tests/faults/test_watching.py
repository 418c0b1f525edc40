"""A real gateway can be watched: health, readiness, Prometheus figures, and what systemd wants to hear."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from gateway.systemd import Notifier, notifying
from tests.brokers import Mosquitto, free_port
from tests.faults.gateways import Publisher, running, settings_file, until
from tests.faults.outcomes import ledger_sums
from tests.faults.streams import Stream

pytestmark = pytest.mark.timeout(120)


async def fetched(session: aiohttp.ClientSession, url: str) -> tuple[int, str]:
    async with session.get(url) as answer:
        return answer.status, await answer.text()


@pytest.mark.mosquitto
async def test_gateway_says_over_http_how_it_is(tmp_path: Path, mosquitto: Mosquitto) -> None:
    port = free_port()
    file = settings_file(tmp_path, mosquitto.port, metrics={"listen": f"127.0.0.1:{port}"})
    url = f"http://127.0.0.1:{port}"
    async with running(file) as gateway, aiohttp.ClientSession() as session:
        await gateway.says("broker connected")
        async with Publisher.connected(mosquitto.port) as publisher:
            await publisher.publish(Stream(seed=1, devices=4, messages=2000))
        await until(lambda: ledger_sums(tmp_path / "state").get("published", 0) >= 1900)
        assert (await fetched(session, f"{url}/healthz"))[0] == 200
        assert await fetched(session, f"{url}/readyz") == (200, '{"ok": true, "reasons": []}\n')
        assert (await fetched(session, f"{url}/nowhere"))[0] == 404
        _, text = await fetched(session, f"{url}/metrics")
        figures = {
            (sample.name, *sample.labels.values()): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }
        assert figures["edgefleet_messages_total",] == 2000
        assert figures["edgefleet_quarantined_total", "json"] > 5
        assert figures["edgefleet_quarantined_total", "range"] > 5
        assert figures["edgefleet_watermark_lag_seconds", "industrial"] > 86_400  # the input is from 2023
        assert figures["edgefleet_written_bytes_per_hour",] > 0
        assert figures["edgefleet_journal_bytes",] >= 0
        await mosquitto.stop()
        await gateway.says("broker not connected")
        status, text = await fetched(session, f"{url}/readyz")
        assert (status, "no connection to the broker" in text) == (503, True)
        assert (await fetched(session, f"{url}/healthz"))[0] == 200


@pytest.mark.mosquitto
async def test_taken_metrics_port_does_not_stop_readings(tmp_path: Path, mosquitto: Mosquitto) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        async with running(settings_file(tmp_path, mosquitto.port, metrics={"listen": listen})) as gateway:
            await gateway.says("metrics are off")
            await gateway.says("broker connected")
            assert await gateway.stop() == 0


async def test_systemd_hears_ready_watchdog_and_stopping(tmp_path: Path) -> None:
    heard: list[str] = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(5.0)
        ready, health = asyncio.Event(), [True]
        notifier = Notifier({"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "60000"})
        assert notifier.watchdog_s == 0.06

        async def hear(words: str) -> None:
            async with asyncio.timeout(5.0):
                while words not in heard:
                    heard.extend((await asyncio.to_thread(manager.recv, 4096)).decode().split("\n"))

        async with notifying(ready, lambda: health[0], notifier):
            await hear("WATCHDOG=1")
            assert "READY=1" not in heard  # alive while it recovers, but not ready
            ready.set()
            await hear("READY=1")
            health[0] = False
        heard.clear()
        await hear("STOPPING=1")
        assert "WATCHDOG=1" not in heard[heard.index("STOPPING=1") :]


def test_without_systemd_nothing_is_said() -> None:
    Notifier({}).say("READY=1")
