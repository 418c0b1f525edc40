"""Patterns, fields, units, times and names of sources; what they cost the wire contract: nothing."""

from __future__ import annotations

import math
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.domains import RETAIL
from contract.errors import PayloadError
from gateway.calendars import Calendar
from gateway.domain_pipeline import Plan
from gateway.frames import WindowSpec
from gateway.intake import Intake, Taken
from gateway.lane import IntakeLimits
from gateway.pipeline import Pipeline
from gateway.ports import Batch, Message
from gateway.sources import units
from gateway.sources.patterns import compile_pattern, topic_filter_matches
from gateway.sources.records import Path, number
from gateway.sources.router import Sources, compile_sources
from gateway.sources.settings import SourceSettings
from gateway.sources.source import slug
from gateway.sources.times import unix_s

NOW_S = 1_732_204_830.0
UTC = ZoneInfo("UTC")


def sources(**stated: Any) -> Sources:
    """Return one source of shelves."""
    stated = {"domain": "retail", "fields": {"temperature": "ambient_c"}, **stated}
    settings = SourceSettings.model_validate(stated)
    return compile_sources({"thermometers": settings}, {"retail": RETAIL}, {"retail": 60.0}, "UTC")


def intake(**stated: Any) -> Intake:
    """Return an intake with one source."""
    return Intake({"retail": RETAIL}, IntakeLimits(max_devices=2), sources(**stated))


def take(reader: Intake, *messages: Message) -> Taken:
    """Give messages to an intake."""
    return reader.take(Batch(1, NOW_S, messages))


@pytest.mark.parametrize(
    ("pattern", "topic", "parts"),
    [
        ("a/{device}", "a/x", {"device": "x"}),
        ("a/{device}", "a/x/y", None),
        ("a/{device}", "a/", None),
        ("{site}/+/{device}/#", "s/any/d", {"site": "s", "device": "d"}),
        ("{site}/+/{device}/#", "s//d/e/f", {"site": "s", "device": "d"}),
        ("a/x-{device}.z", "a/x-1.z", {"device": "1"}),
        ("a/x-{device}.z", "a/x-1yz", None),
        ("s/{device}_{field}", "s/big_room_relative_humidity", {"device": "big_room", "field": "relative_humidity"}),
        ("s/{device}_{field}", "s/big_room_light", None),
    ],
)
def test_pattern_finds_its_parts(pattern: str, topic: str, parts: dict[str, str] | None) -> None:
    assert compile_pattern(pattern, ["humidity", "relative_humidity"]).match(topic) == parts


@pytest.mark.parametrize(
    "pattern", ["", "$SYS/{device}", "a/{device}/{device}", "a/{De}", "a/#/b", "a/b#", "a/b+", "{"]
)
def test_pattern_that_cannot_be_subscribed_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"level|part|stands|begins"):
        compile_pattern(pattern)


@pytest.mark.parametrize(
    ("wanted", "topic", "comes"),
    [("a/+", "a/b", True), ("a/+", "a/b/c", False), ("a/#", "a", True), ("a/#", "a/b/c", True), ("a/b", "a", False)],
)
def test_filter_matches_as_mqtt_says(wanted: str, topic: str, comes: bool) -> None:  # noqa: FBT001  # a table
    assert topic_filter_matches(wanted, topic) is comes


def test_path_finds_names_places_and_names_with_dots() -> None:
    fields = {"a": {"b": [{"c": 7}]}, "x.y": 8, "p.q": {"r": 9}}
    found = [Path(text).find(fields) for text in ("a.b.0.c", "x.y", r"p\.q.r", "a.b.1.c", "a.b.c", "nowhere.c")]
    assert found == [7, 8, 9, None, None, None]


def test_words_stand_for_numbers_and_a_sensors_own_come_first() -> None:
    assert [number(value, {}) for value in (True, "ON", "closed", " 4.5 ", 3)] == [1.0, 1.0, 0.0, 4.5, 3.0]
    assert number("on", {"on": 7.0}) == 7.0
    assert all(math.isnan(number(value, {})) for value in ("unavailable", "", None, math.inf, "1e999"))
    refused: list[Any] = ["warm", [1], {}, 10**400]
    for value in refused:
        with pytest.raises(PayloadError):
            number(value, {})


@pytest.mark.parametrize(
    ("value", "given", "wanted", "expected"),
    [(32, "°F", "°C", 0), (212, "F", "°C", 100), (273.15, "K", "Cel", 0), (1, "bar", "hPa", 1000), (50, "%", "1", 0.5),
     (60, "Hz", "1/min", 3600), (36, "km/h", "m/s", 10), (9.80665, "m/s²", "g", 1), (1, "m³/h", "L/min", 1000 / 60),
     (500, "g", "kg", 0.5), (1500, "mA", "A", 1.5)],
)  # fmt: skip
def test_units_convert(value: float, given: str, wanted: str, expected: float) -> None:
    line = units.conversion(given, wanted)
    assert line is not None
    assert value * line[0] + line[1] == pytest.approx(expected, abs=1e-6)


def test_what_does_not_measure_the_same_has_no_conversion() -> None:
    assert units.conversion("°C", "bar") is None
    assert units.conversion("furlong", "m") is None


@pytest.mark.parametrize(
    ("value", "unit", "expected"),
    [(1.5e9, "auto", 1.5e9), (1.5e12, "auto", 1.5e9), (1.5e15, "auto", 1.5e9), (15 * 10**17, "auto", 1.5e9),
     (1.5e9, "ms", 1.5e6), ("1500000000", "auto", 1.5e9), ("2017-07-14T02:40:00Z", "auto", 1.5e9),
     ("2017-07-14T04:40:00.5+02:00", "auto", 1.5e9 + 0.5), ("2017-07-14T02:40:00.123456789Z", "auto", 1.5e9 + 0.123457),
     (None, "auto", None), ("", "auto", None)],
)  # fmt: skip
def test_times_are_told_by_their_size_or_text(value: Any, unit: Any, expected: float | None) -> None:
    assert unix_s(value, unit, UTC) == pytest.approx(expected)


def test_time_without_an_offset_is_of_its_zone() -> None:
    zone = ZoneInfo("Europe/Berlin")
    assert unix_s("2024-07-01T12:00:00", "auto", zone) == datetime(2024, 7, 1, 12, tzinfo=zone).timestamp()


@pytest.mark.parametrize("value", [True, [], "yesterday", 1e40, "1e999"])
def test_what_is_no_time_is_refused(value: Any) -> None:
    with pytest.raises(PayloadError):
        unix_s(value, "auto", UTC)


def test_foreign_names_are_written_in_the_contracts_letters() -> None:
    names = ("Kühlraum 1", "0x00158D", "a__b", "-x-", "y" * 80)
    assert [slug(name) for name in names] == ["kuhlraum-1", "0x00158d", "a-b", "x", "y" * 64]
    with pytest.raises(PayloadError):
        slug("冷")


def test_two_foreign_names_never_become_one_device() -> None:
    reader = intake(topic="t/{device}")
    taken = take(reader, ("t/a b", b'{"temperature":4}'), ("t/a_b", b'{"temperature":9}'))
    assert [float(v) for v in taken.columns["retail"].values[:, 4]] == [4.0]
    assert "would both be home/retail/a-b" in taken.quarantined[0].reason
    named = intake(topic="t/{device}", devices={"a_b": "other"})
    taken = take(named, ("t/a b", b'{"temperature":4}'), ("t/a_b", b'{"temperature":9}'))
    assert [device.device for device in named.devices("retail")] == ["a-b", "other"]


def test_names_taken_outlive_a_restart() -> None:
    reader = intake(topic="t/{device}")
    take(reader, ("t/a b", b'{"temperature":4}'))
    again = intake(topic="t/{device}")
    again.load(reader.dump())
    assert len(take(again, ("t/a_b", b'{"temperature":4}')).quarantined) == 1


def test_what_comes_by_a_filter_but_nobody_wants_is_passed_over() -> None:
    reader = intake(topic="t/{device}", format="json")
    taken = take(reader, ("t/lamp", b'{"state":"ON"}'))
    assert (taken.columns, taken.quarantined, list(reader.devices("retail"))) == ({}, [], [])


def test_limits_hold_for_sources_too() -> None:
    reader = intake(topic="t/{device}")
    taken = take(reader, *((f"t/{name}", b'{"temperature":4}') for name in "abc"), ("t/a", b" " * 70_000))
    assert [each.reason.split(":")[0] for each in taken.quarantined] == ["devices", "size"]


def test_a_field_that_is_no_number_quarantines_its_message() -> None:
    taken = take(intake(topic="t/{device}"), ("t/a", b'{"temperature":"warm"}'), ("t/a", b"{"))
    assert [each.reason.split(":")[:2] for each in taken.quarantined] == [["source", " thermometers"]] * 2


def test_burst_of_a_logger_in_messagepack_has_its_counters_and_times() -> None:
    reader = intake(
        topic="loggers/{site}/up",
        format="messagepack",
        site="{site}",
        device_field="serial",
        samples="readings",
        fields={"t_f": {"channel": "ambient_c", "unit": "°F", "scale": 0.1}},
        time={"field": "at", "unit": "ms"},
        seq="n",
    )
    readings = [{"at": 1_732_204_800_000 + 60_000 * i, "n": i, "t_f": 320 + 18 * i} for i in range(3)]
    taken = take(reader, ("loggers/farm/up", msgspec.msgpack.encode({"serial": "SN 42", "readings": readings})))
    columns = taken.columns["retail"]
    assert str(reader.devices("retail")[0]) == "farm/retail/sn-42"
    assert columns.seq.tolist() == [0, 1, 2]
    assert columns.ts.tolist() == [1_732_204_800.0, 1_732_204_860.0, 1_732_204_920.0]
    assert columns.values[:, 4].tolist() == pytest.approx([0.0, 1.0, 2.0], abs=1e-5)


def test_array_at_the_top_is_a_burst() -> None:
    payload = b'[{"temperature":4,"at":1732204700},{"temperature":5,"at":1732204760}]'
    taken = take(intake(topic="t/{device}", time="at"), ("t/a", payload))
    assert taken.columns["retail"].ts.tolist() == [1_732_204_700.0, 1_732_204_760.0]


def test_channels_that_come_one_by_one_meet_in_one_sample_of_the_window() -> None:
    """Temperature and footfall come 20 s apart, in batches of their own, and are one stored sample."""
    window = WindowSpec(length_s=120.0, hop_s=60.0, period_s=60.0, lateness_s=60.0)
    plan = Plan(domain=RETAIL, window=window, rules=(), calendar=Calendar())
    fields = {"temperature": "ambient_c", "people": "footfall_per_min"}
    ways = sources(topic="t/{device}/{field}", format="value", fields=fields)
    pipeline = Pipeline([plan], IntakeLimits(), ways)
    first_s = 1_732_204_800.0
    for minute in range(3):
        for position, (after_s, field, value) in enumerate(((5, "temperature", b"4.5"), (25, "people", b"12"))):
            batch = Batch(2 * minute + position, first_s + 60 * minute + after_s, [(f"t/a/{field}", value)])
            pipeline.process(batch)
    outputs = pipeline.flush()
    values = np.concatenate([np.frombuffer(part.values, "<f4").reshape(part.count, -1) for part in outputs.readings])
    assert values[:, 4].tolist() == [4.5] * len(values)
    assert values[:, 2].tolist() == [12.0] * len(values)
    assert outputs.ledger[0].stored == 3
    assert outputs.ledger[0].duplicate == 3, "the second half of each sample found its slot held"


words = st.sampled_from(["temperature", "at", "n", "who", "readings"])
documents = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.integers() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=4),
    max_leaves=10,
)


@given(documents)
def test_document_of_any_shape_is_read_or_quarantined(document: object) -> None:
    """Nothing that a hostile sensor sends raises: it is samples, nothing, or one quarantined message."""
    reader = intake(topic="t/{device}", device_field="who", time="at", seq="n", samples="readings", align=True)
    taken = take(reader, ("t/a", msgspec.json.encode(document)))
    assert len(taken.quarantined) <= 1


def test_native_telemetry_never_asks_a_source() -> None:
    """A telemetry topic of a known device is found before any source is looked at."""
    reader = intake(topic="#", device="all")
    native = ("fleet/v1/a/retail/b/telemetry", b'{"ts":1732204800,"ambient_c":4}')
    assert len(take(reader, native, native).columns["retail"].ts) == 2
    assert reader._sources.known(native[0]) is None
