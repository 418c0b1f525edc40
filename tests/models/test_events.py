"""Alerts are matched with faults as an operator would."""

from __future__ import annotations

from typing import Any

import pytest

from contract.messages import Alert
from contract.truth import Truth
from models.training.events import EventScore, Watch, merge, score_events

WATCH = Watch(slack_s=60.0, until_s=10_000.0, device_days=2.0)


def truth(**changes: Any) -> Truth:
    stated: dict[str, Any] = {
        "fault": "leak",
        "kind": "fault",
        "site": "plant",
        "domain": "industrial",
        "device": "pump-1",
        "onset_s": 1000.0,
        "end_s": 1600.0,
    }
    return Truth(**stated | changes)


def alert(onset_s: float, **changes: Any) -> Alert:
    stated: dict[str, Any] = {
        "id": f"{changes.get('device', 'pump-1')}-{onset_s}",
        "site": "plant",
        "domain": "industrial",
        "device": "pump-1",
        "rule": "anomaly",
        "severity": "warning",
        "state": "firing",
        "onset_s": onset_s,
        "at_s": onset_s,
        "trigger_s": onset_s,
        "score": 1.0,
        "summary": "",
    }
    return Alert(**stated | changes)


def scored(alerts: list[Alert], truths: list[Truth], watch: Watch = WATCH) -> EventScore:
    return score_events(alerts, truths, watch, rule="anomaly")


@pytest.mark.parametrize("onset_s", [1000.0, 1300.0, 1600.0, 1660.0])
def test_alert_within_fault_or_its_last_window_is_true(onset_s: float) -> None:
    result = scored([alert(onset_s)], [truth()])
    assert (result.precision, result.recall) == (1.0, 1.0)
    assert result.delays_s == (onset_s - 1000.0,)


@pytest.mark.parametrize("onset_s", [999.0, 1661.0])
def test_alert_outside_is_false_and_detects_nothing(onset_s: float) -> None:
    result = scored([alert(onset_s)], [truth()])
    assert (result.precision, result.recall) == (0.0, 0.0)
    assert result.blamed == (("nothing", 1),)


def test_alert_on_another_device_counts_only_where_the_fault_reaches() -> None:
    elsewhere = alert(1100.0, device="pump-2")
    assert scored([elsewhere], [truth()]).recall == 0.0
    assert scored([elsewhere], [truth(affected=("pump-2",))]).recall == 1.0


def test_alert_on_another_site_is_false() -> None:
    assert scored([alert(1100.0, site="other")], [truth()]).true_alerts == 0


def test_several_alerts_of_one_fault_are_all_true_but_detect_it_once() -> None:
    result = scored([alert(1300.0), alert(1100.0)], [truth()])
    assert (result.alerts, result.true_alerts, result.detected) == (2, 2, 1)
    assert result.delays_s == (100.0,)


def test_look_alike_is_no_fault_and_takes_the_blame() -> None:
    result = scored([alert(1100.0)], [truth(kind="look_alike", fault="start_stop")])
    assert (result.faults, result.precision) == (0, 0.0)
    assert result.blamed == (("start_stop", 1),)


def test_fault_at_the_end_of_the_data_is_not_asked_for_but_its_alerts_are_true() -> None:
    watch = Watch(slack_s=60.0, until_s=900.0)
    assert scored([], [truth()], watch).recall == 1.0
    result = scored([alert(1100.0)], [truth()], watch)
    assert (result.faults, result.precision) == (0, 1.0)


def test_resolved_and_other_rules_do_not_count() -> None:
    others = [alert(1100.0, state="resolved"), alert(1100.0, rule="flat_line")]
    assert scored(others, [truth()]).alerts == 0


def test_alert_that_flaps_counts_once() -> None:
    assert scored([alert(1100.0), alert(1100.0, at_s=1200.0)], [truth()]).alerts == 1


def test_merged_scores_add_up() -> None:
    first = scored([alert(1100.0), alert(5000.0)], [truth()])
    second = scored([], [truth(), truth(fault="valve_closing", onset_s=3000.0, end_s=3500.0)])
    both = merge([first, second])
    assert (both.faults, both.detected, both.alerts, both.true_alerts) == (3, 1, 2, 1)
    assert both.missed == (("leak", 1, 2), ("valve_closing", 1, 1))
    assert both.blamed == (("nothing", 1),)
    assert both.false_per_device_day == pytest.approx(0.25)
