"""A long horizon of every device as a few buckets: where each began in the running sums, and its extremes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from gateway.frames import Horizon, Integers, Singles, WindowSpec
from gateway.sums import Sums, moments
from gateway.table import Column, Table

if TYPE_CHECKING:
    from gateway.aggregates import Hops
    from gateway.frames import Doubles

_NONE: Final = -(2**62)
_ROW: Final = 2**40
"""Distance between two devices' bucket positions in one sorted key."""


class Buckets:
    """The newest buckets of one horizon; the last one is filling.

    A bucket that a device skipped (a gap) is as empty as any other; a gap longer than the horizon takes no more steps
    than one of its length.
    """

    def __init__(self, horizon_s: float, spec: WindowSpec, channels: int) -> None:
        """Start with no device."""
        self._hops = max(1, round(horizon_s / spec.buckets / spec.hop_s))
        self._size = max(2, round(horizon_s / (self._hops * spec.hop_s)))
        shape = (self._size, channels)
        self.table = Table(
            {
                "open": Column((), np.int64, _NONE),
                "count": Column(shape, np.uint32, 0),
                "sum": Column(shape, np.float64, 0),
                "square": Column(shape, np.float64, 0),
                "min": Column(shape, np.float32, np.nan),
                "max": Column(shape, np.float32, np.nan),
            }
        )

    def advance(self, hops: Hops, life: Sums, reference: Doubles, low: Singles, high: Singles) -> Horizon:
        """Take closed hops, the device's running sums and the hops' extremes; return the horizon at each hop's end."""
        rows = np.arange(len(hops.device))[:, None]
        position = self._positions(hops)
        last = position[:, -1:] + np.arange(self._size)
        marks = self._marks(hops, life, position)
        for name in ("count", "sum", "square"):
            self.table[name][hops.device] = getattr(marks, name)[rows, last]
        low = self._extreme("min", np.fmin, hops.device, position, low)
        high = self._extreme("max", np.fmax, hops.device, position, high)
        span = moments(life.after().minus(marks.at(rows, position)), reference[:, None])
        return Horizon(span.count, span.mean, span.std, low, high)

    def _positions(self, hops: Hops) -> Integers:
        """Return each hop's bucket, counted from the one that was open, long gaps cut to the horizon; ``(G, K)``."""
        bucket = hops.index // self._hops
        opened = self.table.of("open", hops.device)[:, None]
        before = np.concatenate([np.where(opened == _NONE, bucket[:, :1], opened), bucket[:, :-1]], axis=1)
        self.table["open"][hops.device] = bucket[:, -1]
        return np.cumsum(np.minimum(bucket - before, self._size), axis=1)

    def _marks(self, hops: Hops, life: Sums, position: Integers) -> Sums:
        """Return the running sums at each bucket's start; place ``p`` is where position ``p``'s horizon begins."""
        table, device = self.table, hops.device
        held = Sums(table.of("count", device).astype(np.int64), table.of("sum", device), table.of("square", device))
        new = np.arange(1, int(position[:, -1].max()) + 1)
        if not len(new):
            return held
        rows = np.arange(len(device))[:, None]
        first = np.searchsorted((position + rows * _ROW).ravel(), new + rows * _ROW) - rows * position.shape[1]
        begun = life.at(rows, first)
        return Sums(
            np.concatenate([held.count, begun.count], axis=1),
            np.concatenate([held.sum, begun.sum], axis=1),
            np.concatenate([held.square, begun.square], axis=1),
        )

    def _extreme(self, name: str, least: np.ufunc, device: Integers, position: Integers, of_hop: Singles) -> Singles:
        """Return the minimum or maximum over the horizon at each hop, NaN where it is empty."""
        size, rows = self._size, np.arange(len(device))[:, None]
        column = self.table[name]
        held = self.table.of(name, device)
        running = _running(of_hop, least, position)
        running = np.where((position == 0)[:, :, None], least(running, held[:, -1:]), running)
        buckets = np.full((len(device), size + int(position[:, -1].max()), held.shape[2]), np.nan, np.float32)
        buckets[:, :size] = held
        final = np.concatenate([position[:, 1:] != position[:, :-1], np.ones_like(position[:, :1], np.bool_)], axis=1)
        row, hop = np.nonzero(final)
        buckets[row, size - 1 + position[row, hop]] = running[row, hop]
        closed = buckets[:, : buckets.shape[1] - size + 2]
        for newer in range(1, size - 1):
            closed = least(closed, buckets[:, newer : newer + closed.shape[1]])
        column[device] = buckets[rows, position[:, -1:] + np.arange(size)]
        whole: Singles = least(running, closed[rows, position])
        return whole


def _running(values: Singles, least: np.ufunc, position: Integers) -> Singles:
    """Return the running extreme within equal positions (Hillis and Steele 1986: each step doubles the reach)."""
    reach = 1
    while reach < position.shape[1]:
        same = (position[:, reach:] == position[:, :-reach])[:, :, None]
        if not same.any():
            break
        further = np.where(same, values[:, :-reach], np.float32(np.nan))
        values = np.concatenate([values[:, :reach], least(values[:, reach:], further)], axis=1)
        reach *= 2
    return values
