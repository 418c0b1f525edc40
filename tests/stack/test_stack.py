"""The containers, end to end: an injected fault becomes a firing alert in the store and on its topic, and resolves.

``make stack-test`` runs it; elsewhere it is skipped.
"""

from __future__ import annotations

import asyncio
import json
import os
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from functools import partial

import aiomqtt
import pytest

from contract import codec, topics
from contract.messages import Alert
from contract.topics import DeviceId
from contract.truth import Truth, decode_truths
from tests.stack.compose import STAND_IN, Stack, running

pytestmark = [
    pytest.mark.stack,
    pytest.mark.timeout(900),
    pytest.mark.skipif("EDGEFLEET_STACK" not in os.environ, reason="needs Docker: run make stack-test"),
]
SERVICES = ("mosquitto", "influxdb", "gateway", "console", *(() if STAND_IN else ("grafana",)))
ALERT_S = 420.0
LATE_S = 180.0
"""Longest time after a fault at which an alert is still counted as its: window, dwell and aftermath."""
ANSWER = """
import pathlib, time
from console.labels import LabelStore, label
from contract.messages import Alert
at_s = float(int(time.time()) - 100)
who = dict(site="plant-1", domain="industrial", device="pump-x", rule="anomaly", severity="warning", state="firing")
alert = Alert(id="x", onset_s=at_s, at_s=at_s, trigger_s=at_s, score=1.0, summary="", **who)
folder = pathlib.Path("/var/lib/edgefleet-console")
LabelStore(folder).add(label(alert, "acknowledged", at_s=at_s + 90.0, operator="ann"))
"""
"""What the console does when an operator acknowledges an alert, 90 s after its onset."""

real_images = pytest.mark.skipif(STAND_IN is not None, reason="needs the real InfluxDB and Grafana")


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """Run everything but the fleet."""
    with running(*SERVICES) as started:
        yield started


def ask(url: str, token: str | None = None) -> str:
    """Return what an address answers."""
    headers = {} if token is None else {"Authorization": f"Token {token}"}
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=30) as answer:
        text: str = answer.read().decode()
        return text


def status(url: str) -> int:
    """Return the status with which an address refuses."""
    with pytest.raises(urllib.error.HTTPError) as caught:
        ask(url)
    with caught.value as refusal:
        return refusal.code


def stored(stack: Stack, measurement: str, field: str, device: str, rule: str) -> list[float]:
    """Return a field of a device and rule in the store, by time."""
    base = f"http://127.0.0.1:{stack.influx_port}"
    if STAND_IN:
        selector = f'{{__name__="{measurement}_{field}",device="{device}",rule="{rule}"}}'
        query = urllib.parse.urlencode({"match[]": selector})
        return [
            value for line in ask(f"{base}/api/v1/export?{query}").splitlines() for value in json.loads(line)["values"]
        ]
    text = f'SELECT "{field}" FROM "{measurement}" WHERE "device" = \'{device}\' AND "rule" = \'{rule}\''
    query = urllib.parse.urlencode({"db": "edgefleet-alerts", "q": text})
    (result,) = json.loads(ask(f"{base}/query?{query}", stack.secrets()["InfluxDB, all-access token"]))["results"]
    return [row[1] for series in result.get("series", []) for row in series["values"]]


async def first_that_resolves(stack: Stack, password: str) -> tuple[Alert, set[DeviceId]]:
    """Start the fleet; return the first alert that fires and resolves, and every device that alerted."""
    firing: dict[DeviceId, Alert] = {}
    async with aiomqtt.Client("127.0.0.1", stack.mqtt_port, username="viewer", password=password) as viewer:
        await viewer.subscribe(f"{topics.ALL_TELEMETRY.removesuffix('telemetry')}alert", qos=1)
        await asyncio.to_thread(stack.compose, "up", "--detach", "simulator")
        async with asyncio.timeout(ALERT_S):
            async for message in viewer.messages:
                device, _ = topics.parse_device_topic(str(message.topic))
                if message.payload:
                    firing.setdefault(device, codec.decode_alert(bytes(message.payload)))
                elif device in firing:
                    return firing[device], set(firing)
    raise AssertionError("the broker closed the connection")


def test_injected_fault_fires_on_its_topic_and_in_the_store_and_resolves(stack: Stack) -> None:
    """The alert is of a device and at a time at which the simulator's truth holds a fault; nothing is lost."""
    alert, _ = asyncio.run(first_that_resolves(stack, stack.secrets()["broker, user viewer"]))
    assert alert.state == "firing"
    truth = stack.compose("exec", "-T", "simulator", "cat", "/run/fleet/truth.jsonl")
    causes = [each for each in decode_truths(line.encode() for line in truth.splitlines()) if explains(each, alert)]
    assert causes, f"no injected fault explains {alert}"
    assert {0, 1} <= eventually_stored({0, 1}, lambda: stored(stack, "alerts", "state", alert.device, alert.rule))
    audit = json.loads(stack.compose("exec", "-T", "gateway", "python", "-m", "edgefleet", "audit", "--json"))
    assert audit
    assert all(line["lost"] == 0 for line in audit)


def explains(truth: Truth, alert: Alert) -> bool:
    """Tell whether a fault of the alert's device was there when it fired."""
    same = (truth.site, truth.domain, truth.device) == (alert.site, alert.domain, alert.device)
    return same and truth.onset_s <= alert.onset_s <= truth.end_s + LATE_S


def eventually_stored(wanted: set[float], look: Callable[[], list[float]]) -> set[float]:
    """Return what is stored once all that is wanted is there: a store may show what it took a moment later."""

    async def all_of_it() -> set[float]:
        async with asyncio.timeout(60):
            while not wanted <= (found := set(await asyncio.to_thread(look))):  # noqa: ASYNC110  # a store tells nobody
                await asyncio.sleep(1)
            return found

    return asyncio.run(all_of_it())


@pytest.mark.parametrize("service", SERVICES)
def test_container_may_do_no_more_than_it_must(stack: Stack, service: str) -> None:
    inspected = stack.container(service)
    host = inspected["HostConfig"]
    assert host["ReadonlyRootfs"]
    assert host["CapDrop"] == ["ALL"]
    assert not host["CapAdd"]
    assert "no-new-privileges:true" in host["SecurityOpt"]
    assert host["Memory"] > 0
    assert host["LogConfig"]["Config"]["max-size"]
    assert host["RestartPolicy"]["Name"] == "unless-stopped"
    assert inspected["State"]["Health"]["Status"] == "healthy"
    if not (STAND_IN and service == "influxdb"):  # whose stand-in has no user of its own
        assert inspected["Config"]["User"].split(":")[0] not in {"", "0", "root"}
    published = [each for ports in inspected["NetworkSettings"]["Ports"].values() for each in ports or []]
    assert {each["HostIp"] for each in published} <= {"127.0.0.1"}


def test_anonymous_client_is_refused(stack: Stack) -> None:
    async def connect() -> None:
        async with aiomqtt.Client("127.0.0.1", stack.mqtt_port):
            pass

    with pytest.raises(aiomqtt.MqttError, match=r"[Nn]ot authori[sz]ed"):
        asyncio.run(connect())


def test_service_reads_its_own_secrets_only(stack: Stack) -> None:
    own = stack.compose("exec", "-T", "gateway", "cat", "/run/edgefleet/gateway/mqtt.password")
    assert len(own) > 20
    with pytest.raises(AssertionError, match="Permission denied"):
        stack.compose("exec", "-T", "gateway", "cat", "/run/edgefleet/influxdb/admin.token")


def test_console_lets_nobody_in_without_the_password_and_cannot_write_the_store(stack: Stack) -> None:
    base = f"http://127.0.0.1:{stack.console_port}"
    with urllib.request.urlopen(f"{base}/alerts", timeout=30) as answer:
        assert answer.url == f"{base}/login?next=/alerts"
    assert status(f"{base}/_nicegui/anything") == 401
    with pytest.raises(AssertionError, match="Read-only file system"):
        stack.compose("exec", "-T", "console", "touch", "/var/lib/edgefleet/x")
    assert stack.compose("exec", "-T", "console", "python", "-m", "edgefleet", "audit", "--json")


def test_answer_in_the_console_reaches_the_store_and_its_folder_is_the_consoles(stack: Stack) -> None:
    """The gateway reads the answer through its mount, and can neither write there nor read the passwords."""
    stack.compose("exec", "-T", "console", "python", "-c", ANSWER)
    look = partial(stored, stack, "acknowledgements", "delay_s", "pump-x", "anomaly")
    assert eventually_stored({90.0}, look) == {90.0}
    with pytest.raises(AssertionError, match="Read-only file system"):
        stack.compose("exec", "-T", "gateway", "touch", "/var/lib/edgefleet-console/x")
    with pytest.raises(AssertionError, match="Permission denied"):
        stack.compose("exec", "-T", "gateway", "cat", "/var/lib/edgefleet-console/console-passwords.json")


@real_images
def test_reader_without_token_is_refused(stack: Stack) -> None:
    query = urllib.parse.urlencode({"db": "edgefleet", "q": "SHOW MEASUREMENTS"})
    for url in (
        f"http://127.0.0.1:{stack.influx_port}/query?{query}",
        f"http://127.0.0.1:{stack.grafana_port}/api/search",
    ):
        assert status(url) == 401
