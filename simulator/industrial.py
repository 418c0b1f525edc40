"""The industrial domain: pump skids, the faults that a maintenance model must find, and what only looks like one.

======================  =========================================================================================
event                   what is bent, and what follows
======================  =========================================================================================
valve_closing           outlet area to 0.3 … 0.7: flow, power and current fall, pressure rises
cavitation              suction falls below the NPSH: vibration at the pump, unsteady flow and head, both lower
rotor_imbalance         a steady tone of 0.6 … 2.5 x the healthy vibration, on both sensors
bearing_wear            knocking at the motor's side, unsteady from second to second; drag raises current and heat
leak                    0.2 … 0.6 of the metered flow is lost before the meter: flow and pressure fall, power rises
overheating             cooling to 0.15 … 0.5: the motor's body warms by degrees a minute, nothing else moves
set_point_change        speed to 0.8 … 0.94 or 1.05 … 1.12: all channels along the affinity laws
start_stop              speed to 0 and back
======================  =========================================================================================

The day cycle of the hall's air is always there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Final, Self

import numpy as np

from contract.domains import INDUSTRIAL
from contract.topics import DeviceId
from simulator.noise import Noise
from simulator.pump import NOISE_WIDTH, Condition, PumpSkid, Skid
from simulator.shapes import Course
from simulator.weather import Weather
from simulator.worlds import EventType, Fault, Plant, World, generator

MINUTE_S: Final = 60.0


def _between(rng: np.random.Generator, low: float, high: float) -> float:
    return float(rng.uniform(low, high))


@dataclass(frozen=True, slots=True, kw_only=True)
class ValveClosing(Course):
    """The outlet valve closes: flow falls, pressure rises; severity is the area lost."""

    label: ClassVar[str] = "valve_closing"

    @classmethod
    def draw(cls, onset_s: float, end_s: float, rng: np.random.Generator) -> Self:
        """Draw how far and how fast it closes."""
        severity, rise_s = _between(rng, 0.3, 0.7), _between(rng, 30.0, 120.0)
        return cls(onset_s=onset_s, end_s=end_s, severity=severity, rise_s=rise_s, fall_s=10.0)

    def bend(self, condition: Condition, t_s: float) -> Condition:
        """Return the condition with the valve as it is at ``t_s``."""
        return replace(condition, outlet_area=condition.outlet_area * (1.0 - self.strength(t_s)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Cavitation(Course):
    """The suction pressure falls below what the pump requires; severity in NPSH margins."""

    label: ClassVar[str] = "cavitation"

    @classmethod
    def draw(cls, onset_s: float, end_s: float, rng: np.random.Generator) -> Self:
        """Draw how far and how fast the suction pressure falls."""
        severity, rise_s = _between(rng, 1.3, 2.0), _between(rng, 30.0, 60.0)
        return cls(onset_s=onset_s, end_s=end_s, severity=severity, rise_s=rise_s, fall_s=10.0)

    def bend(self, condition: Condition, t_s: float) -> Condition:
        """Return the condition with the suction as it is at ``t_s``."""
        return replace(condition, suction_loss=condition.suction_loss + self.strength(t_s))


@dataclass(frozen=True, slots=True, kw_only=True)
class RotorImbalance(Course):
    """Deposits or a lost balance weight; severity in units of the healthy vibration."""

    label: ClassVar[str] = "rotor_imbalance"

    @classmethod
    def draw(cls, onset_s: float, end_s: float, rng: np.random.Generator) -> Self:
        """Draw how far and how fast the balance is lost."""
        severity, rise_s = _between(rng, 0.6, 2.5), _between(rng, 30.0, 120.0)
        return cls(onset_s=onset_s, end_s=end_s, severity=severity, rise_s=rise_s, fall_s=5.0)

    def bend(self, condition: Condition, t_s: float) -> Condition:
        """Return the condition with the rotor as it is at ``t_s``."""
        return replace(condition, imbalance=condition.imbalance + self.strength(t_s))


@dataclass(frozen=True, slots=True, kw_only=True)
class BearingWear(Course):
    """The motor's bearing pits; severity in units of the healthy vibration."""

    label: ClassVar[str] = "bearing_wear"

    @classmethod
    def draw(cls, onset_s: float, end_s: float, rng: np.random.Generator) -> Self:
        """Draw how rough the bearing becomes; it grows for half of the time, three minutes at most."""
        rise_s = min(180.0, 0.5 * (end_s - onset_s))
        return cls(onset_s=onset_s, end_s=end_s, severity=_between(rng, 0.6, 2.0), rise_s=rise_s, fall_s=5.0)

    def bend(self, condition: Condition, t_s: float) -> Condition:
        """Return the condition with the bearing as it is at ``t_s``."""
        return replace(condition, bearing_wear=condition.bearing_wear + self.strength(t_s))


@dataclass(frozen=True, slots=True, kw_only=True)
class Leak(Course):
    """A pipe leaks before the flow meter; severity is the flow lost relative to the flow left."""

    label: ClassVar[str] = "leak"

    @classmethod
    def draw(cls, onset_s: float, end_s: float, rng: np.random.Generator) -> Self:
        """Draw how large the leak is and how fast it opens."""
        severity, rise_s = _between(rng, 0.2, 0.6), _between(rng, 30.0, 90.0)
        return cls(onset_s=onset_s, end_s=end_s, severity=severity, rise_s=rise_s, fall_s=10.0)

    def bend(self, condition: Condition, t_s: float) -> Condition:
        """Return the condition with the leak as it is at ``t_s``."""
        return replace(condition, leak=condition.leak + self.strength(t_s))


@dataclass(frozen=True, slots=True, kw_only=True)
class Overheating(Course):
    """The cooling fails; severity is the share of the cooling that is lost."""

    label: ClassVar[str] = "overheating"

    @classmethod
    def draw(cls, onset_s: float, end_s: float, rng: np.random.Generator) -> Self:
        """Draw how much of the cooling is lost; it is lost within half a minute."""
        return cls(onset_s=onset_s, end_s=end_s, severity=_between(rng, 0.5, 0.85), rise_s=30.0)

    def bend(self, condition: Condition, t_s: float) -> Condition:
        """Return the condition with the cooling as it is at ``t_s``."""
        return replace(condition, cooling=condition.cooling * (1.0 - self.strength(t_s)))


@dataclass(frozen=True, slots=True, kw_only=True)
class SetPointChange(Course):
    """An operator asks for another speed and later for the old one; severity is the relative change."""

    label: ClassVar[str] = "set_point_change"

    @classmethod
    def draw(cls, onset_s: float, end_s: float, rng: np.random.Generator) -> Self:
        """Draw another normal operating point, reached within 1 to 30 s."""
        slower, faster, rise_s = _between(rng, -0.2, -0.06), _between(rng, 0.05, 0.12), _between(rng, 1.0, 30.0)
        change = slower if rng.random() < 0.6 else faster
        return cls(onset_s=onset_s, end_s=end_s, severity=change, rise_s=rise_s, fall_s=rise_s)

    def bend(self, condition: Condition, t_s: float) -> Condition:
        """Return the condition with the speed that is asked for at ``t_s``."""
        return replace(condition, speed=condition.speed * (1.0 + self.strength(t_s)))


@dataclass(frozen=True, slots=True, kw_only=True)
class StartStop(Course):
    """The pump is stopped and started again."""

    label: ClassVar[str] = "start_stop"

    @classmethod
    def draw(cls, onset_s: float, end_s: float, rng: np.random.Generator) -> Self:
        """Draw how gently the drive stops and starts."""
        ramp_s = _between(rng, 0.0, 15.0)
        return cls(onset_s=onset_s, end_s=end_s, severity=1.0, rise_s=ramp_s, fall_s=ramp_s)

    def bend(self, condition: Condition, t_s: float) -> Condition:
        """Return the condition with the speed that is asked for at ``t_s``."""
        return replace(condition, speed=condition.speed * (1.0 - self.strength(t_s)))


def _plants(
    site: str, names: Sequence[str], *, seed: int, start_s: float, faults: Mapping[str, Sequence[Fault[Condition]]]
) -> list[Plant]:
    """Return one skid for each name."""
    del start_s  # a skid starts warm: at the equilibrium of its rated set-point
    weather = Weather(site, seed)
    return [_skid(DeviceId(site, INDUSTRIAL.name, name), seed, faults.get(name, ()), weather) for name in names]


def _skid(device: DeviceId, seed: int, faults: Sequence[Fault[Condition]], weather: Weather) -> PumpSkid:
    rng = generator(seed, device.site, device.domain, device.device)
    return PumpSkid(device, Skid.draw(rng), faults, weather, Noise(rng, NOISE_WIDTH))


_FAULT_S: Final = (4.0 * MINUTE_S, 12.0 * MINUTE_S)

WORLD: Final = World(
    domain=INDUSTRIAL,
    plants=_plants,
    warm_up_s=10.0 * MINUTE_S,
    events=(
        EventType(label="valve_closing", kind="fault", duration_s=_FAULT_S, make=ValveClosing.draw, aftermath_s=30.0),
        EventType(label="cavitation", kind="fault", duration_s=_FAULT_S, make=Cavitation.draw, aftermath_s=30.0),
        EventType(label="rotor_imbalance", kind="fault", duration_s=_FAULT_S, make=RotorImbalance.draw),
        EventType(
            label="bearing_wear",
            kind="fault",
            duration_s=(6.0 * MINUTE_S, 12.0 * MINUTE_S),
            make=BearingWear.draw,
            aftermath_s=120.0,
        ),
        EventType(label="leak", kind="fault", duration_s=_FAULT_S, make=Leak.draw, aftermath_s=30.0),
        EventType(
            label="overheating",
            kind="fault",
            duration_s=(5.0 * MINUTE_S, 12.0 * MINUTE_S),
            make=Overheating.draw,
            aftermath_s=15.0 * MINUTE_S,  # the motor's body cools with its own time constant
        ),
        EventType(
            label="set_point_change",
            kind="look_alike",
            duration_s=(5.0 * MINUTE_S, 15.0 * MINUTE_S),
            make=SetPointChange.draw,
            aftermath_s=30.0,
        ),
        EventType(
            label="start_stop",
            kind="look_alike",
            duration_s=(2.0 * MINUTE_S, 6.0 * MINUTE_S),
            make=StartStop.draw,
            aftermath_s=60.0,
        ),
    ),
)
"""Pump skids."""
