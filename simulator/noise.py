"""Random numbers of one device, drawn in blocks: a call for each number would cost more than the physics."""

from __future__ import annotations

import math
from typing import Final

import numpy as np

BLOCK_ROWS: Final = 64
"""Rows drawn at a time: few calls into numpy, and a few KiB a device."""


class Noise:
    """Rows of independent standard normal numbers, one row a step.

    A step always takes one whole row, so what happens to a device never shifts the numbers that come later.
    """

    __slots__ = ("_block", "_next", "_rng", "_width")

    def __init__(self, rng: np.random.Generator, width: int) -> None:
        """Draw rows of ``width`` numbers from ``rng``."""
        self._rng = rng
        self._width = width
        self._next = BLOCK_ROWS
        self._block = np.empty((0, width))

    def row(self) -> list[float]:
        """Return the next ``width`` numbers."""
        if self._next == BLOCK_ROWS:
            self._block = self._rng.standard_normal((BLOCK_ROWS, self._width))
            self._next = 0
        row: list[float] = self._block[self._next].tolist()
        self._next += 1
        return row


def uniform(normal: float) -> float:
    """Return the uniform number in 0 … 1 of a standard normal one (its distribution function)."""
    return 0.5 * math.erfc(-normal * math.sqrt(0.5))


class Wander:
    """A slow random walk held near zero: an Ornstein-Uhlenbeck process with unit standard deviation."""

    __slots__ = ("_keep", "_kick", "value")

    def __init__(self, tau_s: float, period_s: float) -> None:
        """Forget the past within ``tau_s``, stepped every ``period_s``."""
        self._keep = math.exp(-period_s / tau_s)
        self._kick = math.sqrt(1.0 - self._keep * self._keep)
        self.value = 0.0

    def step(self, normal: float) -> float:
        """Advance by one period with a standard normal number."""
        self.value = self._keep * self.value + self._kick * normal
        return self.value
