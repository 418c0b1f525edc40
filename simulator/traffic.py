"""Loop detectors along corridors: what breaks the traffic down, and what is only busy, slow or empty.

The road stands in ``simulator/road.py``, detectors and ordinary traffic in ``simulator/corridor.py``. Each fault
slows at least its own detector below 64 km/h within its span; ordinary peaks, nights and the look-alike never do.

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
from typing import ClassVar, Final, Self

import numpy as np

from contract.domains import TRAFFIC
from contract.topics import device_id
from simulator.corridor import Corridor, Section
from simulator.shapes import Course
from simulator.worlds import EventType, Fault, Plant, World

MINUTE_S: Final = 60.0
HOUR_S: Final = 3600.0
LONGEST: Final = 6
"""Most detectors in one corridor: about 4 km, which one queue fills."""


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
