"""Running sums of shifted samples, and the moments that follow from them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gateway.frames import Doubles, Integers, Moments

_NOISE: Final = 1e-13
"""Variance below this share of the mean square is rounding, not spread: equal values have a deviation of 0."""


@dataclass(frozen=True, slots=True)
class Sums:
    """Count of samples, sum of ``x - reference`` and of its square; arrays of one shape."""

    count: Integers
    sum: Doubles
    square: Doubles

    def accumulated(self, before: Sums) -> Sums:
        """Return running sums along axis 1, beginning with ``before`` (which has no such axis): one longer."""
        return Sums(
            np.add.accumulate(np.concatenate([before.count[:, None], self.count], axis=1), axis=1),
            np.add.accumulate(np.concatenate([before.sum[:, None], self.sum], axis=1), axis=1),
            np.add.accumulate(np.concatenate([before.square[:, None], self.square], axis=1), axis=1),
        )

    def after(self) -> Sums:
        """Return running sums without those before the first hop."""
        return Sums(self.count[:, 1:], self.sum[:, 1:], self.square[:, 1:])

    def at(self, row: NDArray[np.int64], column: NDArray[np.int64]) -> Sums:
        """Return the sums at places of the first two axes."""
        return Sums(self.count[row, column], self.sum[row, column], self.square[row, column])

    def minus(self, other: Sums) -> Sums:
        """Return what was added since ``other``."""
        return Sums(self.count - other.count, self.sum - other.sum, self.square - other.square)


def total(values: Doubles) -> Doubles:
    """Add along the first axis, one after the other: the same to the bit whatever stands beside it.

    Numpy would add a single column pairwise, which rounds otherwise than in company.
    """
    if values[0].size == 1:
        return np.asarray(np.add.accumulate(values, axis=0)[-1], np.float64)
    return np.asarray(np.add.reduce(values, axis=0), np.float64)


def moments(sums: Sums, reference: Doubles) -> Moments:
    """Return count, mean and population standard deviation; NaN where the count is 0."""
    n = np.where(sums.count > 0, sums.count, np.nan)
    shift, square = sums.sum / n, sums.square / n
    variance = square - shift * shift
    std = np.sqrt(np.where(variance > _NOISE * square, variance, np.where(np.isnan(n), np.nan, 0.0)))
    return Moments(sums.count, reference + shift, std)
