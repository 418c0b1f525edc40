"""Statistics of the model window itself, each for all windows and channels at once: arrays ``(n, channels)``."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from gateway.frames import Doubles, Flags, Singles
from gateway.sums import total


class WindowStatistics:
    """Statistics of windows ``(n, slots, channels)`` over their valid slots; NaN where there is none.

    Inside, slots come first, so that each reduction runs over whole rows of windows and channels.
    """

    def __init__(self, values: Singles, period_s: float) -> None:
        """Take windows; each statistic is computed when first asked for."""
        self._values: Doubles = values.transpose(1, 0, 2).astype(np.float64, order="C")
        self._period_s = period_s
        self._valid: Flags = ~np.isnan(self._values)
        self._whole = bool(self._valid.all())

    def named(self, name: str) -> Doubles:
        """Return a statistic by name; ``q`` and a percentage is a quantile."""
        found: Doubles = self.quantile(int(name[1:]) / 100) if name.startswith("q") else getattr(self, name)
        return found

    @cached_property
    def count(self) -> Doubles:
        """Number of valid slots, NaN instead of 0."""
        count = self._valid.sum(axis=0)
        return np.where(count > 0, count, np.nan)

    @cached_property
    def missing(self) -> Doubles:
        """Share of slots without a value."""
        return 1.0 - np.nan_to_num(self.count) / len(self._valid)

    @cached_property
    def mean(self) -> Doubles:
        """Arithmetic mean."""
        return total(self._masked(self._values)) / self.count

    @cached_property
    def std(self) -> Doubles:
        """Population standard deviation; exactly 0 for equal values."""
        return np.where(self.min == self.max, 0.0, np.sqrt(total(np.square(self._centred)) / self.count))

    @cached_property
    def min(self) -> Doubles:
        """Smallest value; + 0: of 0.0 and -0.0 either is it, and which one would depend on the windows beside it."""
        return np.asarray(np.fmin.reduce(self._values, axis=0), np.float64) + 0.0

    @cached_property
    def max(self) -> Doubles:
        """Largest value."""
        return np.asarray(np.fmax.reduce(self._values, axis=0), np.float64) + 0.0

    @cached_property
    def range(self) -> Doubles:
        """Largest less smallest value."""
        return self.max - self.min

    @cached_property
    def rms(self) -> Doubles:
        """Root of the mean square."""
        return np.sqrt(total(np.square(self._masked(self._values))) / self.count)

    @cached_property
    def last(self) -> Doubles:
        """Newest valid value."""
        newest = len(self._valid) - 1 - self._valid[::-1].argmax(axis=0)
        return np.asarray(np.take_along_axis(self._values, newest[None], axis=0)[0], np.float64)

    @cached_property
    def slope(self) -> Doubles:
        """Least-squares slope over the slots' times, unit per hour; 0 for equal values, NaN with fewer than two."""
        hours = np.arange(len(self._valid))[:, None, None] * (self._period_s / 3600.0)
        times = np.broadcast_to(hours, self._values.shape)
        away = self._masked(times - total(self._masked(times)) / self.count)
        spread = np.where(self.count > 1, total(np.square(away)), np.nan)
        return np.where((self.min == self.max) & (self.count > 1), 0.0, total(away * self._centred) / spread)

    def quantile(self, share: float) -> Doubles:
        """Return a quantile, linear between order statistics (Hyndman and Fan 1996, type 7)."""
        place = (np.nan_to_num(self.count, nan=1.0) - 1) * share
        low = np.floor(place).astype(np.int64)
        high = np.ceil(place).astype(np.int64)
        below = np.take_along_axis(self._sorted, low[None], axis=0)[0]
        above = np.take_along_axis(self._sorted, high[None], axis=0)[0]
        found: Doubles = below + (above - below) * (place - low)
        return found

    @cached_property
    def _sorted(self) -> Doubles:
        return np.sort(self._values, axis=0)

    @cached_property
    def _centred(self) -> Doubles:
        return self._masked(self._values - self.mean)

    def _masked(self, values: Doubles) -> Doubles:
        """Return values with 0 in slots that are missing."""
        return values if self._whole else np.asarray(np.where(self._valid, values, 0.0), np.float64)
