"""A pump skid obeys its pump's laws; a fault leaves them in the direction that its mechanism gives."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from itertools import groupby, pairwise
from typing import Any

import numpy as np
import pytest

from contract.domains import INDUSTRIAL
from contract.topics import DeviceId
from simulator.industrial import WORLD
from simulator.pump import HEALTHY, WATT_PER_BAR_L_MIN, Condition, PumpSkid, Skid, operate
from simulator.worlds import Fault, generator

START_S = 1_760_000_000.0
ONSET_S, END_S = START_S + 300.0, START_S + 900.0
V1, V2, CURRENT, PRESSURE, MOTOR, FLUID, VOLTAGE, FLOW = range(8)
LABELS = [event.label for event in WORLD.events]
FAULTS = [event.label for event in WORLD.events if event.kind == "fault"]
SEEDS = range(5)

Trace = np.ndarray[Any, np.dtype[np.float64]]


def trace(
    seed: int = 1, *, faults: Sequence[Fault[Condition]] = (), seconds: int = 900, names: Sequence[str] = ("p1",)
) -> Trace:
    """Return the readings of ``p1``, one row a second."""
    plants = WORLD.plants("works", names, seed=seed, start_s=START_S, faults={"p1": faults})
    plant = next(plant for plant in plants if plant.devices == (DeviceId("works", "industrial", "p1"),))
    rows = [plant.step(START_S + second)[0] for second in range(seconds)]
    return np.array([[row[name] for name in INDUSTRIAL.channel_names] for row in rows])


def event(label: str, seed: int) -> Fault[Condition]:
    return WORLD.event(label).make(ONSET_S, END_S, np.random.default_rng(seed))


def relative(label: str, seed: int) -> Trace:
    """Return each channel's mean late in the event over its mean at the same time without."""
    late = slice(600, 900)
    with_event, without = trace(seed, faults=[event(label, seed)]), trace(seed)
    ratio: Trace = with_event[late].mean(axis=0) / without[late].mean(axis=0)
    return ratio


def test_same_seed_gives_the_same_readings_whatever_else_is_in_the_fleet() -> None:
    alone, among_others = trace(), trace(names=("p0", "p1", "p2"))
    assert np.array_equal(alone, among_others)
    assert not np.array_equal(alone, trace(seed=2))


@pytest.mark.parametrize("label", LABELS)
def test_an_event_changes_nothing_before_its_onset(label: str) -> None:
    assert np.array_equal(trace(faults=[event(label, 3)])[:300], trace()[:300])


@pytest.mark.parametrize("label", LABELS)
def test_an_event_bends_nothing_outside_its_span(label: str) -> None:
    fault = event(label, 3)
    for t_s in (ONSET_S - 1.0, END_S, END_S + 1.0):
        assert fault.bend(HEALTHY, t_s) == HEALTHY
    assert fault.bend(HEALTHY, (ONSET_S + END_S) / 2.0) != HEALTHY


@pytest.mark.parametrize("label", FAULTS)
def test_readings_are_normal_again_after_the_aftermath(label: str) -> None:
    """Flow, pressure and vibration come back within noise once event and aftermath are over."""
    over = 900 + int(WORLD.event(label).aftermath_s)
    healed, without = (trace(2, faults=faults, seconds=over + 300)[over:] for faults in ([event(label, 2)], []))
    for channel in (V1, V2, CURRENT, PRESSURE, FLOW):
        assert healed[:, channel].mean() == pytest.approx(without[:, channel].mean(), rel=0.01)


def test_closing_valve_lowers_flow_and_current_and_raises_pressure() -> None:
    for seed in SEEDS:
        ratio = relative("valve_closing", seed)
        assert ratio[FLOW] < 0.95
        assert ratio[PRESSURE] > 1.03
        assert ratio[CURRENT] < 1.0


def test_cavitation_lowers_flow_and_pressure_and_makes_both_and_the_pump_unsteady() -> None:
    for seed in SEEDS:
        sick, well = trace(seed, faults=[event("cavitation", seed)])[600:890], trace(seed)[600:890]
        assert sick[:, FLOW].mean() < well[:, FLOW].mean()
        assert sick[:, PRESSURE].mean() < well[:, PRESSURE].mean()
        assert sick[:, FLOW].std() > 1.2 * well[:, FLOW].std()
        rise = sick.mean(axis=0) / well.mean(axis=0)
        assert rise[V2] > 1.2
        assert rise[V2] > rise[V1]


def test_rotor_imbalance_raises_both_vibrations_and_nothing_else() -> None:
    for seed in SEEDS:
        ratio = relative("rotor_imbalance", seed)
        assert min(ratio[V1], ratio[V2]) > 1.2
        for channel in (CURRENT, PRESSURE, MOTOR, FLUID, VOLTAGE, FLOW):
            assert ratio[channel] == pytest.approx(1.0, abs=1e-3)


def test_bearing_wear_shakes_the_motor_unsteadily_and_takes_current() -> None:
    for seed in SEEDS:
        sick, well = trace(seed, faults=[event("bearing_wear", seed)])[600:890], trace(seed)[600:890]
        ratio = sick.mean(axis=0) / well.mean(axis=0)
        assert ratio[V1] > 1.1
        assert ratio[V1] > ratio[V2]
        assert ratio[CURRENT] > 1.0
        assert sick[:, V1].std() / sick[:, V1].mean() > 2.0 * well[:, V1].std() / well[:, V1].mean()


def test_leak_lowers_flow_and_pressure_and_raises_current() -> None:
    """With a slower pump the current would fall: this is what tells a leak from a new set-point."""
    for seed in SEEDS:
        ratio = relative("leak", seed)
        assert ratio[FLOW] < 0.98
        assert ratio[PRESSURE] < 0.97
        assert ratio[CURRENT] > 0.99


def test_overheating_warms_the_motor_and_leaves_the_hydraulics_alone() -> None:
    for seed in SEEDS:
        sick, well = trace(seed, faults=[event("overheating", seed)]), trace(seed)
        assert sick[890, MOTOR] > well[890, MOTOR] + 8.0
        assert np.all(np.diff(sick[350:890:60, MOTOR]) > 0.5)
        for channel in (V1, V2, CURRENT, PRESSURE, VOLTAGE, FLOW):
            assert np.array_equal(sick[:, channel], well[:, channel])


def test_set_point_change_follows_the_affinity_laws() -> None:
    """Pressure goes with the square of the flow and vibration with the square of the speed, as on a healthy pump."""
    for seed in SEEDS:
        ratio = relative("set_point_change", seed)
        speed = ratio[FLOW]
        assert abs(speed - 1.0) > 0.03
        assert ratio[PRESSURE] == pytest.approx(speed**2, rel=0.02)
        assert ratio[V1] == pytest.approx(speed**2, rel=0.02)
        assert (ratio[CURRENT] - 1.0) * (speed - 1.0) > 0.0


def test_stopped_pump_moves_nothing_and_comes_back() -> None:
    fault = event("start_stop", 1)
    course = trace(faults=[fault], seconds=1100)
    stopped, again = course[500:800], course[1000:]
    assert stopped[:, FLOW].mean() < 0.02 * again[:, FLOW].mean()
    assert stopped[:, CURRENT].mean() < 0.15 * again[:, CURRENT].mean()
    assert again[:, FLOW].mean() == pytest.approx(trace(seconds=1100)[1000:, FLOW].mean(), rel=0.01)


def test_energy_is_conserved_at_every_operating_point() -> None:
    """Electrical power covers shaft power, shaft power covers hydraulic power: no efficiency above one."""
    rng = np.random.default_rng(4)
    for seed in range(50):
        skid = Skid.draw(generator(seed, "skid"))
        condition = Condition(outlet_area=float(rng.uniform(0.2, 1.0)), leak=float(rng.uniform(0.0, 0.7)))
        point = operate(skid, condition, float(rng.uniform(0.3, 1.15)), 1.0)
        hydraulic_w = point.pump_flow * skid.flow_l_min * point.pressure * skid.pressure_bar * WATT_PER_BAR_L_MIN
        assert 0.0 < hydraulic_w < point.shaft_w < point.electric_w


def test_operating_point_lies_on_the_pump_curve() -> None:
    """Rated speed and a healthy loop give rated flow and pressure; a shut valve gives nearly the shut-off head."""
    for seed in range(20):
        skid = Skid.draw(generator(seed, "skid"))
        rated = operate(skid, HEALTHY, 1.0, 1.0)
        assert (rated.flow, rated.pressure) == pytest.approx((1.0, 1.0))
        assert rated.cavitation == 0.0
        shut = operate(skid, Condition(outlet_area=1e-3), 1.0, 1.0)
        assert shut.flow < 0.01
        assert shut.pressure == pytest.approx(skid.shut_off, rel=0.01)


def test_pressure_rises_steadily_as_the_valve_closes() -> None:
    skid = Skid.draw(generator(1, "skid"))
    points = [operate(skid, Condition(outlet_area=area), 1.0, 1.0) for area in np.linspace(1.0, 0.1, 20).tolist()]
    assert all(b.flow < a.flow and b.pressure > a.pressure for a, b in pairwise(points))


def test_a_day_with_every_event_stays_in_range_and_never_rests() -> None:
    """No value leaves the channel's range, jumps faster than it may, or repeats as long as a broken sensor's would."""
    rng = np.random.default_rng(9)
    faults = [
        event_type.make(START_S + 1800.0 * i + 300.0, START_S + 1800.0 * i + 300.0 + event_type.duration_s[1], rng)
        for i, event_type in enumerate(WORLD.events * 5)
    ]
    course = trace(5, faults=faults, seconds=72_000)
    assert np.isfinite(course).all()
    for index, channel in enumerate(INDUSTRIAL.channels):
        values = course[:, index]
        assert channel.low <= values.min()
        assert values.max() <= channel.high
        if channel.max_rate_per_s is not None:
            assert np.abs(np.diff(values)).max() < channel.max_rate_per_s
        if channel.flat_line_s is not None:
            assert max(len(list(run)) for _, run in groupby(values.tolist())) < 0.5 * channel.flat_line_s


def test_every_sensor_has_noise_of_its_own() -> None:
    """On a pump that runs steadily nearly every reading differs from the one before, in every channel."""
    course = trace(seconds=600)
    assert (np.diff(course, axis=0) != 0.0).mean(axis=0).min() > 0.8
    assert (np.diff(course, axis=0) < 0.0).mean(axis=0).min() > 0.3


def test_sizes_differ_between_skids() -> None:
    """Only relative features can serve a fleet: the largest pump is at least twice the smallest."""
    usual = np.array([trace(seed, seconds=30).mean(axis=0) for seed in range(12)])
    for channel in (V1, V2, CURRENT, PRESSURE, FLOW):
        assert usual[:, channel].max() > 2.0 * usual[:, channel].min()
    assert usual[:, [V1, V2]].min() > 0.02
    assert usual[:, [V1, V2]].max() < 0.5


def test_a_step_costs_few_calls() -> None:
    """Training steps millions of seconds: a step may make no more than some dozens of calls, in Python or C."""
    plant = WORLD.plants("works", ["p1"], seed=1, start_s=START_S, faults={})[0]
    assert calls(lambda: [plant.step(START_S + second) for second in range(1000)]) < 60 * 1000


def calls(work: Callable[[], object]) -> int:
    """Return how many functions are called while ``work`` runs."""
    count = 0

    def see(_frame: object, kind: str, _argument: object) -> None:
        nonlocal count
        count += kind in {"call", "c_call"}

    before = sys.getprofile()
    sys.setprofile(see)
    try:
        work()
    finally:
        sys.setprofile(before)
    return count


def test_world_holds_every_name_once() -> None:
    plants = WORLD.plants("works", ["a", "b", "c"], seed=1, start_s=START_S, faults={})
    assert [plant.devices[0].device for plant in plants] == ["a", "b", "c"]
    assert all(isinstance(plant, PumpSkid) for plant in plants)
