"""What is usual for a device: a band per channel, and how far the present is from it. Pure.

The band is median ± :data:`WIDTH` robust deviations (median absolute deviation, scaled to a normal's sigma) of the
device's own past, so that the fault one looks at hardly moves the band that it is held against.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from contract.points import FieldValue

WIDTH: Final = 4.0
"""Half of a band's width in robust deviations; of normal noise 1 sample in 16,000 lies outside."""
NORMAL: Final = 1.4826
"""Ratio of a normal's standard deviation to its median absolute deviation."""
FULL_BAR: Final = 100.0
"""Deviations at which a bar is full."""
FEWEST: Final = 20
"""Rows from which something is usual."""
LEAST_SHARE: Final = 1e-3
"""Share of the median that the spread counts at least: what never moved has not moved infinitely far."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Band:
    """What is usual of one quantity."""

    middle: float
    spread: float
    """One robust deviation."""

    @property
    def low(self) -> float:
        """Lower edge."""
        return self.middle - WIDTH * self.spread

    @property
    def high(self) -> float:
        """Upper edge."""
        return self.middle + WIDTH * self.spread

    def sigmas(self, value: float) -> float:
        """Return how many deviations a value is from the middle, signed."""
        return (value - self.middle) / self.spread


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """A feature of the newest window, and how far it is from what is usual."""

    feature: str
    value: float
    usual: float
    sigma: float

    @property
    def share(self) -> float:
        """Length of its bar, -1 … 1: logarithmic, so that 5 and 100 deviations can both be seen."""
        return math.copysign(min(math.log1p(abs(self.sigma)) / math.log1p(FULL_BAR), 1.0), self.sigma)


def bands(values: NDArray[np.floating]) -> list[Band | None]:
    """Return the band of each column; ``None`` where too few rows are known."""
    return [_band(values[:, column]) for column in range(values.shape[1])]


def moved(windows: Sequence[Mapping[str, FieldValue]], most: int) -> list[Moved]:
    """Return the features of the last window that are farthest from what they were in those before, farthest first."""
    if len(windows) < 2:
        return []
    found = [one for name, now in windows[-1].items() if (one := _moved(name, now, windows[:-1])) is not None]
    return sorted(found, key=lambda one: -abs(one.sigma))[:most]


def _moved(name: str, now: FieldValue, past: Sequence[Mapping[str, FieldValue]]) -> Moved | None:
    if type(now) is not float:
        return None
    band = _band(np.array([value for window in past if type(value := window.get(name)) is float]))
    return None if band is None else Moved(feature=name, value=now, usual=band.middle, sigma=band.sigmas(now))


def _band(column: NDArray[np.floating]) -> Band | None:
    known = column[~np.isnan(column)].astype(np.float64)
    if len(known) < FEWEST:
        return None
    middle = float(np.median(known))
    spread = float(np.median(np.abs(known - middle))) * NORMAL
    if spread == 0.0:  # more than half are equal: a quantity that mostly rests
        spread = float(np.std(known))
    return Band(middle=middle, spread=max(spread, abs(middle) * LEAST_SHARE, 1e-9))
