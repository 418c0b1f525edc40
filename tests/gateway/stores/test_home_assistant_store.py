"""What Home Assistant is told: every device once, its state whenever that changes, all of it retained."""

from __future__ import annotations

import json
from typing import Any

import pytest

from contract import topics
from contract.domains import DOMAINS
from contract.messages import Alert, Health
from contract.points import Point
from contract.topics import DeviceId
from gateway.ports import Outputs
from gateway.settings import HomeAssistantSettings
from gateway.stores.home_assistant import HomeAssistantStore
from tests.fakes import FakeBroker

PUMP = DeviceId("plant", "industrial", "pump-1")
STATE = "homeassistant/binary_sensor/edgefleet/plant_industrial_pump-1/state"
PROBLEM = "homeassistant/binary_sensor/edgefleet/plant_industrial_pump-1_problem/config"


def alert(rule: str, state: Any = "firing", *, identity: str = "a") -> Alert:
    """Return a transition of the pump."""
    return Alert(
        id=identity, site="plant", domain="industrial", device="pump-1", rule=rule, severity="warning", state=state,
        onset_s=1.0, at_s=2.0, trigger_s=2.0, score=0.9, summary=f"{rule} it is",
    )  # fmt: skip


def window() -> Point:
    """Return a point of the pump."""
    return Point("industrial", {"site": "plant", "device": "pump-1"}, {"score": 0.1}, 1)


@pytest.fixture
def broker() -> FakeBroker:
    """Return a broker without a network."""
    return FakeBroker()


def store(broker: FakeBroker, **given: Any) -> HomeAssistantStore:
    """Return a store for the gateway ``edge-1``."""
    return HomeAssistantStore(broker, HomeAssistantSettings(), "edge-1", DOMAINS, **given)


def retained(broker: FakeBroker, topic: str) -> dict[str, Any]:
    """Return the message that stands on a topic."""
    found: dict[str, Any] = json.loads(broker.retained[topic])
    return found


async def test_device_appears_with_its_first_window(broker: FakeBroker) -> None:
    """What the integration needs stands in it: unique id, device, class, availability by the gateway's will."""
    await store(broker).write([Outputs(points=[window()])])
    config = retained(broker, PROBLEM)
    assert config["unique_id"] == "edgefleet_plant_industrial_pump-1_problem"
    assert config["device"]["identifiers"] == ["plant_industrial_pump-1"]
    assert config["device"]["model"] == "pump skid"
    assert config["device_class"] == "problem"
    assert config["state_topic"] == config["json_attributes_topic"] == STATE
    assert config["availability_topic"] == topics.gateway("edge-1", "state")
    assert retained(broker, STATE) == {
        "problem": "OFF",
        "connected": "ON",
        "rules": [],
        "severity": None,
        "summary": "",
    }


async def test_device_is_announced_once_and_speaks_only_when_something_changes(broker: FakeBroker) -> None:
    one = store(broker)
    await one.write([Outputs(points=[window()])])
    before = len(broker.published)
    await one.write([Outputs(points=[window(), window()])])
    assert len(broker.published) == before


async def test_alert_shows_and_clears(broker: FakeBroker) -> None:
    one = store(broker)
    await one.write([Outputs(alerts=[alert("anomaly")])])
    assert retained(broker, STATE)["problem"] == "ON"
    assert retained(broker, STATE)["summary"] == "anomaly it is"
    await one.write([Outputs(alerts=[alert("anomaly", "resolved")])])
    assert retained(broker, STATE)["problem"] == "OFF"


async def test_silence_is_connectivity_not_a_problem(broker: FakeBroker) -> None:
    one = store(broker)
    await one.write([Outputs(alerts=[alert("silent"), alert("anomaly", identity="b")])])
    assert (retained(broker, STATE)["connected"], retained(broker, STATE)["problem"]) == ("OFF", "ON")
    await one.write([Outputs(alerts=[alert("silent", "resolved"), alert("anomaly", "resolved", identity="b")])])
    assert (retained(broker, STATE)["connected"], retained(broker, STATE)["problem"]) == ("ON", "OFF")


async def test_restart_announces_what_was_known_and_fires(broker: FakeBroker) -> None:
    """Devices that send nothing now, and alerts from before, are there with the first write."""
    await store(broker, known=[PUMP], firing=[alert("anomaly")]).write([Outputs()])
    assert retained(broker, STATE)["problem"] == "ON"


async def test_gateways_figures_expire_with_its_health_topic(broker: FakeBroker) -> None:
    await store(broker).write([Outputs()])
    config = retained(broker, "homeassistant/sensor/edgefleet/gateway_edge-1_messages_per_s/config")
    assert config["state_topic"] == topics.gateway("edge-1", "health")
    assert config["expire_after"] == 120
    assert config["state_class"] == "measurement"


async def test_every_template_names_a_field_that_is_sent(broker: FakeBroker) -> None:
    await store(broker).write([Outputs(points=[window()])])
    sent = {STATE: set(retained(broker, STATE)), topics.gateway("edge-1", "health"): set(Health.__struct_fields__)}
    configs = [json.loads(payload) for topic, payload in broker.retained.items() if topic.endswith("/config")]
    assert len(configs) == 7
    for config in configs:
        field = config["value_template"].removeprefix("{{ value_json.").removesuffix(" }}")
        assert field in sent[config["state_topic"]]
    assert len({config["unique_id"] for config in configs}) == 7
