"""Civil time of a site, vectorised: zone with daylight saving, weekends, public holidays. No clock: time comes in."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

_QUARTER_S: Final = 900
"""Zones change their offset only at whole quarters of an hour (UTC)."""
DAY_S: Final = 86_400
_EPOCH: Final = date(1970, 1, 1).toordinal()
_EPOCH_WEEKDAY: Final = date(1970, 1, 1).weekday()
_CYCLE: Final = {"hour": 24, "minute_of_day": 1440, "weekday": 7, "part_of_day": 4}
_KEPT: Final = 100_000
"""Quarters or days remembered before the memory is emptied: bounded, and ample for years of days."""


def _holidays(country: str) -> Container[date]:
    import holidays  # noqa: PLC0415  # 7 MB and a quarter of a second, where no country is set

    return holidays.country_holidays(country)


@dataclass(frozen=True, slots=True)
class Civil:
    """Civil time of ``n`` moments at a site; every array has shape ``(n,)``."""

    minute_of_day: NDArray[np.float64]
    """Whole minutes since local midnight, on the wall clock."""
    weekday: NDArray[np.float64]
    """Monday is 0."""
    day: NDArray[np.float64]
    """Day of the month, from 1."""
    month: NDArray[np.float64]
    """From 1."""
    days_in_month: NDArray[np.float64]
    holiday: NDArray[np.float64]
    """1 on a public holiday, else 0."""

    def named(self, name: str) -> NDArray[np.float64]:
        """Return a calendar feature by name; ``_sin`` and ``_cos`` are of the unit's place in its cycle."""
        unit, _, part = name.rpartition("_")
        if part in ("sin", "cos"):
            turn = 2 * np.pi * self._turn(unit)
            return np.sin(turn) if part == "sin" else np.cos(turn)
        return self._unit(name)

    def _unit(self, name: str) -> NDArray[np.float64]:
        match name:
            case "hour":
                return np.floor(self.minute_of_day / 60)
            case "part_of_day":
                return np.floor(self.minute_of_day / 360)
            case "weekend":
                return (self.weekday >= 5).astype(np.float64)
            case _:
                found: NDArray[np.float64] = getattr(self, name)
                return found

    def _turn(self, unit: str) -> NDArray[np.float64]:
        match unit:
            case "day":
                return (self.day - 1) / self.days_in_month
            case "month":
                return (self.month - 1) / 12
            case _:
                return self._unit(unit) / _CYCLE[unit]


class Calendar:
    """Civil time at one site."""

    def __init__(self, zone: str = "UTC", country: str | None = None) -> None:
        """Take an IANA zone, and an ISO 3166 country for its public holidays (``None``: no day is one).

        :raises ValueError: either is unknown
        """
        try:
            self._zone = ZoneInfo(zone)
            self._holidays = None if country is None else _holidays(country)
        except (LookupError, NotImplementedError, ValueError) as error:
            raise ValueError(
                f"zone = {zone!r}, country = {country!r}: unknown. Use an IANA zone and an ISO country."
            ) from error
        self._offsets: dict[int, int] = {}
        self._free: dict[int, bool] = {}

    def local_s(self, ts: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the seconds since 1970-01-01 00:00 on the site's wall clock."""
        quarters, where = np.unique(np.floor(ts / _QUARTER_S).astype(np.int64), return_inverse=True)
        offsets = np.array([self._offset(quarter) for quarter in quarters.tolist()], np.float64)
        return ts + (offsets[where] if len(quarters) else 0.0)

    def civil(self, ts: NDArray[np.float64]) -> Civil:
        """Return the civil time of Unix times."""
        local = self.local_s(ts)
        days = np.floor(local / DAY_S).astype(np.int64)
        dates = days.astype("datetime64[D]")
        months = dates.astype("datetime64[M]")
        length = (months + 1).astype("datetime64[D]") - months.astype("datetime64[D]")
        return Civil(
            minute_of_day=np.floor((local - days * DAY_S) / 60),
            weekday=((days + _EPOCH_WEEKDAY) % 7).astype(np.float64),
            day=(dates - months.astype("datetime64[D]")).astype(np.float64) + 1,
            month=(months.astype(np.int64) % 12 + 1).astype(np.float64),
            days_in_month=length.astype(np.float64),
            holiday=self.holiday(days).astype(np.float64),
        )

    def holiday(self, days: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Tell which local days (days since 1970-01-01) are public holidays."""
        unique, where = np.unique(days, return_inverse=True)
        return np.array([self._is_free(day) for day in unique.tolist()], np.bool_)[where]

    def start_of_day_s(self, day: int) -> float:
        """Return the Unix time at which a local day (days since 1970-01-01) begins."""
        return datetime.fromordinal(_EPOCH + day).replace(tzinfo=self._zone).timestamp()

    def _offset(self, quarter: int) -> int:
        if quarter not in self._offsets:
            if len(self._offsets) >= _KEPT:
                self._offsets.clear()
            shift = datetime.fromtimestamp(quarter * _QUARTER_S, self._zone).utcoffset()
            self._offsets[quarter] = 0 if shift is None else round(shift.total_seconds())
        return self._offsets[quarter]

    def _is_free(self, day: int) -> bool:
        if self._holidays is None:
            return False
        if day not in self._free:
            if len(self._free) >= _KEPT:
                self._free.clear()
            self._free[day] = date.fromordinal(_EPOCH + day) in self._holidays
        return self._free[day]
