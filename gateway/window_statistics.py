"""Statistics of the model window itself, each for all windows and channels at once: arrays ``(n, channels)``."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from gateway.frames import Doubles, Flags, Singles


class WindowStatistics:
    """Statistics of windows ``(n, slots, channels)`` over their valid slots; NaN where there is none."""

    def __init__(self, values: Singles, period_s: float) -> None:
        """Take windows; each statistic is computed when first asked for."""
        self._values = values.astype(np.float64)
        self._period_s = period_s
        self._valid: Flags = ~np.isnan(values)

    def named(self, name: str) -> Doubles:
        """Return a statistic by name; ``q`` and a percentage is a quantile."""
        found: Doubles = self.quantile(int(name[1:]) / 100) if name.startswith("q") else getattr(self, name)
        return found

    @cached_property
    def count(self) -> Doubles:
        """Number of valid slots, NaN instead of 0."""
        count = self._valid.sum(axis=1)
        return np.where(count > 0, count, np.nan)

    @cached_property
    def missing(self) -> Doubles:
        """Share of slots without a value."""
        share: Doubles = self._valid.mean(axis=1)
        return 1.0 - share

    @cached_property
    def mean(self) -> Doubles:
        """Arithmetic mean."""
        total: Doubles = np.where(self._valid, self._values, 0.0).sum(axis=1)
        return total / self.count

    @cached_property
    def _centred(self) -> Doubles:
        return np.where(self._valid, self._values - self.mean[:, None], 0.0)

    @cached_property
    def std(self) -> Doubles:
        """Population standard deviation; exactly 0 for equal values."""
        variance = np.square(self._centred).sum(axis=1) / self.count
        return np.where(self.min == self.max, 0.0, np.sqrt(variance))

    @cached_property
    def min(self) -> Doubles:
        """Smallest value."""
        least: Doubles = np.fmin.reduce(self._values, axis=1)
        return least

    @cached_property
    def max(self) -> Doubles:
        """Largest value."""
        most: Doubles = np.fmax.reduce(self._values, axis=1)
        return most

    @cached_property
    def range(self) -> Doubles:
        """Largest less smallest value."""
        return self.max - self.min

    @cached_property
    def rms(self) -> Doubles:
        """Root of the mean square."""
        square: Doubles = np.square(np.where(self._valid, self._values, 0.0)).sum(axis=1)
        return np.sqrt(square / self.count)

    @cached_property
    def last(self) -> Doubles:
        """Newest valid value."""
        newest = self._valid.shape[1] - 1 - self._valid[:, ::-1].argmax(axis=1)
        return np.take_along_axis(self._values, newest[:, None], axis=1)[:, 0]

    @cached_property
    def slope(self) -> Doubles:
        """Least-squares slope over the slots' times, unit per hour; 0 for equal values, NaN with fewer than two."""
        hours = np.arange(self._valid.shape[1])[:, None] * (self._period_s / 3600.0)
        middle = np.where(self._valid, hours, 0.0).sum(axis=1) / self.count
        away = np.where(self._valid, hours - middle[:, None], 0.0)
        spread = np.square(away).sum(axis=1)
        rise = (away * self._centred).sum(axis=1)
        slope = rise / np.where(self.count > 1, spread, np.nan)
        return np.where((self.min == self.max) & (self.count > 1), 0.0, slope)

    def quantile(self, share: float) -> Doubles:
        """Return a quantile, linear between order statistics (Hyndman and Fan 1996, type 7)."""
        place = (np.nan_to_num(self.count, nan=1.0) - 1) * share
        low = np.floor(place).astype(np.int64)
        high = np.ceil(place).astype(np.int64)
        below = np.take_along_axis(self._sorted, low[:, None], axis=1)[:, 0]
        above = np.take_along_axis(self._sorted, high[:, None], axis=1)[:, 0]
        return below + (above - below) * (place - low)

    @cached_property
    def _sorted(self) -> Doubles:
        return np.sort(self._values, axis=1)
