"""Hostile input is limited, with a reason: no crash, no unbounded memory, no quadratic time."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contract import topics
from contract.domains import INDUSTRIAL
from contract.topics import DeviceId
from gateway.intake import Intake, IntakeLimits
from gateway.ports import Batch, Message
from gateway.settings_file import SettingsError, parse
from tests.batches import START_S, pipeline, reading
from tests.faults.readers import read_bytes

LIMIT = 10_000


def strangers(count: int, *, first: int = 0) -> list[Message]:
    """Return one message each of so many devices that nobody knows."""
    payload = reading(0)[1]
    return [(topics.telemetry(DeviceId("plant", "industrial", f"x-{n}")), payload) for n in range(first, first + count)]


def intake() -> Intake:
    return Intake({"industrial": INDUSTRIAL}, IntakeLimits(max_devices=LIMIT))


def test_hundred_thousand_devices_of_one_client_are_limited_with_a_reason() -> None:
    taking = intake()
    taken = [taking.take(Batch(1 + n, START_S + n, strangers(5000, first=5000 * n))) for n in range(20)]
    assert len(taking.devices("industrial")) == LIMIT
    refused = [message for one in taken for message in one.quarantined]
    assert len(refused) == 100_000 - LIMIT
    assert all(message.reason.startswith("devices:") for message in refused)


def test_device_that_never_sends_a_good_sample_is_accounted_for() -> None:
    """It has no window, and the tick after it asks for what its open ones hold."""
    through = pipeline()
    topic = topics.telemetry(DeviceId("plant", "industrial", "x"))
    refused = through.process(Batch(1, START_S, [(topic, b'{"ts": %f, "current_a": 1e9}' % START_S)]))
    assert refused.quarantined[0].reason.startswith("range:")
    (line,) = through.process(Batch(2, START_S + 5, ())).ledger
    assert (line.device, line.stored, line.quarantined) == ("x", 0, 1)
    assert through.process(Batch(3, START_S + 3600, ())).alerts == []  # it is silent, but has no time of its own
    offline = through.process(
        Batch(4, START_S + 3605, [(topics.state(DeviceId("plant", "industrial", "x")), b"offline")])
    )
    assert offline.alerts == []


@pytest.mark.parametrize("received_s", [100.0, START_S], ids=["the gateway's clock is not set", "it is"])
@pytest.mark.parametrize("ts", [4_102_444_800.0, 1.7e12, 1e18, 1e300])
def test_no_sample_is_from_after_this_century(ts: float, received_s: float) -> None:
    """Not even where the gateway's own clock cannot tell what is the future: calendars and nanoseconds end."""
    topic = topics.telemetry(DeviceId("plant", "industrial", "x"))
    given_up = pipeline().process(Batch(1, received_s, [(topic, b'{"ts": %r, "current_a": 1}' % ts)]))
    assert [message.reason.partition(":")[0] for message in given_up.quarantined] == ["clock"]


@pytest.mark.timeout(120)
def test_million_topics_leave_nothing_in_memory() -> None:
    """Beyond the limit a topic leaves no trace."""
    taking = intake()
    taking.take(Batch(1, START_S, strangers(LIMIT)))
    held, before = len(taking._telemetry), len(taking.dump())
    for n in range(500):
        odd = [(f"fleet/v1/a/industrial/b/telemetry/{n}-{m}", b"{}") for m in range(1000)]
        taken = taking.take(Batch(2 + n, START_S, [*strangers(1000, first=10**6 + 1000 * n), *odd]))
        assert len(taken.quarantined) == 2000
    assert (len(taking._telemetry), len(taking._indices)) == (held, LIMIT)
    assert len(taking.dump()) - before < 1000  # of the time that passed, nothing of the topics


def test_oversized_payload_is_refused_by_its_size_and_kept_up_to_the_limit() -> None:
    limits = IntakeLimits(max_payload_bytes=1024)
    taken = Intake({"industrial": INDUSTRIAL}, limits).take(Batch(1, START_S, [(reading(0)[0], b"[" * 10**7)]))
    (message,) = taken.quarantined
    assert message.reason.startswith("size: 10000000 bytes")
    assert len(message.payload) == 1024


def test_work_grows_with_the_number_of_messages_only() -> None:
    """Sixteen times the nonsense takes no more than some forty times as long; square would be 256."""
    spans = []
    for count in (2000, 32_000):
        nonsense = [
            (f"fleet/v1/s/industrial/d-{n % 50}/telemetry", b'{"ts": 1, "x": ' + b"[" * 40) for n in range(count)
        ]
        taking = intake()
        best = float("inf")
        for _ in range(3):
            began_s = time.process_time()
            taking.take(Batch(1, START_S, nonsense))
            best = min(best, time.process_time() - began_s)
        spans.append(best)
    assert spans[1] < 40 * spans[0] + 0.1


@given(st.binary(max_size=600))
@settings(max_examples=500, deadline=None)
def test_no_bytes_crash_a_reader(data: bytes) -> None:
    """What atheris looks for with coverage, hypothesis looks for at random: only errors that are ours."""
    read_bytes(data)


@given(
    st.text(max_size=300)
    | st.builds("{}: {}".format, st.sampled_from(["broker", "journal", "limits", "site"]), st.text())
)
@settings(max_examples=200, deadline=None)
def test_no_text_crashes_the_settings(text: str) -> None:
    try:
        parse(text, Path("gateway.yaml"), {})
    except SettingsError as error:
        if not error.faults:
            raise
