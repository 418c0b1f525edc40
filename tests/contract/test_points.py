"""Points: what lands in a store, with bounded tags and exact times."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from contract import points
from contract.domains import RETAIL
from contract.messages import Alert

ALERT = Alert(
    id="abcdefghij",
    site="plant",
    domain="industrial",
    device="pump-1",
    rule="anomaly",
    severity="critical",
    state="resolved",
    onset_s=100.0,
    at_s=160.5,
    trigger_s=161.0,
    score=0.1,
    summary="flow",
)


def test_an_alert_point_keeps_identity_in_tags_and_text_in_fields() -> None:
    point = points.alert_point(ALERT)
    assert point.measurement == "alerts"
    assert point.tags == {
        "site": "plant",
        "domain": "industrial",
        "device": "pump-1",
        "rule": "anomaly",
        "severity": "critical",
    }
    assert point.fields == {"id": "abcdefghij", "state": 0, "score": 0.1, "summary": "flow", "duration_s": 60.5}
    assert point.time_ns == 160_500_000_000


def test_a_firing_alert_is_one() -> None:
    assert points.alert_point(msgspec.structs.replace(ALERT, state="firing")).fields["state"] == 1


@given(st.integers(0, 4_000_000_000_000_000))
def test_nanoseconds_are_exact_to_the_microsecond(microseconds: int) -> None:
    assert points.nanoseconds(microseconds / 1e6) == microseconds * 1000


def test_summaries_have_measurements_of_their_own() -> None:
    assert points.summary(RETAIL, "hourly") == "retail_hourly"
    assert points.summary(RETAIL, "daily") == "retail_daily"
