"""A dairy cow with a wearable: what she does decides what her body does, minute by minute.

Behaviour is a state machine whose rates follow the clock of the barn, hunger, and the cud that waits to be chewed.
Every minute of feeding leaves cud, every minute of rumination takes it away, so a cow that eats less soon chews less.
The body follows the behaviour, the air and the illness with its own time constants.

===================== ======================= ==================================================================
quantity              drawn for a cow         source
===================== ======================= ==================================================================
core temperature      38.6 ± 0.12 °C          Merck Veterinary Manual: 38.0 … 39.3 °C
circadian swing       0.2 … 0.3 °C, at 18-21h Kendall and Webster 2009, Livest. Sci. 125: evening peak
feeding               4 … 6 h a day           DeVries et al. 2003, J. Dairy Sci. 86: at dawn, dusk, fresh feed
rumination            7 … 10 h a day          Beauchemin 2018, J. Dairy Sci. 101: bouts of half an hour, at night
lying                 10 … 15 h a day         Tucker et al. 2021, J. Dairy Sci. 104
heart rate at rest    58 … 74 bpm             Merck Veterinary Manual: 48 … 84 bpm; feeding + 10 … 15
fever and heart rate  + 8 … 11 bpm/K          as in man: 10 bpm/K, Davies and Maconochie 2009, Emerg. Med. J. 26
mean blood pressure   110 … 140 mmHg          conscious cattle: Wagner et al. 1990, Am. J. Vet. Res. 51
heat load             air above 22 … 24 °C    thermal-humidity index 68 … 72: Zimbelman et al. 2009
===================== ======================= ==================================================================
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, Self

import numpy as np

from contract.domains import AGRICULTURE
from contract.topics import DeviceId
from simulator.noise import Noise, Wander, uniform
from simulator.shapes import smooth_step
from simulator.weather import DAY_S, HeatWave, Weather
from simulator.worlds import Fault

PERIOD_S: Final = AGRICULTURE.period_s
HOUR_MIN: Final = 60
SETTLE_MIN: Final = 180
"""Minutes that a cow lives before her first reading, so that her behaviour and her last hour are her own."""
CUD_PER_FEEDING: Final = 2.5
"""Minutes of rumination that a minute of feeding asks for; a part of it passes unchewed."""
PASSAGE_MIN: Final = 720.0
"""Time constant with which cud leaves the rumen unchewed, minutes."""
NOISE_WIDTH: Final = 11
"""Random numbers that a cow takes a minute."""


class Doing(NamedTuple):
    """One behaviour: how long a bout lasts, and what it does to body and collar."""

    bout_min: float
    heart_bpm: float
    pressure_mmhg: float
    activity: float
    heat_k: float


LYING: Final = Doing(22.0, 0.0, 0.0, 0.03, 0.0)
RUMINATING: Final = Doing(33.0, 3.0, 1.0, 0.10, 0.0)
STANDING: Final = Doing(13.0, 5.0, 3.0, 0.16, 0.03)
FEEDING: Final = Doing(26.0, 12.0, 6.0, 0.42, 0.08)
WALKING: Final = Doing(4.5, 15.0, 8.0, 1.0, 0.12)


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """What illness, season and weather change on a cow; the default is a healthy cow on an ordinary day."""

    fever_c: float = 0.0
    """Shift of the temperature that her body defends."""
    appetite: float = 1.0
    """Drive to feed, and length of a meal, relative."""
    cud_drive: float = 1.0
    """Drive to ruminate, relative."""
    lying_drive: float = 1.0
    """Drive to lie, relative: lameness, sickness behaviour."""
    walking_drive: float = 1.0
    """Drive to walk, relative."""
    vigour: float = 1.0
    """Movement of the collar while she does what she does, relative."""
    stress: float = 0.0
    """Pain or breathlessness, 0 … 1: sympathetic tone raises heart rate and pressure."""
    tone_mmhg: float = 0.0
    """Shift of the blood pressure by the vessels."""
    heat_wave: HeatWave | None = None
    """Hot air over the site."""


HEALTHY: Final = Condition()


@dataclass(frozen=True, slots=True, kw_only=True)
class Animal:
    """What one cow is."""

    temperature_c: float
    swing_c: float
    peak_h: float
    """Hour at which her temperature peaks."""
    heart_bpm: float
    pressure_mmhg: float
    fever_bpm_per_k: float
    feeding: float
    """Individual factor of her appetite."""
    restless: float
    """Individual factor of her walking."""
    collar: float
    """How loosely the collar sits: individual factor of the activity index."""
    heat_from_c: float
    """Air temperature above which she cannot give off her heat."""
    heat_gain: float
    """Core warming for each kelvin above it."""

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Self:
        """Draw one cow."""

        def between(low: float, high: float) -> float:
            return float(rng.uniform(low, high))

        return cls(
            temperature_c=38.6 + 0.12 * float(np.clip(rng.standard_normal(), -2.5, 2.5)),
            swing_c=between(0.2, 0.3),
            peak_h=between(18.0, 21.0),
            heart_bpm=between(58.0, 74.0),
            pressure_mmhg=between(110.0, 140.0),
            fever_bpm_per_k=between(8.0, 11.0),
            feeding=between(0.9, 1.15),
            restless=between(0.7, 1.3),
            collar=between(0.85, 1.2),
            heat_from_c=between(22.0, 24.0),
            heat_gain=between(0.045, 0.065),
        )


class Cow:
    """One cow, stepped once a minute."""

    def __init__(
        self,
        device: DeviceId,
        *,
        animal: Animal,
        faults: Sequence[Fault[Condition]],
        weather: Weather,
        noise: Noise,
        start_s: float,
    ) -> None:
        """Let her live for some hours before ``start_s``, so that she does not begin as an average."""
        self.devices = (device,)
        self._animal = animal
        self._faults = tuple(faults)
        self._weather = weather
        self._noise = noise
        self._doing = LYING
        self._cud_min = 120.0
        self._hunger = 0.5
        self._chewed = [20.0 / HOUR_MIN] * HOUR_MIN
        self._minute = 0
        self._core_k = 0.0
        self._heat_load = 0.0
        self._pulse_bpm = animal.heart_bpm
        self._pressure_mmhg = animal.pressure_mmhg
        self._thermal = Wander(5400.0, PERIOD_S)
        self._mood = Wander(3600.0, PERIOD_S)
        self._vessels = Wander(5400.0, PERIOD_S)
        for minute in range(SETTLE_MIN, 0, -1):
            self.step(start_s - minute * PERIOD_S)

    def step(self, t_s: float) -> list[Mapping[str, float]]:
        """Advance by one minute and measure."""
        z = self._noise.row()
        condition = HEALTHY
        for fault in self._faults:
            if fault.onset_s <= t_s < fault.end_s:
                condition = fault.bend(condition, t_s)
        load_k = self._heat(condition, t_s)
        self._behave(condition, t_s, uniform(z[0]), uniform(z[1]))
        core_c = self._warm(condition, load_k, t_s, z[2])
        pulse = self._beat(condition, core_c, z[3])
        pressure = self._press(condition, z[4])
        chewing = self._chew(uniform(z[5]))
        activity = self._animal.collar * condition.vigour * self._doing.activity * math.exp(0.3 * z[6])
        return [
            {
                "heart_rate_bpm": _rounded(pulse + 1.5 * z[7], 100.0),
                "blood_pressure_mmhg": _rounded(pressure + 2.0 * z[8], 100.0),
                "body_temperature_c": _rounded(core_c + 0.03 * z[9], 1000.0),
                "activity_index": _rounded(min(10.0, activity + 0.01 * abs(z[10])), 10_000.0),
                "rumination_min_h": _rounded(chewing, 100.0),
            }
        ]

    def _heat(self, condition: Condition, t_s: float) -> float:
        """Return by how much the air is too warm for her, K."""
        air_c = self._weather.temperature_c(t_s)
        if condition.heat_wave is not None:
            air_c = condition.heat_wave.mix(air_c, t_s)
        return max(0.0, air_c - self._animal.heat_from_c)

    def _behave(self, condition: Condition, t_s: float, leave: float, choice: float) -> None:
        """Go on with the bout, or choose the next one by clock, hunger, cud and condition."""
        doing = self._doing
        self._cud_min -= self._cud_min / PASSAGE_MIN
        self._hunger = min(1.5, self._hunger + 1.0 / 190.0)
        length_min = doing.bout_min
        if doing is FEEDING:
            self._cud_min += CUD_PER_FEEDING
            self._hunger = max(0.0, self._hunger - 1.0 / 33.0)
            length_min *= condition.appetite
        elif doing is RUMINATING:
            self._cud_min -= 1.0
            length_min *= min(1.0, condition.cud_drive)
        elif doing is LYING:
            length_min *= condition.lying_drive
        if leave < 1.0 / length_min or (doing is RUMINATING and self._cud_min <= 0.0):
            self._doing = self._next(condition, t_s, choice)

    def _next(self, condition: Condition, t_s: float, choice: float) -> Doing:
        animal = self._animal
        hour = t_s % DAY_S / 3600.0
        light = daylight(hour)
        cool = 1.0 - 0.35 * self._heat_load
        weights = (
            (LYING, (1.5 - 0.9 * light) * condition.lying_drive * cool),
            (RUMINATING, 1.3 * (1.5 - 0.9 * light) * min(2.0, self._cud_min / 110.0) * condition.cud_drive * cool),
            (STANDING, (0.55 + 0.5 * light) * (2.0 - cool) / condition.lying_drive),
            (FEEDING, animal.feeding * meal_clock(hour) * self._hunger * condition.appetite * cool),
            (WALKING, animal.restless * (0.25 + 0.75 * light) * condition.walking_drive * cool),
        )
        left = choice * sum(weight for _, weight in weights)
        for doing, weight in weights:
            left -= weight
            if left < 0.0:
                return doing
        return LYING

    def _warm(self, condition: Condition, load_k: float, t_s: float, kick: float) -> float:
        """Return the core temperature: a defended level, and heat that comes and goes with the mass of a cow."""
        animal = self._animal
        self._heat_load += (min(1.2, load_k / 12.0) - self._heat_load) / 45.0
        self._core_k += (animal.heat_gain * load_k + self._doing.heat_k + condition.fever_c - self._core_k) / 40.0
        cycle = math.cos(2.0 * math.pi * (t_s / 3600.0 - animal.peak_h) / 24.0)
        return animal.temperature_c + animal.swing_c * cycle + self._core_k + 0.08 * self._thermal.step(kick)

    def _beat(self, condition: Condition, core_c: float, kick: float) -> float:
        """Return the heart rate: what she does, how warm she is, pain; it follows within minutes."""
        animal = self._animal
        aim = animal.heart_bpm + self._doing.heart_bpm + 9.0 * condition.stress + 4.0 * self._heat_load
        aim += animal.fever_bpm_per_k * (core_c - animal.temperature_c) + 3.0 * self._mood.step(kick)
        self._pulse_bpm += 0.4 * (aim - self._pulse_bpm)
        return self._pulse_bpm

    def _press(self, condition: Condition, kick: float) -> float:
        """Return the mean arterial pressure: vessels open in the heat, and close with pain."""
        aim = self._animal.pressure_mmhg + self._doing.pressure_mmhg + condition.tone_mmhg
        aim += 12.0 * condition.stress - 11.0 * self._heat_load + 4.5 * self._vessels.step(kick)
        self._pressure_mmhg += 0.4 * (aim - self._pressure_mmhg)
        return self._pressure_mmhg

    def _chew(self, share: float) -> float:
        """Return the minutes of chewing in the last hour, as the collar hears it."""
        self._chewed[self._minute] = 0.85 + 0.15 * share if self._doing is RUMINATING else 0.04 * share
        self._minute = (self._minute + 1) % HOUR_MIN
        return math.fsum(self._chewed)


def daylight(hour: float) -> float:
    """Return 0 at night and 1 by day: the barn's light and work, from 5 to 21 h."""
    return smooth_step((hour - 4.5) / 2.0) - smooth_step((hour - 19.5) / 2.0)


def meal_clock(hour: float) -> float:
    """Return the drive of the clock to feed: little at night, most after milking and fresh feed (6 and 17 h)."""
    morning, evening = math.exp(-(((hour - 7.0) / 1.7) ** 2)), math.exp(-(((hour - 17.5) / 2.0) ** 2))
    return 0.3 + 0.7 * daylight(hour) + 2.2 * morning + 2.2 * evening


def _rounded(value: float, per_unit: float) -> float:
    """Return what a sensor that resolves ``1 / per_unit`` shows; its values are never negative."""
    return int(value * per_unit + 0.5) / per_unit
