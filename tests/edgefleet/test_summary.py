"""The figures at the end of a run."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from contract.topics import DeviceId
from edgefleet.durations import parse_duration, shown
from edgefleet.scoring import Score
from edgefleet.summary import Latency, Summary, lost_samples
from gateway.ports import LedgerLine

A, B = DeviceId("s", "traffic", "a"), DeviceId("s", "traffic", "b")


def line(device: DeviceId, *, published: int, stored: int, quarantined: int = 0, lost: int = 0) -> LedgerLine:
    return LedgerLine(*(device.site, device.domain, device.device, published, stored), 0, 0, quarantined, lost, (), 0.0)


def test_nothing_is_lost_when_all_is_stored_or_quarantined() -> None:
    ledger = [line(A, published=100, stored=98, quarantined=2), line(B, published=50, stored=50)]
    assert lost_samples({A: 100, B: 50}, ledger) == 0


def test_loss_is_seen_by_numbers_by_the_tail_and_by_whole_devices() -> None:
    assert lost_samples({A: 100}, [line(A, published=100, stored=97, lost=3)]) == 3
    assert lost_samples({A: 100}, [line(A, published=95, stored=95)]) == 5
    assert lost_samples({A: 100, B: 50}, [line(A, published=100, stored=100)]) == 50


def test_a_retry_that_the_broker_never_confirmed_is_no_loss() -> None:
    """The gateway may know of a sample whose acknowledgement got lost on its way back."""
    assert lost_samples({A: 99}, [line(A, published=100, stored=100)]) == 0


def test_percentiles_are_of_the_values_that_were_measured() -> None:
    assert Latency.of([]) == Latency(p50=None, p99=None)
    assert Latency.of([number / 1000 for number in range(1, 101)]) == Latency(p50=50.0, p99=99.0)
    assert Latency.of([0.25]) == Latency(p50=250.0, p99=250.0)


def test_the_names_that_programs_read_stay_as_they_are() -> None:
    summary = Summary(
        published=1,
        stored=1,
        lost=0,
        quarantined=0,
        windows=0,
        inferences=0,
        alerts=0,
        truth={},
        latency_ms=Latency.of([]),
    )
    assert list(summary.as_dict()) == [
        *("published", "stored", "lost", "quarantined", "windows", "inferences", "alerts", "truth", "latency_ms")
    ]
    assert summary.as_dict()["latency_ms"] == {"p50": None, "p99": None}


def test_what_people_read_fits_a_terminal_of_eighty_columns() -> None:
    one = Score(
        faults=1234, detected=1234, undetectable=0, alerts=1234, true_alerts=1234, precision=0.99, recall=0.99,
        median_delay_s=7140.0, false_alarms_per_device_day=12.34, false_alarms={}, missed={}, device_faults=1,
        device_faults_noticed=1,
    )  # fmt: skip
    counts = dict.fromkeys(("published", "stored", "lost", "quarantined", "windows", "inferences", "alerts"), 9_999_999)
    summary = Summary(**counts, truth={"agriculture": one}, latency_ms=Latency.of([0.06]))
    file = io.StringIO()
    Console(width=80, file=file).print(summary.render())
    lines = file.getvalue().splitlines()
    assert "publish to alert stored 60 ms median, 60 ms p99" in lines
    assert any(text.split() == ["agriculture", "1234", "1234", "0.99", "1234", "0.99", "119.0", "min", "12.34"]
               for text in lines)  # fmt: skip
    assert len(lines) == 7


def test_a_run_without_a_live_alert_says_nothing_of_its_delay() -> None:
    counts = dict.fromkeys(("published", "stored", "lost", "quarantined", "windows", "inferences", "alerts"), 0)
    file = io.StringIO()
    Console(width=80, file=file).print(Summary(**counts, truth={}, latency_ms=Latency.of([])).render())
    assert "publish to alert" not in file.getvalue()


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90.0), ("60s", 60.0), ("1.5m", 90.0), ("24h", 86400.0), ("7d", 604800.0)]
)
def test_durations_are_read_as_people_type_them(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "-5s", "5 weeks", "s"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="such as 60s"):
        parse_duration(text)


def test_durations_are_shown_in_the_unit_that_fits() -> None:
    assert [shown(s) for s in (None, 45.0, 210.0, 9000.0, 259_200.0)] == ["-", "45 s", "3.5 min", "2.5 h", "3.0 d"]
