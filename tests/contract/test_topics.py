"""Topics: written and taken apart in one place, and nothing else passes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract import topics
from contract.errors import TopicError

identities = st.from_regex(r"[a-z0-9-]{1,64}", fullmatch=True)
DEVICE = topics.device_id("north-barn", "agriculture", "cow-7")


def test_topics_are_written_as_the_contract_says() -> None:
    assert topics.telemetry(DEVICE) == "fleet/v1/north-barn/agriculture/cow-7/telemetry"
    assert topics.state(DEVICE) == "fleet/v1/north-barn/agriculture/cow-7/state"
    assert topics.alert(DEVICE) == "fleet/v1/north-barn/agriculture/cow-7/alert"
    assert topics.gateway("edge-1", "health") == "gateway/v1/edge-1/health"
    assert str(DEVICE) == "north-barn/agriculture/cow-7"


@given(identities, identities, identities, st.sampled_from(["telemetry", "state", "alert"]))
def test_a_device_topic_comes_apart_as_it_was_put_together(site: str, domain: str, device: str, leaf: str) -> None:
    who = topics.device_id(site, domain, device)
    topic = {"telemetry": topics.telemetry, "state": topics.state, "alert": topics.alert}[leaf](who)
    assert topics.parse_device_topic(topic) == (who, leaf)


@pytest.mark.parametrize(
    "topic",
    [
        "",
        "fleet/v1/a/b/telemetry",
        "fleet/v1/a/b/c/d/telemetry",
        "fleet/v2/a/b/c/telemetry",
        "fleet/v1/a/b/c/telemetry/",
        "/fleet/v1/a/b/c/telemetry",
        "fleet/v1/A/b/c/telemetry",
        "fleet/v1//b/c/telemetry",
        "fleet/v1/a/b/c/telemetry\n",
        "fleet/v1/a/b/ü/telemetry",
        "fleet/v1/a/b/+/telemetry",
        f"fleet/v1/a/b/{'c' * 65}/telemetry",
        "fleet/v1/a/b/c/command",
        "gateway/v1/edge-1/state",
    ],
)
def test_other_topics_are_refused(topic: str) -> None:
    with pytest.raises(TopicError):
        topics.parse_device_topic(topic)


@pytest.mark.parametrize("text", ["", "a/b", "A", "a b", "+", "#", "a" * 65, "a\n"])
def test_an_identity_that_may_not_stand_in_a_topic_is_refused(text: str) -> None:
    with pytest.raises(TopicError, match="device = "):
        topics.device_id("site", "industrial", text)
