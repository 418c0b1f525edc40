"""The score, on cases written out by hand."""

from __future__ import annotations

import pytest

from contract.messages import Alert
from contract.truth import Kind, Truth
from edgefleet.scoring import Score, Tolerance, Watched, score

TOLERANCE = Tolerance(grace_s=100.0, margin_s=500.0)
LAST_S = 10_000.0


def truth(
    onset_s: float, end_s: float, *, device: str = "a", kind: Kind = "fault", label: str = "leak", **more: object
) -> Truth:
    affected = more.get("affected", ())
    assert isinstance(affected, tuple)
    return Truth(
        fault=label,
        kind=kind,
        site="s",
        domain="industrial",
        device=device,
        onset_s=onset_s,
        end_s=end_s,
        affected=affected,
    )


def alert(onset_s: float, *, device: str = "a", site: str = "s", model: str | None = "1") -> Alert:
    return Alert(
        id=f"{device}{onset_s}{model}",
        site=site,
        domain="industrial",
        device=device,
        rule="anomaly",
        severity="warning",
        state="firing",
        onset_s=onset_s,
        at_s=onset_s,
        trigger_s=onset_s,
        score=0.9,
        summary="",
        model_version=model,
    )


def scored(truths: list[Truth], alerts: list[Alert]) -> Score:
    watched = Watched(last_s={("s", "a"): LAST_S, ("s", "b"): LAST_S}, device_days=2.0)
    return score(truths, alerts, {"industrial": TOLERANCE}, {"industrial": watched})["industrial"]


@pytest.mark.parametrize(("onset_s", "found"), [(999.0, 0), (1000.0, 1), (1500.0, 1), (2100.0, 1), (2101.0, 0)])
def test_an_alert_is_true_from_the_onset_to_the_grace_after_the_end(onset_s: float, found: int) -> None:
    result = scored([truth(1000.0, 2000.0)], [alert(onset_s)])
    assert (result.true_alerts, result.detected) == (found, found)
    assert result.precision == float(found)


def test_an_alert_on_another_device_is_true_only_where_the_fault_shows() -> None:
    plain, shown = truth(1000.0, 2000.0), truth(1000.0, 2000.0, affected=("b",))
    assert scored([plain], [alert(1500.0, device="b")]).recall == 0.0
    assert scored([shown], [alert(1500.0, device="b")]).recall == 1.0
    assert scored([shown], [alert(1500.0, device="b", site="elsewhere")]).recall == 0.0


def test_recall_counts_faults_and_precision_counts_alerts() -> None:
    """Of three faults two are found, one of them by two alerts; one alert of four is false."""
    truths = [truth(1000.0, 1500.0), truth(3000.0, 3500.0), truth(3000.0, 3500.0, device="b", label="wear")]
    alerts = [alert(1200.0), alert(1400.0), alert(3100.0), alert(6000.0)]
    result = scored(truths, alerts)
    assert (result.faults, result.detected, result.alerts, result.true_alerts) == (3, 2, 4, 3)
    assert result.recall == pytest.approx(2 / 3)
    assert result.precision == 0.75
    assert result.missed == {"wear": 1}
    assert result.false_alarms == {"clean": 1}
    assert result.false_alarms_per_device_day == 0.5


def test_the_delay_runs_to_the_first_true_alert() -> None:
    truths = [truth(1000.0, 1500.0), truth(3000.0, 3500.0), truth(5000.0, 5500.0)]
    alerts = [alert(1300.0), alert(1200.0), alert(3010.0), alert(5400.0)]
    assert scored(truths, alerts).median_delay_s == 200.0


def test_a_fault_too_close_to_the_end_is_in_no_figure_but_its_alert_is_true() -> None:
    late = truth(LAST_S - 499.0, LAST_S + 1000.0)
    result = scored([late], [alert(LAST_S - 10.0)])
    assert (result.faults, result.undetectable, result.recall, result.precision) == (0, 1, None, 1.0)
    assert scored([truth(LAST_S - 500.0, LAST_S)], []).recall == 0.0


def test_a_fault_on_a_device_that_was_never_heard_of_is_missed() -> None:
    assert scored([truth(1000.0, 2000.0, device="mute")], []).missed == {"leak": 1}


def test_an_alert_during_a_look_alike_is_false_and_says_so() -> None:
    truths = [truth(1000.0, 2000.0, kind="look_alike", label="start_stop")]
    result = scored(truths, [alert(1500.0)])
    assert (result.faults, result.precision, result.false_alarms) == (0, 0.0, {"start_stop": 1})


def test_sensor_rules_are_counted_apart_against_device_faults() -> None:
    """They neither find a fault nor raise a false alarm of the model."""
    truths = [
        truth(1000.0, 2000.0),
        truth(3000.0, 4000.0, kind="device_fault", label="stuck_value"),
        truth(6000.0, 7000.0, kind="device_fault", label="drift"),
    ]
    result = scored(truths, [alert(1500.0, model=None), alert(3500.0, model=None)])
    assert (result.alerts, result.precision, result.recall) == (0, None, 0.0)
    assert (result.device_faults, result.device_faults_noticed) == (2, 1)


def test_a_domain_without_truth_or_alerts_divides_by_nothing() -> None:
    result = scored([], [])
    assert (result.precision, result.recall, result.median_delay_s) == (None, None, None)
    assert result.false_alarms_per_device_day == 0.0
