"""Principal components of a device's calibration, for process monitoring (Hotelling's T² and squared prediction error)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gateway.frames import Components, Doubles, Flags
from gateway.table import Column, Table

if TYPE_CHECKING:
    from gateway.aggregates import Hops


class Covariance:
    """Sums of products while a device is calibrated; its components from then on.

    Only samples with every channel count. The sums are dead once the components stand.
    """

    def __init__(self, channels: int) -> None:
        """Start with no device."""
        self.table = Table(
            {
                "count": Column((), np.uint32, 0),
                "sum": Column((channels,), np.float64, 0),
                "product": Column((channels, channels), np.float64, 0),
                "vectors": Column((channels, channels), np.float32, np.nan),
                "variances": Column((channels,), np.float32, np.nan),
            }
        )

    def advance(self, hops: Hops, shifted: Doubles, complete: Flags, std: Doubles) -> Components:
        """Take closed hops; return the components at the end of each, shapes ``(G, K, channels, …)``.

        :param shifted: samples less their reference, shape ``(G, K, hop slots, channels)``
        :param complete: whether the calibration was complete before a hop, shape ``(G, K)``
        :param std: calibrated deviation of every device, shape ``(devices, channels)``
        """
        warming = np.flatnonzero(~complete[:, 0] | np.isnan(self.table["variances"][hops.device][:, 0]))
        for g in warming.tolist():
            self._learn(int(hops.device[g]), hops.valid[g], shifted[g], complete[g], std)
        known = complete[:, :, None]
        return Components(
            np.where(known[..., None], self.table["vectors"][hops.device][:, None], np.float32(np.nan)),
            np.where(known, self.table["variances"][hops.device][:, None], np.float32(np.nan)),
        )

    def _learn(self, device: int, valid: Flags, shifted: Doubles, complete: Flags, std: Doubles) -> None:
        table = self.table
        for k in np.flatnonzero(~complete).tolist():
            rows = shifted[k][valid[k].all(axis=1)]
            table["count"][device] += len(rows)
            table["sum"][device] += rows.sum(axis=0)
            table["product"][device] += np.einsum("ti,tj->ij", rows, rows)
        if complete[-1]:
            count = max(int(table["count"][device]), 1)
            mean = table["sum"][device] / count
            variances, vectors = _components(table["product"][device] / count - np.outer(mean, mean), std[device])
            table["variances"][device], table["vectors"][device] = variances, vectors


def _components(covariance: Doubles, std: NDArray[Any]) -> tuple[Doubles, Doubles]:
    """Return variances and vectors of the correlation matrix, strongest first; a channel at rest is uncorrelated."""
    scale = np.where(std > 0, std, np.inf)
    correlation = np.nan_to_num(covariance / np.outer(scale, scale))
    np.fill_diagonal(correlation, 1.0)
    variances, vectors = np.linalg.eigh(correlation)
    return np.maximum(variances[::-1], 0.0), vectors[:, ::-1]
