"""Loop detectors along corridors: what breaks the traffic down, and what is only busy, slow or empty.

A corridor is a row of detectors, 600 m apart, on one :class:`~simulator.road.Road` with a lane drop behind the last
detector whose capacity lies a little above the ordinary peak. So peaks pass, and anything that takes capacity or adds
demand makes a queue that travels upstream, and, when its cause is gone, dissolves through the lane drop.

==================  =====================================================================================
event               what is bent
==================  =====================================================================================
incident            capacity behind the detector falls by 55 … 80 % for 20 … 60 min
capacity_drop       work zone behind the detector: capacity falls by 45 … 55 % for 1 … 3 h
event_demand        1800 … 2400 veh/h more want to pass for 1 … 2 h
speed_limit         look-alike: a sign slows everybody to 82 … 88 % of the free speed, nobody queues
==================  =====================================================================================
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import ClassVar, Final, NamedTuple, Self

import numpy as np

from contract.domains import TRAFFIC
from contract.topics import DeviceId, device_id
from simulator.noise import Noise, Wander
from simulator.road import LANES, STEP_S, Diagram, Floats, Road
from simulator.shapes import Course
from simulator.weather import DAY_S
from simulator.worlds import EventType, Fault, Plant, World, generator

MINUTE_S: Final = 60.0
HOUR_S: Final = 3600.0
LONGEST: Final = 6
"""Most detectors in one corridor: about 4 km, which one queue fills."""
ENTRY_CELLS: Final = 2
CELLS_PER_DETECTOR: Final = 2
BOTTLENECK_VEH_H: Final = 4100.0
PEAK_VEH_H: Final = 3560.0
"""Ordinary peak; with the day's factor and the noise at their largest it stays below the bottleneck."""
DAY_SPREAD: Final = 0.03
NOISE_STD: Final = 0.03
NOISE_MAX: Final = 0.08
CLIP_SIGMA: Final = 3.0
STEPS: Final = round(TRAFFIC.period_s / STEP_S)

_WEEKDAY: Final = (
    (0.0, 3.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 14.0, 16.0, 17.0, 18.0, 19.0, 20.0, 22.0, 24.0),
    (0.10, 0.05, 0.20, 0.55, 0.90, 1.00, 0.90, 0.85, 0.86, 0.96, 1.00, 0.93, 0.75, 0.55, 0.30, 0.10),
)
_WEEKEND: Final = (
    (0.0, 4.0, 7.0, 9.0, 11.0, 15.0, 17.0, 19.0, 21.0, 24.0),
    (0.15, 0.06, 0.30, 0.84, 0.88, 0.90, 0.88, 0.72, 0.45, 0.15),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """The road behind one detector, and who wants to pass there; faults bend it."""

    capacity_share: float = 1.0
    extra_veh_h: float = 0.0
    """Demand beyond the ordinary, entering upstream."""
    free_speed_share: float = 1.0
    """Speed driven on the free corridor against what drivers would choose."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident(Course):
    """A crash or a breakdown blocks lanes at once; severity is the capacity lost."""

    label: ClassVar[str] = "incident"

    @classmethod
    def draw(cls, onset_s: float, end_s: float, rng: np.random.Generator) -> Self:
        """Draw the capacity lost."""
        return cls(onset_s=onset_s, end_s=end_s, severity=float(rng.uniform(0.55, 0.80)))

    def bend(self, parameters: Section, t_s: float) -> Section:
        """Take capacity behind the detector."""
        return replace(parameters, capacity_share=parameters.capacity_share * (1.0 - self.strength(t_s)))


@dataclass(frozen=True, slots=True, kw_only=True)
class CapacityDrop(Incident):
    """A work zone closes lanes within ten minutes; severity is the capacity lost."""

    label: ClassVar[str] = "capacity_drop"

    @classmethod
    def draw(cls, onset_s: float, end_s: float, rng: np.random.Generator) -> Self:
        """Draw the capacity lost."""
        severity = float(rng.uniform(0.45, 0.55))
        return cls(onset_s=onset_s, end_s=end_s, severity=severity, rise_s=10.0 * MINUTE_S)


@dataclass(frozen=True, slots=True, kw_only=True)
class EventDemand(Course):
    """A stadium empties: more vehicles than the lane drop can pass; severity in veh/h."""

    label: ClassVar[str] = "event_demand"

    @classmethod
    def draw(cls, onset_s: float, end_s: float, rng: np.random.Generator) -> Self:
        """Draw how many come."""
        severity, swell_s = float(rng.uniform(1800.0, 2400.0)), 15.0 * MINUTE_S
        return cls(onset_s=onset_s, end_s=end_s, severity=severity, rise_s=swell_s, fall_s=swell_s)

    def bend(self, parameters: Section, t_s: float) -> Section:
        """Add demand."""
        return replace(parameters, extra_veh_h=parameters.extra_veh_h + self.strength(t_s))


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeedLimit(Course):
    """A sign lowers the limit; severity is the share of speed lost. Flow stays, nobody queues."""

    label: ClassVar[str] = "speed_limit"

    @classmethod
    def draw(cls, onset_s: float, end_s: float, rng: np.random.Generator) -> Self:
        """Draw the limit."""
        severity = float(rng.uniform(0.12, 0.18))
        return cls(onset_s=onset_s, end_s=end_s, severity=severity, rise_s=5.0 * MINUTE_S, fall_s=5.0 * MINUTE_S)

    def bend(self, parameters: Section, t_s: float) -> Section:
        """Slow the free traffic down."""
        return replace(parameters, free_speed_share=parameters.free_speed_share * (1.0 - self.strength(t_s)))


class Loop(NamedTuple):
    """How one detector errs."""

    count_share: float
    speed_share: float
    length_km: float
    """Vehicle plus loop: what turns density into occupancy."""


class Conditions(NamedTuple):
    """The corridor within one minute."""

    extra_veh_h: float
    exits_veh_h: Floats
    free_speed_share: float


class Corridor:
    """Detectors in a row downstream, on one road, stepped a minute at a time."""

    def __init__(
        self,
        devices: Sequence[DeviceId],
        *,
        seed: int,
        start_s: float,
        faults: Mapping[str, Sequence[Fault[Section]]],
    ) -> None:
        """Draw the corridor from (seed, its first device) and fill it with free traffic."""
        self.devices = tuple(devices)
        first = devices[0]
        self._identity = (seed, first.site, first.domain, first.device)
        rng = generator(*self._identity)
        self._loops = [_draw_loop(rng) for _ in devices]
        diagram = Diagram(free_km_h=float(rng.uniform(98.0, 106.0)))
        self._noise = Noise(generator(*self._identity, "noise"), 1 + 3 * len(devices))
        self._wander = Wander(tau_s=20.0 * MINUTE_S, period_s=TRAFFIC.period_s)
        self._busy, self._busy_day = 1.0, -1
        self.cells = tuple(ENTRY_CELLS + CELLS_PER_DETECTOR * number for number in range(len(devices)))
        """The cell of each detector."""
        self._exits_veh_h = np.full(self.cells[-1] + 4, diagram.capacity_veh_h)
        self._exits_veh_h[self.cells[-1] + 1] = BOTTLENECK_VEH_H
        self.road = Road(diagram, len(self._exits_veh_h), self._demand_veh_h(start_s, 0.0))
        self._faults = [
            (cell, fault)
            for device, cell in zip(devices, self.cells, strict=True)
            for fault in faults.get(device.device, ())
        ]

    def step(self, t_s: float) -> list[dict[str, float]]:
        """Advance by one minute to ``t_s`` and return the reading of each detector."""
        numbers = self._noise.row()
        now = self._conditions(t_s)
        demand_veh_h = self._demand_veh_h(t_s, self._wander.step(numbers[0])) + now.extra_veh_h
        passed = self.road.advance(STEPS, demand_veh_h, now.exits_veh_h, free_speed_share=now.free_speed_share)
        flows, densities = passed.flow_veh_h.tolist(), passed.density_veh_km.tolist()
        return [
            self._read(loop, flows[cell], densities[cell], numbers[3 * i + 1 : 3 * i + 4])
            for i, (loop, cell) in enumerate(zip(self._loops, self.cells, strict=True))
        ]

    def _conditions(self, t_s: float) -> Conditions:
        """Return what holds now: each fault acts on the section behind its detector, or on the whole corridor."""
        extra_veh_h, exits_veh_h, free_speed_share = 0.0, self._exits_veh_h, 1.0
        for cell, fault in self._faults:
            if fault.onset_s <= t_s < fault.end_s:
                section = fault.bend(Section(), t_s)
                extra_veh_h += section.extra_veh_h
                free_speed_share *= section.free_speed_share
                if section.capacity_share < 1.0:
                    exits_veh_h = exits_veh_h.copy()
                    exits_veh_h[cell] *= section.capacity_share
        return Conditions(extra_veh_h, exits_veh_h, free_speed_share)

    def _demand_veh_h(self, t_s: float, wander: float) -> float:
        """Return who wants to pass: the hour's share of the peak, the day's factor, and noise."""
        day, second = divmod(t_s, DAY_S)
        if day != self._busy_day:
            self._busy_day = int(day)
            rng = generator(*self._identity, f"day {self._busy_day}")
            self._busy = float(rng.uniform(1.0 - DAY_SPREAD, 1.0 + DAY_SPREAD))
        shares = _SHARES[_is_weekend(self._busy_day)]
        noise = max(-NOISE_MAX, min(NOISE_MAX, NOISE_STD * wander))
        return PEAK_VEH_H * shares[int(second // MINUTE_S)] * self._busy * (1.0 + noise)

    def _read(self, loop: Loop, flow_veh_h: float, density_veh_km: float, numbers: list[float]) -> dict[str, float]:
        """Return what a loop counts and measures of the traffic above it, over one minute."""
        counting, speeding, covering = (max(-CLIP_SIGMA, min(CLIP_SIGMA, number)) for number in numbers)
        diagram = self.road.diagram
        passing = flow_veh_h * loop.count_share / 60.0
        count = max(0, round(passing + 0.7 * math.sqrt(passing) * counting))
        speed_km_h, spread_km_h = diagram.free_km_h, 0.3
        if count:
            load = flow_veh_h / diagram.capacity_veh_h
            speed_km_h = flow_veh_h / density_veh_km * (1.0 - 0.1 * load * load)
            stop_and_go = speed_km_h * (0.012 + 0.06 * max(0.0, 1.0 - speed_km_h / diagram.free_km_h))
            spread_km_h = math.hypot(min(7.0, 0.3 * speed_km_h) / math.sqrt(count), stop_and_go)
        occupancy = density_veh_km / LANES * loop.length_km * (1.0 + 0.05 * covering)
        return {
            "flow_veh_h": 60.0 * count,
            "occupancy_pct": 100.0 * min(1.0, occupancy),
            "speed_km_h": max(0.0, speed_km_h * loop.speed_share + spread_km_h * speeding),
        }


def plants(
    site: str,
    names: Sequence[str],
    *,
    seed: int,
    start_s: float,
    faults: Mapping[str, Sequence[Fault[Section]]],
) -> list[Plant]:
    """Return the corridors of a site; ``names`` in order downstream."""
    return [
        Corridor([device_id(site, TRAFFIC.name, name) for name in corridor], seed=seed, start_s=start_s, faults=faults)
        for corridor in corridors(names)
    ]


def corridors(names: Sequence[str]) -> list[tuple[str, ...]]:
    """Split the detectors of a site into corridors of nearly equal length."""
    count = math.ceil(len(names) / LONGEST)
    bounds = [len(names) * number // count for number in range(count + 1)] if count else []
    return [tuple(names[low:high]) for low, high in pairwise(bounds)]


def affected(names: Sequence[str], device: str) -> tuple[str, ...]:
    """Return the rest of the device's corridor.

    Upstream the queue arrives; downstream it forms anew, at the lane drop, when a blocked section is opened again.
    """
    corridor = next(corridor for corridor in corridors(names) if device in corridor)
    return tuple(name for name in corridor if name != device)


def _draw_loop(rng: np.random.Generator) -> Loop:
    return Loop(
        count_share=float(rng.uniform(0.98, 1.02)),
        speed_share=float(rng.uniform(0.98, 1.02)),
        length_km=float(rng.uniform(0.0060, 0.0070)),
    )


def _is_weekend(day: int) -> bool:
    """Return whether a day is a Saturday or a Sunday: Unix time began on a Thursday."""
    return (day + 3) % 7 >= 5


def _per_minute(hours: Sequence[float], shares: Sequence[float]) -> tuple[float, ...]:
    return tuple(np.interp(np.arange(1440) / 60.0, hours, shares).tolist())


_SHARES: Final = (_per_minute(*_WEEKDAY), _per_minute(*_WEEKEND))

WORLD: Final = World(
    domain=TRAFFIC,
    warm_up_s=2.0 * HOUR_S,
    plants=plants,
    affected=affected,
    events=(
        EventType(
            label=Incident.label,
            kind="fault",
            duration_s=(20.0 * MINUTE_S, HOUR_S),
            make=Incident.draw,
            aftermath_s=70.0 * MINUTE_S,
            hours=(9.0, 18.0),
        ),
        EventType(
            label=CapacityDrop.label,
            kind="fault",
            duration_s=(HOUR_S, 3.0 * HOUR_S),
            make=CapacityDrop.draw,
            aftermath_s=HOUR_S,
            hours=(9.0, 17.0),
        ),
        EventType(
            label=EventDemand.label,
            kind="fault",
            duration_s=(HOUR_S, 2.0 * HOUR_S),
            make=EventDemand.draw,
            aftermath_s=45.0 * MINUTE_S,
            hours=(9.0, 18.0),
        ),
        EventType(
            label=SpeedLimit.label,
            kind="look_alike",
            duration_s=(0.5 * HOUR_S, 2.0 * HOUR_S),
            make=SpeedLimit.draw,
            aftermath_s=10.0 * MINUTE_S,
            hours=(6.0, 18.0),
        ),
    ),
)
"""Congestion: events, corridors and warm-up."""
