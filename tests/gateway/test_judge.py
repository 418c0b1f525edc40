"""The judge: alerts rise, hold and clear as their rule says, never faster than its cap, and the same in every run."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.domains import TRAFFIC
from contract.messages import Alert, Reason
from contract.topics import DeviceId
from gateway.alerts import Judge, Rule, Windows, alert_id, sensor_rules
from gateway.sensors import FLAT_LINE, SensorFaults

DEVICES = [DeviceId("town", "traffic", f"loop-{i}") for i in range(3)]
NAN = float("nan")
HOP_S = 60.0
MODEL = Rule(
    name="jam", domain="traffic", kind="model", severity="critical", raise_at=0.8, clear_at=0.5, model_version="7"
)
REASON = Reason(feature="speed_km_h", value=10.0, baseline=90.0, sigma=-8.0)

Row = tuple[int, float, bool, bool]
"""Device, score, whether covered, whether its sensor stands still."""


def rule(**changes: float) -> Rule:
    fields = {name: getattr(MODEL, name) for name in Rule.__slots__} | changes
    return Rule(**fields)


def judge(with_rule: Rule = MODEL) -> Judge:
    return Judge("traffic", [with_rule, *sensor_rules(TRAFFIC, window_s=2 * HOP_S)])


def ends(rows: Sequence[Row]) -> list[float]:
    """Return a window end for each row: every device has one a hop."""
    counts = dict.fromkeys(range(len(DEVICES)), 0)
    times = []
    for device, *_ in rows:
        counts[device] += 1
        times.append(counts[device] * HOP_S)
    return times


def run(room: Judge, rows: Sequence[Row], end_s: Sequence[float], *, warming: bool = False) -> list[Alert]:
    n = len(rows)
    at = np.array(end_s, float)
    covered = np.array([row[2] for row in rows], bool)
    windows = Windows(np.array([row[0] for row in rows], np.int64), at, at + 0.5, covered, np.full(n, warming))
    flat = np.array([row[3] for row in rows], bool)
    faults = SensorFaults(
        {FLAT_LINE: flat}, {(i, FLAT_LINE): "speed_km_h stands still" for i in np.flatnonzero(flat).tolist()}
    )
    scores = {"jam": np.array([row[1] for row in rows], np.float32)}
    return room.judge(windows, scores, faults, DEVICES, lambda window, name: (f"{name} in {window}", (REASON,)))


def transitions(scores: Sequence[float], with_rule: Rule = MODEL) -> list[tuple[str, float]]:
    """Return state and hop of the transitions that scores of one device give."""
    rows = [(0, score, True, False) for score in scores]
    return [(alert.state, alert.at_s / HOP_S) for alert in run(judge(with_rule), rows, ends(rows))]


def test_an_alert_rises_and_clears_with_hysteresis() -> None:
    scores = [0.7, 0.8, 0.6, 0.9, 0.5, 0.49, 0.7]
    assert transitions(scores) == [("firing", 2), ("resolved", 6)]


def test_an_alert_says_all_that_stores_and_people_need() -> None:
    rows = [(1, 0.2, True, False), (1, 0.9, True, False), (1, 0.1, True, False)]
    firing, resolved = run(judge(), rows, ends(rows))
    assert (firing.site, firing.domain, firing.device, firing.rule) == ("town", "traffic", "loop-1", "jam")
    assert (firing.severity, firing.model_version, firing.reasons) == ("critical", "7", (REASON,))
    assert (firing.onset_s, firing.at_s, firing.trigger_s) == (120.0, 120.0, 120.5)
    assert firing.summary == "jam in 1"
    assert firing.score == pytest.approx(0.9)
    assert (resolved.id, resolved.onset_s, resolved.at_s, resolved.state) == (firing.id, 120.0, 180.0, "resolved")
    assert resolved.score == pytest.approx(0.1)


def test_a_score_must_stay_up_for_the_raise_dwell() -> None:
    with_rule = rule(raise_dwell_s=2 * HOP_S)
    assert transitions([0.9, 0.9, 0.7, 0.9, 0.9, 0.9], with_rule) == [("firing", 6)]


def test_a_score_must_stay_down_for_the_clear_dwell() -> None:
    with_rule = rule(clear_dwell_s=2 * HOP_S)
    assert transitions([0.9, 0.1, 0.1, 0.6, 0.1, 0.1, 0.1], with_rule) == [("firing", 1), ("resolved", 7)]


def test_after_resolving_an_alert_cools_down() -> None:
    with_rule = rule(cooldown_s=3 * HOP_S)
    assert transitions([0.9, 0.1, 0.9, 0.9, 0.9], with_rule) == [("firing", 1), ("resolved", 2), ("firing", 5)]


def test_a_flapping_alert_is_held_until_the_hour_has_passed_and_says_so_once() -> None:
    with_rule = rule(max_flaps_per_hour=2)
    rows = [(0, score, True, False) for score in [0.9, 0.1] * 5 + [0.1] * 60]
    alerts = run(judge(with_rule), rows, ends(rows))
    assert [(alert.state, alert.at_s / HOP_S) for alert in alerts] == [
        ("firing", 1),
        ("resolved", 2),
        ("firing", 3),
        ("firing", 4),
        ("resolved", 61),
    ]
    assert alerts[3].id == alerts[2].id
    assert alerts[3].summary.startswith("flapping: fired 2 times within an hour")


def test_windows_without_coverage_or_score_hold_everything() -> None:
    silent = [(0, 0.0, False, False), (0, NAN, True, False)]
    rows = [(0, 0.9, True, False), *silent, (0, 0.9, True, False), *silent, (0, 0.1, True, False)]
    found = run(judge(rule(raise_dwell_s=HOP_S)), rows, ends(rows))
    assert [(alert.state, alert.at_s / HOP_S) for alert in found] == [("firing", 4), ("resolved", 7)]


def test_a_warming_device_is_watched_for_broken_sensors_only() -> None:
    rows = [(0, 0.9, True, False), (0, 0.9, True, True)]
    assert [alert.rule for alert in run(judge(), rows, ends(rows), warming=True)] == [FLAT_LINE]


def test_a_broken_sensor_never_reads_as_what_the_model_looks_for() -> None:
    """The model's rule is suspended in the very window in which the fault is seen, and until its alert resolves."""
    rows = [(0, 0.9, True, True), (0, 0.9, True, False), (0, 0.9, True, False), (0, 0.9, True, False)]
    found = run(judge(), rows, ends(rows))
    assert [(alert.rule, alert.state, alert.at_s / HOP_S) for alert in found] == [
        (FLAT_LINE, "firing", 1),
        (FLAT_LINE, "resolved", 4),
        ("jam", "firing", 4),
    ]
    assert found[0].summary == "speed_km_h stands still"
    assert found[0].model_version is None


def test_a_model_alert_that_fires_is_held_while_the_sensor_is_broken() -> None:
    rows = [(0, 0.9, True, False), (0, 0.1, True, True), (0, 0.1, True, False)]
    assert [(alert.rule, alert.state) for alert in run(judge(), rows, ends(rows))] == [
        ("jam", "firing"),
        (FLAT_LINE, "firing"),
    ]


def test_silence_rises_and_clears_and_suspends_nothing() -> None:
    room = judge()
    (firing,) = room.silence(DEVICES[0], 0, silent=True, at_s=500.0, words="nothing heard")
    assert (firing.rule, firing.onset_s, firing.summary) == ("silent", 500.0, "nothing heard")
    assert [alert.rule for alert in run(room, [(0, 0.9, True, False)], [60.0])] == ["jam"]
    assert room.open_alerts()[0] == firing
    (resolved,) = room.silence(DEVICES[0], 0, silent=False, at_s=700.0, words="heard of again")
    assert resolved.summary == "heard of again (was: nothing heard)"
    assert (resolved.id, resolved.state) == (firing.id, "resolved")
    assert [alert.rule for alert in room.open_alerts()] == ["jam"]


def test_a_mended_sensor_does_not_read_as_broken() -> None:
    rows = [(0, 0.1, True, True), *[(0, 0.1, True, False)] * 3]
    _, resolved = run(judge(), rows, ends(rows))
    assert resolved.summary == "flat_line has ended (was: speed_km_h stands still)"


def test_an_id_names_one_onset() -> None:
    ids = {
        alert_id(device, name, onset) for device in DEVICES for name in ("jam", "flat_line") for onset in (60.0, 60.5)
    }
    assert len(ids) == 12
    assert alert_id(DEVICES[0], "jam", 60.0) in ids
    assert all(len(one) == 10 and one.isalnum() for one in ids)


def test_rules_that_would_flap_are_refused() -> None:
    with pytest.raises(ValueError, match=r"clear_at = 0\.9 must not exceed raise_at = 0\.8"):
        rule(clear_at=0.9)
    with pytest.raises(ValueError, match="max_flaps_per_hour"):
        rule(max_flaps_per_hour=0)


def test_quiet_devices_leave_no_trace() -> None:
    room = judge()
    run(room, [(device, 0.79, True, False) for device in (0, 1, 2)], [60.0] * 3)
    assert room._tracks == {}


rows_of_windows = st.lists(
    st.tuples(
        st.integers(0, len(DEVICES) - 1),
        st.sampled_from([0.0, 0.45, 0.6, 0.85, 1.0, NAN]),
        st.sampled_from([True, True, True, False]),
        st.sampled_from([False, False, False, True]),
    ),
    max_size=80,
)
rules = st.builds(
    rule,
    raise_dwell_s=st.sampled_from([0.0, HOP_S, 3 * HOP_S]),
    clear_dwell_s=st.sampled_from([0.0, HOP_S]),
    cooldown_s=st.sampled_from([0.0, 2 * HOP_S]),
    max_flaps_per_hour=st.integers(1, 4),
)


@given(rows_of_windows, rules, st.lists(st.integers(0, 80), max_size=5))
def test_batching_and_restarts_change_nothing(rows: list[Row], with_rule: Rule, at: list[int]) -> None:
    times = ends(rows)
    whole_room = judge(with_rule)
    whole = run(whole_room, rows, times)
    room, parts = judge(with_rule), []
    cuts = sorted({0, len(rows), *(min(cut, len(rows)) for cut in at)})
    for start, end in pairwise(cuts):
        parts += run(room, rows[start:end], times[start:end])
        state = room.dump()
        room = judge(with_rule)
        room.load(state)
    # an explanation names the window's place in its batch, which is the one thing that batching may change
    assert [(alert.id, alert.state, alert.at_s, alert.score) for alert in parts] == [
        (alert.id, alert.state, alert.at_s, alert.score) for alert in whole
    ]
    assert {alert.id for alert in room.open_alerts()} == {alert.id for alert in whole_room.open_alerts()}


@given(rows_of_windows, rules)
def test_firing_and_resolved_alternate_and_never_faster_than_the_cap(rows: list[Row], with_rule: Rule) -> None:
    found = run(judge(with_rule), rows, ends(rows))
    for device in DEVICES:
        for name in ("jam", FLAT_LINE):
            mine = [a for a in found if (a.device, a.rule) == (device.device, name)]
            cap = with_rule.max_flaps_per_hour if name == "jam" else 6
            onsets = sorted({alert.onset_s for alert in mine})
            assert len({alert.id for alert in mine}) == len(onsets)
            assert all(sum(onset - 3600.0 < other <= onset for other in onsets) <= cap for onset in onsets)
            states = [
                alert.state for alert in mine if not alert.summary.startswith("flapping") or alert.state == "resolved"
            ]
            assert states == ["firing", "resolved"] * (len(states) // 2) + ["firing"] * (len(states) % 2)
