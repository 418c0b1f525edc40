"""A corridor of loop detectors, 600 m apart, on one road with a lane drop behind the last of them.

The lane drop's capacity lies a little above the ordinary peak. So peaks pass, and anything that takes capacity or adds
demand makes a queue that travels upstream and, when its cause is gone, dissolves through the lane drop.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from contract.domains import TRAFFIC
from contract.topics import DeviceId
from simulator.noise import Noise, Wander
from simulator.road import LANES, STEP_S, Diagram, Road
from simulator.weather import DAY_S
from simulator.worlds import Fault, generator

MINUTE_S: Final = 60.0
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


class Loop(NamedTuple):
    """How one detector errs."""

    count_share: float
    speed_share: float
    length_km: float
    """Vehicle plus loop: what turns density into occupancy."""


class Conditions(NamedTuple):
    """The corridor within one minute."""

    extra_veh_h: float
    exits_veh_h: list[float]
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
        self._exits_veh_h = [diagram.capacity_veh_h] * (self.cells[-1] + 4)
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
        return [
            self._read(loop, passed.flow_veh_h[cell], passed.density_veh_km[cell], numbers[3 * i + 1 : 3 * i + 4])
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
