"""The agriculture domain: dairy cows with a wearable, three diseases, and two states that only look like one.

=====================  ==========================================================================================
event                  what is bent, and what follows
=====================  ==========================================================================================
respiratory_disease    fever of 1.2 … 2.2 K; breathless: heart rate and pressure up; dull: chews, eats, moves less
mastitis               fever of 0.8 … 1.8 K; udder pain: heart rate up; chews and eats less
lameness               no fever; lies more, walks and eats less and shorter; pain: heart rate and pressure up
oestrus                walks three to five times as much, a little warmer (0.3 … 0.5 K), chews less
heat_stress            the whole site: hot air warms every cow in the afternoon; vessels open, so pressure falls
=====================  ==========================================================================================

Time courses are shortened against the clinic (fever within 2 to 4 hours, gone within a day), so that a day shows a
case from beginning to end. Sources: Griffin et al. 2010, Vet. Clin. North Am. Food Anim. 26 (respiratory disease);
Fogsgaard et al. 2012, J. Dairy Sci. 95 (mastitis); Weigele et al. 2018, J. Dairy Sci.
101 (lameness); Firk et al. 2002, Livest. Prod. Sci. 75 and Reith and Hoy 2018, Animal 12 (oestrus); West 2003, J. Dairy
Sci. 86 (heat).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Final, Self

import numpy as np

from contract.domains import AGRICULTURE
from contract.topics import DeviceId
from simulator.cow import NOISE_WIDTH, Animal, Condition, Cow
from simulator.noise import Noise
from simulator.shapes import Course
from simulator.weather import HeatWave, Weather
from simulator.worlds import EventType, Fault, Plant, World, generator

HOUR_S: Final = 3600.0


def _between(rng: np.random.Generator, low: float, high: float) -> float:
    return float(rng.uniform(low, high))


@dataclass(frozen=True, slots=True, kw_only=True)
class RespiratoryDisease(Course):
    """Bovine respiratory disease; severity is the fever in kelvin."""

    label: ClassVar[str] = "respiratory_disease"

    @classmethod
    def draw(cls, onset_s: float, end_s: float, rng: np.random.Generator) -> Self:
        """Draw how high the fever is and how fast it rises."""
        severity, rise_s = _between(rng, 1.2, 2.2), _between(rng, 2.0, 4.0) * HOUR_S
        return cls(onset_s=onset_s, end_s=end_s, severity=severity, rise_s=rise_s, fall_s=1.5 * HOUR_S)

    def bend(self, condition: Condition, t_s: float) -> Condition:
        """Return the condition at ``t_s``: fever, breathlessness and sickness behaviour grow together."""
        fever_c = self.strength(t_s)
        sick = min(1.0, fever_c / 1.6)
        return replace(
            condition,
            fever_c=condition.fever_c + fever_c,
            stress=condition.stress + 0.9 * sick,
            appetite=condition.appetite * (1.0 - 0.6 * sick),
            cud_drive=condition.cud_drive * (1.0 - 0.6 * sick),
            lying_drive=condition.lying_drive * (1.0 + 0.5 * sick),
            walking_drive=condition.walking_drive * (1.0 - 0.6 * sick),
            vigour=condition.vigour * (1.0 - 0.2 * sick),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Mastitis(Course):
    """Clinical mastitis; severity is the fever in kelvin."""

    label: ClassVar[str] = "mastitis"

    @classmethod
    def draw(cls, onset_s: float, end_s: float, rng: np.random.Generator) -> Self:
        """Draw how high the fever is and how fast it rises."""
        severity, rise_s = _between(rng, 0.8, 1.8), _between(rng, 2.0, 4.0) * HOUR_S
        return cls(onset_s=onset_s, end_s=end_s, severity=severity, rise_s=rise_s, fall_s=1.5 * HOUR_S)

    def bend(self, condition: Condition, t_s: float) -> Condition:
        """Return the condition at ``t_s``: she lies less on a painful udder, so her activity hardly changes."""
        fever_c = self.strength(t_s)
        sick = min(1.0, fever_c / 1.2)
        return replace(
            condition,
            fever_c=condition.fever_c + fever_c,
            stress=condition.stress + 0.3 * sick,
            appetite=condition.appetite * (1.0 - 0.4 * sick),
            cud_drive=condition.cud_drive * (1.0 - 0.55 * sick),
            lying_drive=condition.lying_drive * (1.0 - 0.1 * sick),
            walking_drive=condition.walking_drive * (1.0 - 0.3 * sick),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Lameness(Course):
    """A painful claw; severity is the pain, 0 … 1."""

    label: ClassVar[str] = "lameness"

    @classmethod
    def draw(cls, onset_s: float, end_s: float, rng: np.random.Generator) -> Self:
        """Draw how painful the claw is and how fast it becomes so."""
        severity, rise_s = _between(rng, 0.55, 1.0), _between(rng, 2.0, 3.0) * HOUR_S
        return cls(onset_s=onset_s, end_s=end_s, severity=severity, rise_s=rise_s, fall_s=1.0 * HOUR_S)

    def bend(self, condition: Condition, t_s: float) -> Condition:
        """Return the condition at ``t_s``: standing hurts, so all that needs it becomes rarer and shorter."""
        pain = self.strength(t_s)
        return replace(
            condition,
            stress=condition.stress + pain,
            appetite=condition.appetite * (1.0 - 0.5 * pain),
            lying_drive=condition.lying_drive * (1.0 + 1.6 * pain),
            walking_drive=condition.walking_drive * (1.0 - 0.75 * pain),
            vigour=condition.vigour * (1.0 - 0.35 * pain),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Oestrus(Course):
    """A cow in heat; severity is her restlessness, 0 … 1."""

    label: ClassVar[str] = "oestrus"

    @classmethod
    def draw(cls, onset_s: float, end_s: float, rng: np.random.Generator) -> Self:
        """Draw how restless she is."""
        severity, rise_s = _between(rng, 0.65, 1.0), _between(rng, 1.5, 3.0) * HOUR_S
        return cls(onset_s=onset_s, end_s=end_s, severity=severity, rise_s=rise_s, fall_s=2.0 * HOUR_S)

    def bend(self, condition: Condition, t_s: float) -> Condition:
        """Return the condition at ``t_s``."""
        drive = self.strength(t_s)
        return replace(
            condition,
            fever_c=condition.fever_c + 0.4 * drive,
            appetite=condition.appetite * (1.0 - 0.2 * drive),
            cud_drive=condition.cud_drive * (1.0 - 0.4 * drive),
            lying_drive=condition.lying_drive * (1.0 - 0.6 * drive),
            walking_drive=condition.walking_drive * (1.0 + 4.0 * drive),
            vigour=condition.vigour * (1.0 + 0.4 * drive),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class HeatStress(Course):
    """A hot day over the whole site; severity is the air's mean temperature in °C."""

    label: ClassVar[str] = "heat_stress"

    @classmethod
    def draw(cls, onset_s: float, end_s: float, rng: np.random.Generator) -> Self:
        """Draw how hot the day is."""
        return cls(onset_s=onset_s, end_s=end_s, severity=_between(rng, 26.0, 29.0))

    def bend(self, condition: Condition, t_s: float) -> Condition:
        """Return the condition with hot air over the site; each cow's body does the rest."""
        del t_s  # the air itself knows when it comes and goes
        return replace(condition, heat_wave=HeatWave(onset_s=self.onset_s, end_s=self.end_s, mean_c=self.severity))


def _plants(
    site: str, names: Sequence[str], *, seed: int, start_s: float, faults: Mapping[str, Sequence[Fault[Condition]]]
) -> list[Plant]:
    """Return one cow for each name; the herd has one weather."""
    weather = Weather(site, seed)
    return [
        _cow(DeviceId(site, AGRICULTURE.name, name), seed, faults.get(name, ()), weather, start_s) for name in names
    ]


def _cow(device: DeviceId, seed: int, faults: Sequence[Fault[Condition]], weather: Weather, start_s: float) -> Cow:
    rng = generator(seed, device.site, device.domain, device.device)
    animal, noise = Animal.draw(rng), Noise(rng, NOISE_WIDTH)
    return Cow(device, animal=animal, faults=faults, weather=weather, noise=noise, start_s=start_s)


_DISEASE_S: Final = (8.0 * HOUR_S, 14.0 * HOUR_S)

WORLD: Final = World(
    domain=AGRICULTURE,
    plants=_plants,
    warm_up_s=8.0 * HOUR_S,
    events=(
        EventType(
            label="respiratory_disease",
            kind="fault",
            duration_s=_DISEASE_S,
            make=RespiratoryDisease.draw,
            aftermath_s=2.0 * HOUR_S,
        ),
        EventType(label="mastitis", kind="fault", duration_s=_DISEASE_S, make=Mastitis.draw, aftermath_s=2.0 * HOUR_S),
        EventType(label="lameness", kind="fault", duration_s=_DISEASE_S, make=Lameness.draw, aftermath_s=1.0 * HOUR_S),
        EventType(
            label="oestrus",
            kind="look_alike",
            duration_s=(12.0 * HOUR_S, 18.0 * HOUR_S),
            make=Oestrus.draw,
            aftermath_s=1.0 * HOUR_S,
        ),
        EventType(
            label="heat_stress",
            kind="look_alike",
            duration_s=(10.0 * HOUR_S, 14.0 * HOUR_S),
            make=HeatStress.draw,
            whole_site=True,
            aftermath_s=3.0 * HOUR_S,
            hours=(6.0, 10.0),  # the air comes in the morning, so that the afternoon is hot
        ),
    ),
)
"""Dairy cows."""
