"""A device's retained alert topic says what is wrong there now."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from contract import codec
from contract.messages import Alert
from gateway.ports import Outputs
from gateway.stores.alert_topic import AlertTopicStore
from tests.fakes import FakeBroker

TOPIC = "fleet/v1/s/industrial/p-1/alert"


def alert(name: str, **changes: Any) -> Alert:
    usual: dict[str, Any] = {
        "id": name,
        "site": "s",
        "domain": "industrial",
        "device": "p-1",
        "rule": "anomaly",
        "severity": "warning",
        "state": "firing",
        "onset_s": 1.0,
        "at_s": 1.0,
        "trigger_s": 1.5,
        "score": 0.9,
        "summary": "Vibration is up.",
    }
    return Alert(**(usual | changes))


async def write(store: AlertTopicStore, *alerts: Alert) -> None:
    assert await store.write([Outputs(alerts=[one]) for one in alerts]) == []


async def test_firing_alert_is_retained_on_its_device() -> None:
    broker = FakeBroker()
    await write(AlertTopicStore(broker), alert("a"))
    assert broker.published == [(TOPIC, codec.encode_alert(alert("a")), True)]


async def test_most_severe_alert_stands_on_the_topic() -> None:
    broker = FakeBroker()
    store = AlertTopicStore(broker)
    await write(
        store, alert("a", severity="critical"), alert("b", onset_s=9.0), alert("c", severity="info", onset_s=99.0)
    )
    assert codec.decode_alert(broker.retained[TOPIC]).id == "a"
    await write(store, alert("a", state="resolved", at_s=100.0))
    assert codec.decode_alert(broker.retained[TOPIC]).id == "b"


async def test_newer_of_two_equal_alerts_stands_on_the_topic() -> None:
    broker = FakeBroker()
    await write(AlertTopicStore(broker), alert("new", onset_s=9.0), alert("old", onset_s=2.0))
    assert codec.decode_alert(broker.retained[TOPIC]).id == "new"


async def test_topic_is_cleared_when_nothing_fires_any_more() -> None:
    broker = FakeBroker()
    store = AlertTopicStore(broker)
    await write(store, alert("a"))
    await write(store, alert("a", state="resolved"))
    assert broker.published[-1] == (TOPIC, b"", True)
    assert broker.retained == {}


async def test_one_batch_publishes_each_device_once_as_it_is_after_it() -> None:
    broker = FakeBroker()
    await write(AlertTopicStore(broker), alert("a"), alert("x", device="p-2"), alert("a", state="resolved"), alert("b"))
    assert [(topic, codec.decode_alert(payload).id) for topic, payload, _ in broker.published] == [
        (TOPIC, "b"),
        ("fleet/v1/s/industrial/p-2/alert", "x"),
    ]


async def test_restarted_store_knows_what_fires_and_publishes_nothing_by_itself() -> None:
    broker = FakeBroker()
    store = AlertTopicStore(broker, [alert("a"), alert("b", severity="critical")])
    assert broker.published == []
    await write(store, alert("b", severity="critical", state="resolved"))
    assert codec.decode_alert(broker.retained[TOPIC]).id == "a"


async def test_write_cut_short_by_a_lost_connection_publishes_the_same_when_repeated() -> None:
    broker = FakeBroker()
    store = AlertTopicStore(broker, [alert("a")])
    broker.disconnect()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(write(store, alert("a", state="resolved")), 0.01)
    broker.connect()
    await write(store, alert("a", state="resolved"))
    assert broker.published == [(TOPIC, b"", True)]


async def test_outputs_without_alerts_publish_nothing() -> None:
    broker = FakeBroker()
    assert await AlertTopicStore(broker).write([Outputs()]) == []
    assert broker.published == []
