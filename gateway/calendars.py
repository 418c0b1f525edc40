"""Civil time of a site, vectorised: zone with daylight saving, weekends, public holidays. No clock: time comes in."""

from __future__ import annotations

from datetime import date, datetime
from typing import Final
from zoneinfo import ZoneInfo


import holidays
import numpy as np
from numpy.typing import NDArray

_QUARTER_S: Final = 900
"""Zones change their offset only at whole quarters of an hour (UTC)."""
DAY_S: Final = 86_400
_KEPT: Final = 100_000
"""Quarters or days remembered before the memory is emptied: bounded, and ample for years of days."""


class Calendar:
    """Civil time at one site."""

    def __init__(self, zone: str = "UTC", country: str | None = None) -> None:
        """Take an IANA zone, and an ISO 3166 country for its public holidays (``None``: no day is one).

        :raises ValueError: either is unknown
        """
        try:
            self._zone = ZoneInfo(zone)
            self._holidays = None if country is None else holidays.country_holidays(country)
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


_EPOCH: Final = date(1970, 1, 1).toordinal()
