"""The draw of events."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import pytest

from contract.truth import Truth
from simulator.device_faults import DEVICE_FAULTS
from simulator.events import RECOVERY_PERIODS, Draw, Events, Shares, Span
from simulator.worlds import World

NOON_S = 1_700_000_000.0 // 86400 * 86400 + 43_200.0
SPAN = Span(start_s=NOON_S - 7200.0, live_s=NOON_S, end_s=NOON_S + 120.0)
NAMES = tuple(f"d-{number}" for number in range(12))
SEEDS = range(20)


def draw(world: World, seed: int, span: Span = SPAN, shares: Shares | None = None) -> Events:
    return Draw(world, "here", NAMES, span, seed).events(shares or Shares())


def reach(truth: Truth) -> set[str]:
    return {truth.device, *truth.affected}


@pytest.mark.parametrize("seed", SEEDS)
def test_events_of_one_device_never_meet_and_leave_it_time_to_recover(world: World, seed: int) -> None:
    """Weather aside, two events that reach the same device are a recovery time apart."""
    recovery_s = RECOVERY_PERIODS * world.domain.period_s
    for one, other in combinations([truth for truth in draw(world, seed).truths if truth.fault != "heat"], 2):
        if reach(one) & reach(other):
            first, second = sorted((one, other), key=lambda truth: truth.onset_s)
            assert second.onset_s >= first.end_s + recovery_s


@pytest.mark.parametrize("seed", SEEDS)
def test_no_event_of_the_world_begins_before_the_warm_up_is_over(world: World, seed: int) -> None:
    for truth in draw(world, seed).truths:
        if truth.kind != "device_fault":
            assert truth.onset_s >= SPAN.start_s + world.warm_up_s
        assert SPAN.start_s <= truth.onset_s < SPAN.end_s


def test_the_same_seed_draws_the_same_events_and_another_seed_others(world: World) -> None:
    assert draw(world, 3).truths == draw(world, 3).truths
    assert draw(world, 3).truths != draw(world, 4).truths


def test_half_of_the_devices_get_faults_and_no_device_gets_faults_and_look_alikes(world: World) -> None:
    """One more of the twelve has its fault in the live part."""
    alone = replace(world, affected=lambda _names, _device: ())
    truths = [truth for truth in draw(alone, 5).truths if truth.fault != "heat"]
    faulty = {truth.device for truth in truths if truth.kind == "fault"}
    alike = {truth.device for truth in truths if truth.kind == "look_alike"}
    assert len(faulty) == 6 + 1
    assert alike
    assert not faulty & alike


def test_an_event_begins_only_within_its_hours(world: World) -> None:
    """The busy look-alike begins by day; a span by night alone holds none."""
    night = Span(start_s=NOON_S + 32_400.0, live_s=NOON_S + 57_600.0, end_s=NOON_S + 57_660.0)
    assert any(truth.fault == "busy" for seed in SEEDS for truth in draw(world, seed).truths)
    assert not any(truth.fault == "busy" for seed in SEEDS for truth in draw(world, seed, night).truths)


def test_weather_hits_every_device_of_the_site_once_at_the_same_time(world: World) -> None:
    events = draw(world, 6)
    heat = [truth for truth in events.truths if truth.fault == "heat"]
    assert sorted(truth.device for truth in heat) == sorted(NAMES)
    assert len({(truth.onset_s, truth.end_s) for truth in heat}) == 1
    assert (
        len({id(fault) for faults in events.faults.values() for fault in faults if fault.onset_s == heat[0].onset_s})
        == 1
    )


def test_truth_spans_the_aftermath_and_names_who_else_is_affected(world: World) -> None:
    events = draw(world, 7)
    truth = next(truth for truth in events.truths if truth.fault == "high" and truth.device != NAMES[0])
    fault = next(fault for fault in events.faults[truth.device] if fault.onset_s == truth.onset_s)
    assert truth.end_s == fault.end_s + 30.0
    assert truth.affected == (NAMES[NAMES.index(truth.device) - 1],)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_fault_arises_about_the_beginning_of_the_live_part(world: World, seed: int) -> None:
    """Somebody who watches sees an alert arise."""
    onsets = [truth.onset_s for truth in draw(world, seed).truths if truth.kind == "fault"]
    assert any(SPAN.live_s - 200.0 <= onset_s < SPAN.end_s for onset_s in onsets)


def test_every_kind_of_device_fault_is_drawn_in_turn(world: World) -> None:
    truths = [
        truth.fault
        for first in range(len(DEVICE_FAULTS))
        for truth in Draw(world, "here", NAMES, SPAN, first).events(Shares(device_faults=0.1), first).truths
        if truth.kind == "device_fault"
    ]
    assert set(truths) == {kind.label for kind in DEVICE_FAULTS}


def test_without_shares_only_the_weather_is_left(world: World) -> None:
    truths = draw(world, 8, shares=Shares(faults=0.0, look_alikes=0.0, device_faults=0.0)).truths
    assert {truth.fault for truth in truths} == {"heat"}
