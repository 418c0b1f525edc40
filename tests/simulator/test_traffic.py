"""Corridors: vehicles are conserved, capacity holds, queues travel upstream, and ordinary peaks do not break down."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import pytest

from contract.domains import TRAFFIC
from simulator.corridor import BOTTLENECK_VEH_H, Corridor, Section
from simulator.road import CELL_KM, STEP_S, Diagram, Road
from simulator.shapes import Course
from simulator.traffic import LONGEST, WORLD, Incident, corridors
from simulator.worlds import EventType, Fault, generator

MONDAY_S = 1_700_438_400.0  # 2023-11-20 00:00 UTC
DAY_S = 86400.0
HOUR_S = 3600.0
MINUTE_S = 60.0
CONGESTED_KM_H = 64.0
CALM_S = 1800.0
NAMES = tuple(f"loop-{number}" for number in range(LONGEST))
FAULTS = [event for event in WORLD.events if event.kind == "fault"]
LOOK_ALIKES = [event for event in WORLD.events if event.kind == "look_alike"]
Faults = Mapping[str, Sequence[Fault[Section]]]


class Watched:
    """A corridor that was run, with what its loops measured."""

    def __init__(self, seed: int, start_s: float, end_s: float, faults: Faults | None = None) -> None:
        """Run it at once, minute by minute."""
        (plant,) = WORLD.plants("city", NAMES, seed=seed, start_s=start_s, faults=faults or {})
        assert isinstance(plant, Corridor)
        self.corridor = plant
        self.times_s = [start_s + minute * MINUTE_S for minute in range(int((end_s - start_s) / MINUTE_S))]
        self.readings = [plant.step(t_s) for t_s in self.times_s]

    def channel(self, name: str, loop: int, from_s: float, to_s: float) -> list[float]:
        """Return what one loop measured within a span."""
        pairs = zip(self.times_s, self.readings, strict=True)
        return [readings[loop][name] for t_s, readings in pairs if from_s <= t_s < to_s]

    def first_congested_s(self, loop: int) -> float | None:
        """Return when a loop first saw slow traffic."""
        pairs = zip(self.times_s, self.readings, strict=True)
        return next((t_s for t_s, readings in pairs if readings[loop]["speed_km_h"] < CONGESTED_KM_H), None)


def drawn(event: EventType, seed: int) -> tuple[int, Fault[Section]]:
    """Draw an event of a type as a fleet does, at any loop, in its hours, on one of the days of a week."""
    rng = generator(seed, "test", event.label)
    onset_s = MONDAY_S + DAY_S * (seed % 7) + HOUR_S * float(rng.uniform(*event.hours))
    fault = event.make(onset_s, onset_s + float(rng.uniform(*event.duration_s)), rng)
    return int(rng.integers(len(NAMES))), fault


def watched_with(fault: Fault[Section], loop: int, seed: int, after_s: float) -> Watched:
    """Run a corridor from half an hour before a fault until ``after_s`` after it."""
    return Watched(seed, fault.onset_s - CALM_S, fault.end_s + after_s, {NAMES[loop]: [fault]})


def test_same_seed_gives_the_same_readings() -> None:
    """Nothing but the seed decides; another seed gives another corridor."""
    spans = (MONDAY_S, MONDAY_S + 6 * HOUR_S)
    assert Watched(5, *spans).readings == Watched(5, *spans).readings
    assert Watched(5, *spans).readings != Watched(6, *spans).readings


def test_corridor_does_not_depend_on_the_others() -> None:
    """An incident on one corridor changes nothing on the next one of the same site."""
    names = [f"loop-{number:02}" for number in range(2 * LONGEST)]
    incident = Incident(onset_s=MONDAY_S + 10 * HOUR_S, end_s=MONDAY_S + 11 * HOUR_S, severity=0.7)

    def run(faults: Faults) -> list[list[object]]:
        plants = WORLD.plants("city", names, seed=1, start_s=MONDAY_S + 9 * HOUR_S, faults=faults)
        return [[plant.step(MONDAY_S + 9 * HOUR_S + m * MINUTE_S) for m in range(180)] for plant in plants]

    calm, blocked = run({}), run({names[2]: [incident]})
    assert calm[0] != blocked[0]
    assert calm[1] == blocked[1]


@pytest.mark.parametrize("count", [0, 1, 6, 7, 10, 13, 40])
def test_corridors_hold_every_name_once_in_order(count: int) -> None:
    """The split is even, in order and complete, and a device's affected are the rest of its own corridor."""
    names = [f"loop-{number:02}" for number in range(count)]
    split = corridors(names)

    assert [name for corridor in split for name in corridor] == names
    assert all(0 < len(corridor) <= LONGEST for corridor in split)
    for corridor in split:
        for name in corridor:
            assert {name, *WORLD.affected(names, name)} == set(corridor)


@pytest.fixture
def road() -> Road:
    """Return forty cells of a road with free traffic."""
    return Road(Diagram(free_km_h=100.0), cells=40, demand_veh_h=3000.0)


def test_vehicles_are_conserved(road: Road) -> None:
    """Who wanted to pass is on the road, has left it, waits before it or has turned off, whatever is blocked."""
    open_road = [road.diagram.capacity_veh_h] * 40
    blocked = [*open_road[:30], 500.0, *open_road[31:]]
    began_veh = sum(road.vehicles)

    for minute in range(240):
        road.advance(6, 4500.0, blocked if 20 <= minute < 120 else open_road)
        accounted = sum(road.vehicles) + road.left_veh + road.waiting_veh + road.diverted_veh
        assert accounted == pytest.approx(began_veh + road.demanded_veh)
    assert road.diverted_veh > 0.0


def test_capacity_and_jam_density_are_never_exceeded(road: Road) -> None:
    """No border passes more than its capacity, no cell holds more than bumper to bumper, none fewer than nothing."""
    exits = [road.diagram.capacity_veh_h] * 40
    exits[25] = 1200.0
    for _ in range(300):
        passed = road.advance(1, 9000.0, exits)
        assert all(flow <= most + 1e-6 for flow, most in zip(passed.flow_veh_h, exits, strict=True))
        assert all(0.0 <= density <= road.diagram.jam_veh_km + 1e-6 for density in passed.density_veh_km)


def test_free_traffic_drives_at_free_speed(road: Road) -> None:
    """Below capacity the road is in balance: demand passes every cell, at the free speed."""
    passed = road.advance(60, 3000.0, [road.diagram.capacity_veh_h] * 40)
    assert passed.flow_veh_h == pytest.approx([3000.0] * 40)
    speeds = [flow / density for flow, density in zip(passed.flow_veh_h, passed.density_veh_km, strict=True)]
    assert speeds == pytest.approx([100.0] * 40)


def test_end_of_a_queue_travels_at_the_speed_of_the_shock(road: Road) -> None:
    """A queue's tail moves by the jump of flow over the jump of density (Rankine-Hugoniot)."""
    exits = [road.diagram.capacity_veh_h] * 40
    exits[38] = 1500.0
    queued_veh_km = road.diagram.jam_veh_km - 1500.0 / road.diagram.wave_km_h
    shock_km_h = (3000.0 - 1500.0) / (queued_veh_km - 3000.0 / 100.0)

    assert travel_km_h(road, exits, lambda density: density > 0.5 * queued_veh_km, 35, 25) == pytest.approx(
        shock_km_h, rel=0.05
    )


def test_start_wave_travels_upstream_at_the_backward_wave_speed(road: Road) -> None:
    """When a standing queue is let go, the news travels upstream at the wave speed of the diagram."""
    exits = [road.diagram.capacity_veh_h] * 40
    road.advance(720, 3000.0, [*exits[:38], 0.0, exits[39]])
    jam = road.diagram.jam_veh_km
    critical = road.diagram.capacity_veh_h / road.diagram.free_km_h

    assert travel_km_h(road, exits, lambda density: density < (jam + critical) / 2.0, 30, 15) == pytest.approx(
        road.diagram.wave_km_h, rel=0.05
    )


def travel_km_h(road: Road, exits: Sequence[float], arrived: Callable[[float], bool], lower: int, upper: int) -> float:
    """Return how fast a change travels from cell ``lower`` up to cell ``upper``."""
    times: dict[int, int] = {}
    for step in range(2000):
        densities = road.advance(1, 3000.0, exits).density_veh_km
        for cell in (lower, upper):
            if cell not in times and arrived(densities[cell]):
                times[cell] = step
    return (lower - upper) * CELL_KM / ((times[upper] - times[lower]) * STEP_S / HOUR_S)


@pytest.mark.parametrize("seed", range(7))
def test_ordinary_day_never_breaks_down(seed: int) -> None:
    """Peaks of every weekday pass below the lane drop's capacity; nights are noisy, not slow."""
    start_s = MONDAY_S + DAY_S * seed
    watched = Watched(seed, start_s, start_s + DAY_S)
    assert min(reading["speed_km_h"] for readings in watched.readings for reading in readings) >= CONGESTED_KM_H


def test_ordinary_peak_is_busy_and_a_little_slower_than_the_night() -> None:
    """At eight the flow is many times that of three o'clock and the mean speed a few per cent lower."""
    watched = Watched(2, MONDAY_S, MONDAY_S + DAY_S)
    night = (MONDAY_S + 2 * HOUR_S, MONDAY_S + 4 * HOUR_S)
    peak = (MONDAY_S + 7.5 * HOUR_S, MONDAY_S + 8.5 * HOUR_S)

    flows = [sum(watched.channel("flow_veh_h", 0, *span)) / (span[1] - span[0]) * MINUTE_S for span in (night, peak)]
    speeds = [sum(watched.channel("speed_km_h", 0, *span)) / (span[1] - span[0]) * MINUTE_S for span in (night, peak)]
    assert flows[0] * 5.0 < flows[1] < BOTTLENECK_VEH_H
    assert 0.9 < speeds[1] / speeds[0] < 0.99


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("event", FAULTS, ids=lambda event: event.label)
def test_fault_congests_its_detector_and_dissolves_within_its_aftermath(event: EventType, seed: int) -> None:
    """Traffic at the fault's own loop falls below 64 km/h in its span, and the whole corridor is free afterwards."""
    loop, fault = drawn(event, seed)
    watched = watched_with(fault, loop, seed, event.aftermath_s + CALM_S)
    over_s = fault.end_s + event.aftermath_s

    assert min(watched.channel("speed_km_h", loop, fault.onset_s, fault.end_s)) < CONGESTED_KM_H
    for other in range(len(NAMES)):
        assert min(watched.channel("speed_km_h", other, fault.onset_s - CALM_S, fault.onset_s)) >= CONGESTED_KM_H
        assert min(watched.channel("speed_km_h", other, over_s, over_s + CALM_S)) >= CONGESTED_KM_H


@pytest.mark.parametrize("seed", range(7))
@pytest.mark.parametrize("event", LOOK_ALIKES, ids=lambda event: event.label)
def test_look_alike_never_congests(event: EventType, seed: int) -> None:
    """Traffic becomes slower than on the same day without it, and stays above 64 km/h everywhere."""
    loop, alike = drawn(event, seed)
    watched = watched_with(alike, loop, seed, CALM_S)
    normal = Watched(seed, watched.times_s[0], alike.end_s)
    middle_s = (alike.onset_s + alike.end_s) / 2.0
    span = (middle_s - 5.0 * MINUTE_S, middle_s + 5.0 * MINUTE_S)

    assert min(reading["speed_km_h"] for readings in watched.readings for reading in readings) >= CONGESTED_KM_H
    assert max(watched.channel("speed_km_h", loop, *span)) < min(normal.channel("speed_km_h", loop, *span))


def test_incident_blocks_upstream_and_starves_downstream() -> None:
    """Behind an incident occupancy rises and speed falls; beyond it flow falls and traffic stays free."""
    incident = Incident(onset_s=MONDAY_S + 10 * HOUR_S, end_s=MONDAY_S + 10.5 * HOUR_S, severity=0.75)
    blocked = watched_with(incident, 3, 1, 0.0)
    normal = Watched(1, blocked.times_s[0], incident.end_s)
    span = (incident.onset_s + 10.0 * MINUTE_S, incident.end_s)

    assert min(blocked.channel("occupancy_pct", 3, *span)) > max(normal.channel("occupancy_pct", 3, *span))
    assert max(blocked.channel("speed_km_h", 3, *span)) < min(normal.channel("speed_km_h", 3, *span))
    assert max(blocked.channel("flow_veh_h", 5, *span)) < min(normal.channel("flow_veh_h", 5, *span))
    assert min(blocked.channel("speed_km_h", 5, *span)) >= CONGESTED_KM_H


@pytest.mark.parametrize("event", FAULTS, ids=lambda event: event.label)
def test_queue_reaches_loops_upstream_one_after_another(event: EventType) -> None:
    """Of two loops above the cause the one further upstream never breaks down earlier."""
    onset_s = MONDAY_S + 10 * HOUR_S
    fault = event.make(onset_s, onset_s + event.duration_s[1], generator(1, "queue"))
    watched = watched_with(fault, LONGEST - 1, 4, 0.0)
    arrivals = [watched.first_congested_s(loop) for loop in reversed(range(LONGEST))]
    reached = [arrival for arrival in arrivals if arrival is not None]

    assert len(reached) >= 3
    assert arrivals[: len(reached)] == sorted(reached)
    assert reached[0] < reached[-1]


def test_event_demand_flows_more_before_it_breaks_down() -> None:
    """The surge passes the first loops as flow beyond the ordinary before any queue stands."""
    loop, fault = drawn(WORLD.event("event_demand"), seed=3)
    assert isinstance(fault, Course)
    watched = watched_with(fault, loop, 3, 0.0)
    normal = Watched(3, watched.times_s[0], fault.end_s)
    span = (fault.onset_s, fault.end_s)
    assert max(watched.channel("flow_veh_h", 0, *span)) > max(normal.channel("flow_veh_h", 0, *span))


@pytest.mark.parametrize("event", WORLD.events, ids=lambda event: event.label)
def test_readings_stay_within_the_channels_ranges(event: EventType) -> None:
    """No event makes a loop measure what its channel table calls impossible."""
    for seed in range(3):
        loop, fault = drawn(event, seed)
        for readings in watched_with(fault, loop, seed, event.aftermath_s).readings:
            for reading in readings:
                assert list(reading) == list(TRAFFIC.channel_names)
                assert all(channel.low <= reading[channel.name] <= channel.high for channel in TRAFFIC.channels)


@pytest.mark.parametrize("event", WORLD.events, ids=lambda event: event.label)
def test_fault_bends_nothing_outside_its_span(event: EventType) -> None:
    """Before its onset and from its end on, a fault leaves the section as it was."""
    _, fault = drawn(event, seed=8)
    assert fault.bend(Section(), fault.onset_s - 1.0) == Section()
    assert fault.bend(Section(), fault.end_s) == Section()
    assert fault.bend(Section(), (fault.onset_s + fault.end_s) / 2.0) != Section()
