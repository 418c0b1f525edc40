"""Principal components of a device's calibration, for process monitoring (Hotelling's T², squared prediction error)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gateway.frames import Components, Doubles, Flags, Integers
from gateway.table import Column, Table

if TYPE_CHECKING:
    from gateway.aggregates import Hops


class Covariance:
    """Sums of products while a device is calibrated; its components, in the same place, from then on.

    Only samples with every channel count.
    """

    def __init__(self, channels: int) -> None:
        """Start with no device."""
        self.table = Table(
            {
                "count": Column((), np.uint32, 0),
                "frozen": Column((), np.bool_, 0),
                "line": Column((channels,), np.float64, 0),
                "square": Column((channels, channels), np.float64, 0),
            }
        )

    def advance(self, hops: Hops, shifted: Doubles, complete: Flags, std: Doubles) -> Components:
        """Take closed hops; return the components at the end of each, shapes ``(G, K, channels, …)``.

        :param shifted: samples less their reference, shape ``(hop slots, G, K, channels)``
        :param complete: whether the calibration was complete before a hop, shape ``(G, K)``
        :param std: calibrated deviation of every device, shape ``(devices, channels)``
        """
        learning = ~self.table.of("frozen", hops.device)
        if learning.any():
            counted = hops.valid.all(axis=3) & ~complete & learning[:, None]
            if counted.any():  # a device that lacks a channel has no such sample
                self._learn(hops.device, shifted, counted)
            for g in np.flatnonzero(learning & complete[:, -1]).tolist():
                self._freeze(int(hops.device[g]), std[hops.device[g]])
        known = complete[:, :, None]
        return Components(
            np.where(known[..., None], self.table.of("square", hops.device)[:, None], np.nan).astype(np.float32),
            np.where(known, self.table.of("line", hops.device)[:, None], np.nan).astype(np.float32),
        )

    def _learn(self, devices: Integers, shifted: Doubles, counted: Flags) -> None:
        """Add samples ``(hop slots, G, K, channels)`` where ``counted``, in order."""
        table = self.table
        rows = np.where(counted[..., None], shifted, 0.0)
        line, square = table.of("line", devices), table.of("square", devices)
        for hop in range(rows.shape[2]):
            for row in rows[:, :, hop]:
                line += row
                square += row[:, :, None] * row[:, None, :]
        table["count"][devices] += counted.sum(axis=(0, 2), dtype=np.uint32)
        table["line"][devices], table["square"][devices] = line, square

    def _freeze(self, device: int, std: Doubles) -> None:
        """Put variances and vectors of the correlation matrix, strongest first, where the sums stood.

        A channel at rest counts as uncorrelated.
        """
        table = self.table
        count = max(int(table["count"][device]), 1)
        mean = table["line"][device] / count
        scale = np.where(std > 0, std, np.inf)
        correlation = (table["square"][device] / count - np.outer(mean, mean)) / np.outer(scale, scale)
        np.fill_diagonal(correlation, 1.0)
        variances, vectors = np.linalg.eigh(correlation)
        table["line"][device], table["square"][device] = np.maximum(variances[::-1], 0.0), vectors[:, ::-1]
        table["frozen"][device] = True
