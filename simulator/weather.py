"""Outdoor air temperature of a site: season, day, passing fronts, and heat waves as events.

The temperature is a sum of waves, so it is smooth, has no state, and is the same whoever asks and whenever.

====================  ===============  ==================================================================
quantity              value            source
====================  ===============  ==================================================================
annual mean           9 … 13 °C        temperate climate (Köppen Cfb/Dfb), mid-latitude stations
annual half swing     8 … 11 °C        likewise; coldest about 20 January
daily half swing      3.5 … 6 °C       larger in summer; coldest before sunrise, warmest about 15 h local
fronts                ± 3 °C (rms)     synoptic systems pass within 2.5 … 9 days
heat wave             27 ± 7 °C        air of its own, whatever the season: afternoons of 32 … 37 °C
====================  ===============  ==================================================================
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from simulator.shapes import trapezoid
from simulator.worlds import generator

DAY_S: Final = 86_400.0
YEAR_S: Final = 365.2422 * DAY_S
COLDEST_DAY_S: Final = 19.0 * DAY_S
"""Coldest time of the mean year, seconds after its beginning (Unix time began on 1 January)."""
WARMEST_HOUR_S: Final = 15.0 * 3600.0
FRONT_PERIODS_DAYS: Final = (2.5, 3.7, 5.3, 8.9)
FRONT_STD_C: Final = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class HeatWave:
    """Hot air that flows in, with a day cycle of its own, and takes the place of the local air."""

    onset_s: float
    end_s: float
    mean_c: float = 27.0
    swing_c: float = 7.0
    arrival_s: float = 2.0 * 3600.0
    """Time in which the air is exchanged, at the beginning and before the end."""

    def mix(self, local_c: float, t_s: float) -> float:
        """Return the air temperature at ``t_s`` where the local air alone would have ``local_c``."""
        share = trapezoid(t_s, self.onset_s, self.end_s, self.arrival_s, self.arrival_s)
        return local_c + share * (self.mean_c + self.swing_c * day_wave(t_s) - local_c)


class Weather:
    """The outdoor air of one site."""

    def __init__(self, site: str, seed: int, heat_waves: Sequence[HeatWave] = ()) -> None:
        """Draw the site's climate; the same site and seed have the same weather."""
        rng = generator(seed, site, "weather")
        self._mean_c = float(rng.uniform(9.0, 13.0))
        self._season_c = float(rng.uniform(8.0, 11.0))
        self._swing_c = float(rng.uniform(3.5, 6.0))
        amplitude_c = FRONT_STD_C * math.sqrt(2.0 / len(FRONT_PERIODS_DAYS))
        self._fronts = tuple(
            (amplitude_c, 2.0 * math.pi / (days * DAY_S), float(rng.uniform(0.0, 2.0 * math.pi)))
            for days in FRONT_PERIODS_DAYS
        )
        self._heat_waves = tuple(heat_waves)

    def temperature_c(self, t_s: float) -> float:
        """Return the air temperature at a time, Unix seconds, in °C."""
        summer = -math.cos(2.0 * math.pi * (t_s - COLDEST_DAY_S) / YEAR_S)
        air_c = self._mean_c + self._season_c * summer + self._swing_c * (1.0 + 0.25 * summer) * day_wave(t_s)
        air_c += sum(amplitude * math.sin(rate * t_s + phase) for amplitude, rate, phase in self._fronts)
        for wave in self._heat_waves:
            air_c = wave.mix(air_c, t_s)
        return air_c


def day_wave(t_s: float) -> float:
    """Return the day's course of temperature: 1 when it is warmest, -1 when coldest."""
    return math.cos(2.0 * math.pi * (t_s - WARMEST_HOUR_S) / DAY_S)
