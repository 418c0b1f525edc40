"""A pipeline goes on with other plans and loses nothing: not a window, not a sample, not an open alert."""

from __future__ import annotations

from dataclasses import replace

import pytest

from contract.points import Point
from gateway.alerts import Rule
from gateway.domain_pipeline import Plan
from gateway.frames import WindowSpec
from gateway.intake import IntakeLimits
from gateway.pipeline import Pipeline
from gateway.ports import Outputs
from gateway.sources.router import Sources
from tests.batches import START_S, batches, minutes, plan


def run(pipeline: Pipeline, *, change_at: int | None = None, plans: list[Plan] | None = None) -> Outputs:
    """Send four minutes through, in batches of seven; change the plans after some of them."""
    found = Outputs()
    messages = [*minutes(2), *minutes(2, first=120, flow_l_min=5.0)]
    for batch in batches(messages, size=7):
        if batch.position == change_at:
            pipeline.change(plans or [plan()], IntakeLimits(), Sources())
        add(found, pipeline.process(batch))
    add(found, pipeline.flush())
    return found


def add(found: Outputs, more: Outputs) -> None:
    """Append outputs."""
    for name in ("alerts", "points", "readings", "quarantined", "ledger"):
        getattr(found, name).extend(getattr(more, name))


def windows(outputs: Outputs) -> dict[int, Point]:
    """Return the points of windows by their end."""
    return {point.time_ns: point for point in outputs.points if point.measurement == "industrial"}


def samples(outputs: Outputs) -> int:
    """Return how many samples were stored, each block once."""
    blocks = {(each.start_ns, each.late): each for each in outputs.readings}  # the newest overwrites, as in a store
    return sum(each.count for each in blocks.values())


@pytest.mark.parametrize("change_at", [2, 11, 17, 30])
def test_change_that_leaves_windows_alone_changes_no_output(change_at: int) -> None:
    """As after a reload of sources, limits or thresholds of another domain: the outputs are those of a quiet run."""
    quiet, changed = (
        run(Pipeline([plan()], IntakeLimits())),
        run(Pipeline([plan()], IntakeLimits()), change_at=change_at),
    )
    assert windows(changed) == windows(quiet)
    assert changed.alerts == quiet.alerts
    assert changed.ledger[-1] == quiet.ledger[-1]
    assert samples(changed) == samples(quiet) == 240


def test_new_threshold_holds_from_the_next_window_on() -> None:
    eager = plan()
    eager = replace(
        eager, rules=tuple(replace(r, raise_at=0.1, clear_at=0.05) if r.name == "anomaly" else r for r in eager.rules)
    )
    quiet = run(Pipeline([plan()], IntakeLimits()))
    changed = run(Pipeline([plan()], IntakeLimits()), change_at=11, plans=[eager])
    assert min(a.onset_s for a in changed.alerts) < min(a.onset_s for a in quiet.alerts)


def test_other_windows_begin_anew_and_the_open_ones_are_closed() -> None:
    """A shelf with other windows: the samples of both are all stored, the old windows are judged as they are."""
    shorter = plan(length_s=30.0)
    changed = run(Pipeline([plan()], IntakeLimits()), change_at=17, plans=[shorter])
    quiet = run(Pipeline([plan()], IntakeLimits()))
    assert samples(changed) == 240
    assert windows(changed).keys() >= {end for end in windows(quiet) if end <= (START_S + 240) * 1e9}
    assert changed.ledger[-1].lost == 0
    assert changed.ledger[-1].stored == 240


def test_restart_with_other_windows_stores_what_waited_in_open_ones() -> None:
    """After a restart there is no old pipeline to close them; the samples come out one by one."""
    before = Pipeline([plan()], IntakeLimits())
    found = Outputs()
    sent = list(batches(minutes(4), size=7))
    for batch in sent[:17]:
        add(found, before.process(batch))
    after = Pipeline([plan(length_s=30.0, hop_s=15.0)], IntakeLimits())
    after.load(before.dump())
    for batch in sent[17:]:
        add(found, after.process(batch))
    add(found, after.flush())
    stored = sum(each.count for each in found.readings)
    assert stored >= 240
    assert found.ledger[-1].stored == 240


def test_what_a_change_gave_outlives_a_crash_before_the_next_batch() -> None:
    pipeline = Pipeline([plan()], IntakeLimits())
    for batch in list(batches(minutes(3), size=7))[:17]:
        pipeline.process(batch)
    pipeline.change([plan(length_s=30.0)], IntakeLimits(), Sources())
    again = Pipeline([plan(length_s=30.0)], IntakeLimits())
    again.load(pipeline.dump())
    (batch,) = batches(minutes(1, first=400)[:1], size=1)
    assert again.process(batch).readings == pipeline.process(batch).readings != []


def test_alert_whose_rule_is_gone_resolves() -> None:
    """Else it would fire in the stores for ever."""
    pipeline = Pipeline([plan()], IntakeLimits())
    *_, last = (pipeline.process(batch) for batch in batches(minutes(3, flow_l_min=5.0), size=60))
    assert [alert.rule for alert in pipeline.open_alerts()] == ["anomaly"]
    assert last is not None
    without = plan()
    rules: tuple[Rule, ...] = tuple(rule for rule in without.rules if rule.name != "anomaly")
    pipeline.change([replace(without, model=None, rules=rules)], IntakeLimits(), Sources())
    (batch,) = batches(minutes(1, first=180)[:1], size=1)
    assert [(a.rule, a.state) for a in pipeline.process(batch).alerts] == [("anomaly", "resolved")]
    assert pipeline.open_alerts() == []


def test_windows_of_the_same_shape_but_another_period_are_not_mixed_up() -> None:
    """Ten periods of one second and ten of two are arrays of one size; their slots mean different times."""
    one = replace(plan(), window=WindowSpec(length_s=10, hop_s=2, period_s=1, lateness_s=2))
    two = replace(plan(), window=WindowSpec(length_s=20, hop_s=4, period_s=2, lateness_s=4))
    before = Pipeline([one], IntakeLimits())
    sent = list(batches(minutes(2), size=7))
    for batch in sent[:8]:
        before.process(batch)
    after = Pipeline([two], IntakeLimits())
    after.load(before.dump())
    found = Outputs()
    for batch in sent[8:]:
        add(found, after.process(batch))
    ends = sorted(windows(found))
    assert ends
    assert all(START_S * 1e9 <= end <= (START_S + 130) * 1e9 for end in ends)
