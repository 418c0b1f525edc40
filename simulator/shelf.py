"""A shelf facing: customers take goods, rounds of staff bring them, a load cell weighs what stands there.

People pass (Poisson, by hour, weekday and day), some of them buy (Poisson, by price and weather, never more than there
is). Rounds follow the *plan*: when the sales expected since the last round reach a share of the shelf, staff come, a
few minutes late, and fill it up. What the plan knows (hour, weekday, promotion) is matched; what it does not know (a
surge, a theft, a missing delivery) empties the shelf. The load cell adds noise and a slow drift.

===================  ==================  ==============================================================
quantity             value               source
===================  ==================  ==============================================================
open                 7 … 22 h            European supermarket
course of the day    noon, 17-18 h peak  footfall counts of grocers; mean of 10 … 20 h is 1
turnover             21 … 27 %/h         fast mover (bread, milk): the facing is sold about three times a day
round                at 42 % planned     shelf stays well above a quarter full
elasticity           1.5 … 3             promotional price elasticity of groceries
load cell            0.4 … 0.8 % noise   industrial single-point cells, creep and temperature drift about 1 %
===================  ==================  ==============================================================
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

import numpy as np

from contract.domains import RETAIL
from contract.topics import DeviceId
from simulator.noise import Noise, Wander
from simulator.weather import DAY_S, Weather
from simulator.worlds import Fault, generator

HOUR_S: Final = 3600.0
OPEN_H: Final = 7.0
CLOSE_H: Final = 22.0
ROUND_AT_FRACTION: Final = 0.42
"""Planned sales since the last round, as a share of the shelf, at which the next round is called."""
ROUND_DELAY_S: Final = (300.0, 1200.0)
"""Mean and longest delay of a round."""
PROMOTION_DAYS: Final = 0.15
"""Share of days on which a shelf has a promotion of its own."""

_HOUR_KNOTS: Final = (7.0, 8.0, 9.0, 10.0, 11.5, 12.5, 14.5, 16.0, 17.5, 19.0, 20.0, 22.0)
_HOUR_LEVELS: Final = (0.45, 0.60, 0.75, 0.90, 1.10, 1.15, 0.85, 1.00, 1.20, 1.05, 0.80, 0.40)
_MINUTES: Final[tuple[float, ...]] = tuple(
    np.where(
        (np.arange(1440) >= OPEN_H * 60.0) & (np.arange(1440) < CLOSE_H * 60.0),
        np.interp(np.arange(1440) / 60.0, _HOUR_KNOTS, _HOUR_LEVELS),
        0.0,
    ).tolist()
)
_WEEKDAYS: Final = (0.94, 0.92, 0.95, 1.00, 1.08, 1.15, 0.96)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shelf:
    """What governs one facing; faults bend it."""

    capacity_units: int
    passers_per_min: float
    """People passing in a busy hour."""
    conversion: float
    """Units bought per passer at full price and 15 °C outdoors."""
    warmth_per_k: float
    """Relative change of conversion per kelvin outdoors: drinks sell in summer, soup in winter."""
    elasticity: float
    """Relative growth of sales per unit of discount."""
    discount_fraction: float = 0.0
    crowd: float = 1.0
    """Passers against the plan."""
    appetite: float = 1.0
    """Conversion against the plan."""
    stolen_per_min: float = 0.0
    """Share of the shelf that vanishes each minute without a sale."""
    supplied: bool = True
    """Whether goods are there when a round is due."""
    cleared_to: float = 1.0
    """Level down to which staff take goods off the shelf; 1 is no such work."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadCell:
    """How the stock is weighed: fractions of the full shelf."""

    noise: float
    drift: float
    """Standard deviation of the slow wander."""
    per_k: float
    """Error per kelvin away from 20 °C."""


class Moved(NamedTuple):
    """Units that left or reached the shelf within one step."""

    sold: int = 0
    stolen: int = 0
    refilled: int = 0
    """Negative while staff take goods off the shelf."""


class Today(NamedTuple):
    """What is particular about one day of one shelf."""

    busy: float
    discount_fraction: float


class ShelfPlant:
    """One facing, stepped a minute at a time."""

    def __init__(
        self, device: DeviceId, weather: Weather, *, seed: int, start_s: float, faults: Sequence[Fault[Shelf]] = ()
    ) -> None:
        """Draw the facing from (seed, device) and set it as it stands at ``start_s``."""
        self.devices = (device,)
        self._identity = (seed, device.site, device.domain, device.device)
        rng = generator(*self._identity)
        self.shelf, self.cell = _draw_shelf(rng), _draw_load_cell(rng)
        self.moved = Moved()
        self._weather = weather
        self._faults = tuple(faults)
        self._rng = rng
        self._noise = Noise(generator(*self._identity, "noise"), 3)
        self._drift = Wander(tau_s=6.0 * HOUR_S, period_s=RETAIL.period_s)
        self._today, self._today_day = Today(1.0, 0.0), -1
        self._round_s = np.inf
        self._filling = False
        self._open = _MINUTES[_minute(start_s)] > 0.0
        self._planned_units = float(rng.uniform(0.0, ROUND_AT_FRACTION)) * self.shelf.capacity_units * self._open
        self.stock_units = self.shelf.capacity_units - round(self._planned_units)
        self._indoor_c = _indoor_c(weather.temperature_c(start_s))

    def step(self, t_s: float) -> list[dict[str, float]]:
        """Advance by one minute to ``t_s`` and return the one reading of the facing."""
        outdoor_c = self._weather.temperature_c(t_s)
        self._indoor_c += (_indoor_c(outdoor_c) - self._indoor_c) * RETAIL.period_s / (2.0 * HOUR_S)
        today = self._day(t_s)
        shelf = self._shelf(t_s, today)
        planned_passers = shelf.passers_per_min * _MINUTES[_minute(t_s)] * _WEEKDAYS[_weekday(t_s)]
        buying = shelf.conversion * (1.0 + shelf.elasticity * shelf.discount_fraction)

        passers, wanted = 0, 0
        if planned_passers > 0.0:
            passers = int(self._rng.poisson(planned_passers * today.busy * shelf.crowd))
            weather = 1.0 + shelf.warmth_per_k * (outdoor_c - 15.0)
            wanted = int(self._rng.poisson(passers * buying * weather * shelf.appetite))
        self._call_rounds(t_s, shelf, planned_passers * buying)
        self.moved = self._move(shelf, wanted, arrived=self._round_s <= t_s)
        self.stock_units += self.moved.refilled - self.moved.sold - self.moved.stolen
        return [self._read(shelf, passers)]

    def _shelf(self, t_s: float, today: Today) -> Shelf:
        """Return the parameters as they are now: the day's promotion, then whatever bends them."""
        shelf = self.shelf
        if today.discount_fraction:
            shelf = replace(shelf, discount_fraction=today.discount_fraction)
        for fault in self._faults:
            if fault.onset_s <= t_s < fault.end_s:
                shelf = fault.bend(shelf, t_s)
        return shelf

    def _day(self, t_s: float) -> Today:
        """Return what is particular about the day; the same whenever the shelf was switched on."""
        day = int(t_s // DAY_S)
        if day != self._today_day:
            rng = generator(*self._identity, f"day {day}")
            discount = draw_discount(rng) if rng.random() < PROMOTION_DAYS else 0.0
            self._today, self._today_day = Today(float(rng.uniform(0.9, 1.1)), discount), day
        return self._today

    def _call_rounds(self, t_s: float, shelf: Shelf, planned_per_min: float) -> None:
        """Call staff when the plan says so, and once more after closing, so that the night begins full."""
        self._planned_units += planned_per_min
        was_open, self._open = self._open, planned_per_min > 0.0
        due = self._planned_units >= ROUND_AT_FRACTION * shelf.capacity_units
        if due or (was_open and not self._open):
            self._planned_units = 0.0
            mean_s, longest_s = ROUND_DELAY_S
            self._round_s = min(self._round_s, t_s + min(float(self._rng.exponential(mean_s)), longest_s))

    def _move(self, shelf: Shelf, wanted: int, *, arrived: bool) -> Moved:
        """Settle who takes and who brings, in that order; an arrived round waits for its goods."""
        left = self.stock_units
        sold = min(wanted, left)
        stolen = min(round(shelf.stolen_per_min * shelf.capacity_units), left - sold)
        left -= sold + stolen
        if shelf.cleared_to < 1.0:
            self._filling = True
            missing = round(shelf.cleared_to * shelf.capacity_units) - left
            return Moved(sold, stolen, max(-_by_hand(shelf), min(missing, _by_hand(shelf))))
        self._filling = shelf.supplied and (self._filling or arrived)
        if self._filling:
            self._round_s = np.inf
        refilled = min(_by_hand(shelf), shelf.capacity_units - left) if self._filling else 0
        self._filling = self._filling and left + refilled < shelf.capacity_units
        return Moved(sold, stolen, refilled)

    def _read(self, shelf: Shelf, passers: int) -> dict[str, float]:
        """Return what the sensors of the facing say."""
        noise, drift, air = self._noise.row()
        cell = self.cell
        shaken = 4.0 if self._filling else 1.0
        error = (
            cell.noise * noise * shaken + cell.drift * self._drift.step(drift) + cell.per_k * (self._indoor_c - 20.0)
        )
        return {
            "stock_fraction": self.stock_units / shelf.capacity_units + error,
            "sales_per_min": float(self.moved.sold),
            "footfall_per_min": float(passers),
            "discount_fraction": shelf.discount_fraction,
            "ambient_c": self._indoor_c + 0.06 * air,
        }


def _draw_shelf(rng: np.random.Generator) -> Shelf:
    capacity_units = int(rng.integers(90, 221))
    passers_per_min = float(rng.uniform(3.0, 9.0))
    turnover_per_h = float(rng.uniform(0.21, 0.27))
    return Shelf(
        capacity_units=capacity_units,
        passers_per_min=passers_per_min,
        conversion=turnover_per_h * capacity_units / 60.0 / passers_per_min,
        warmth_per_k=float(rng.uniform(-0.003, 0.005)),
        elasticity=float(rng.uniform(1.5, 3.0)),
    )


def _draw_load_cell(rng: np.random.Generator) -> LoadCell:
    return LoadCell(
        noise=float(rng.uniform(0.004, 0.008)),
        drift=float(rng.uniform(0.004, 0.010)),
        per_k=float(rng.uniform(-0.001, 0.001)),
    )


def draw_discount(rng: np.random.Generator) -> float:
    """Draw a discount as shops print them."""
    return float(rng.choice((0.10, 0.15, 0.20, 0.25, 0.30)))


def _by_hand(shelf: Shelf) -> int:
    """Return the units that staff move within a minute."""
    return shelf.capacity_units // 5


def _indoor_c(outdoor_c: float) -> float:
    """Return the temperature that a heated and cooled shop settles at."""
    return 20.5 + 0.2 * (outdoor_c - 12.0)


def _minute(t_s: float) -> int:
    return int(t_s % DAY_S // 60.0)


def _weekday(t_s: float) -> int:
    """Return the day of the week, Monday 0: Unix time began on a Thursday."""
    return (int(t_s // DAY_S) + 3) % 7
