"""How much the means of hops differ among each other while a device is calibrated, with nothing wrong.

A sample's deviation says little of a mean: ten samples of white noise have a mean that hardly moves, ten of a wandering
flow one that moves as much as they do. So means are held against what means did.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gateway.frames import Doubles, Flags
from gateway.sums import Sums, moments
from gateway.table import Column, Table

if TYPE_CHECKING:
    from gateway.aggregates import Hops

LEAST_HOPS = 8
"""Hops with a value below which nothing is known."""


class Unrest:
    """Sums of the means of a calibration's hops."""

    def __init__(self, channels: int) -> None:
        """Start with no device."""
        self.table = Table(
            {
                "count": Column((channels,), np.uint32, 0),
                "sum": Column((channels,), np.float64, 0),
                "square": Column((channels,), np.float64, 0),
            }
        )

    def advance(self, hops: Hops, added: Sums, complete: Flags) -> Doubles:
        """Take closed hops; return the deviation of the calibration's hop means at each, ``(G, K, channels)``.

        :param added: sums of the hops' samples less their reference, shape ``(G, K, channels)``
        :param complete: whether the calibration was complete before a hop, shape ``(G, K)``; NaN until then
        """
        table, device = self.table, hops.device
        counts = (added.count > 0) & ~complete[:, :, None]
        mean = np.where(counts, added.sum / np.maximum(added.count, 1), 0.0)
        before = Sums(table.of("count", device).astype(np.int64), table.of("sum", device), table.of("square", device))
        after = Sums(counts.astype(np.int64), mean, np.square(mean)).accumulated(before).after()
        table["count"][device], table["sum"][device], table["square"][device] = (
            after.count[:, -1],
            after.sum[:, -1],
            after.square[:, -1],
        )
        known = complete[:, :, None] & (after.count >= LEAST_HOPS)
        return np.where(known, moments(after, np.zeros(mean.shape[2])).std, np.nan)
