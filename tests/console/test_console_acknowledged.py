"""From an alert, over the operator who acknowledges it, to what Grafana shows: real processes all the way."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path

import pytest
from playwright.sync_api import expect

from console.labels import LabelStore
from contract import topics
from contract.codec import encode_sample, encode_state
from contract.messages import DeviceState, Sample
from gateway.stores.reader import LocalReader
from grafana import build
from tests.batches import PUMP, USUAL
from tests.brokers import Mosquitto
from tests.console.browser import STARTS_MS, running_browser, running_console
from tests.faults import gateways
from tests.faults.gateways import Publisher, settings_file, until
from tests.grafana.macros import Range, expanded
from tests.influx import RealInflux, needs_influxd

pytestmark = [pytest.mark.browser, pytest.mark.mosquitto, needs_influxd, pytest.mark.timeout(120)]
expect.set_options(timeout=STARTS_MS)

BOARD = json.loads((build.HERE / "dashboards" / "edgefleet-alerts.json").read_text())
(QUERY,) = [
    panel["targets"][0]["query"] for panel in BOARD["panels"] if panel.get("title") == "Mean time to acknowledge"
]


def acknowledge(state: Path) -> None:
    """Acknowledge the only alert, as an operator does."""
    with running_console(state) as console, running_browser() as browser:
        page = browser.new_page()
        page.goto(f"{console.address}/alerts")
        card = page.locator("article.alert")
        expect(card).to_contain_text("silent")
        card.get_by_role("button", name="Acknowledge").click()
        expect(card).to_be_hidden()


async def mean_time_s(influx: RealInflux) -> list[float]:
    """Return what the panel shows of the last hour."""
    now_s = time.time()
    text = expanded(
        QUERY,
        Range(from_s=now_s - 3600.0, to_s=now_s),
        {"domain": [PUMP.domain], "site": [PUMP.site], "device": [PUMP.device]},
    )
    return [row[1] for series in await influx.query(text) for row in series["values"]]


async def test_operators_acknowledgement_is_what_grafana_shows(tmp_path: Path, mosquitto: Mosquitto) -> None:
    """A device dies, somebody acknowledges in a browser, the gateway is killed: the panel shows how long it took."""
    async with RealInflux(tmp_path / "influx") as influx:
        file = settings_file(tmp_path, mosquitto.port, influx={"url": influx.url, "token": "secret"})
        state = tmp_path / "state"
        async with gateways.running(file) as gateway, Publisher.connected(mosquitto.port) as device:
            await gateway.says("broker connected")
            sample = encode_sample(Sample(ts=time.time(), seq=0, values=USUAL))
            await device.publish(
                [(topics.telemetry(PUMP), sample), (topics.state(PUMP), encode_state(DeviceState.OFFLINE))]
            )
            alerts = LocalReader(state / "store.db")
            await until(lambda: (state / "store.db").exists() and alerts.open_alerts())
            (alert,) = alerts.open_alerts()
            assert await mean_time_s(influx) == []
            await asyncio.to_thread(acknowledge, state)
            (said,) = LabelStore(state).all()
            await gateway.kill()
        async with gateways.running(file):
            async with asyncio.timeout(gateways.BOUND_S):
                while not (shown := await mean_time_s(influx)):  # noqa: ASYNC110  # a store tells nobody
                    await asyncio.sleep(0.05)
        assert shown == [pytest.approx(said.at_s - alert.onset_s)]
