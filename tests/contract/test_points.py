"""Points: what lands in a store, with bounded tags and exact times."""

from __future__ import annotations

import math
import struct

import msgspec
import pytest
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


NAMES = ("a_mean", "a_std", "score")


def numbers(*values: float) -> bytes:
    return struct.pack(f"<{len(values)}f", *values)


@pytest.mark.parametrize(
    ("values", "fields"),
    [
        ((0.5, -2.5, 0.75), {"a_mean": 0.5, "a_std": -2.5, "score": 0.75, "model_version": "1.2.0"}),
        ((0.5, math.nan, math.nan), {"a_mean": 0.5}),
        (
            (math.nan, 1e30, 1.0),
            {"a_std": struct.unpack("<f", numbers(1e30))[0], "score": 1.0, "model_version": "1.2.0"},
        ),
        ((math.nan, math.nan, math.nan), {}),
    ],
)
def test_row_has_the_fields_that_its_kind_names(values: tuple[float, ...], fields: dict[str, object]) -> None:
    """What is not a number is left out, and no version of a model stands without its score."""
    point = points.Point("m", {}, numbers(*values), 5, points.row_kind(NAMES, "1.2.0"))
    assert point.fields == fields
    assert msgspec.msgpack.decode(point.packed) == fields
    assert point == points.Point("m", {}, dict(point.fields), 5)


def test_row_without_a_model_has_no_version() -> None:
    assert points.Point("m", {}, numbers(1.0, 2.0, 3.0), 5, points.row_kind(NAMES)).fields == {
        "a_mean": 1.0, "a_std": 2.0, "score": 3.0,
    }  # fmt: skip


def test_row_is_the_same_after_a_pause_on_disk() -> None:
    """The outbox writes points as MessagePack."""
    point = points.Point("m", {"device": "d"}, numbers(1.0, 2.0, 3.0), 5, points.row_kind(NAMES, "1.2.0"))
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(point), type=points.Point) == point
