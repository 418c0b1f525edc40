"""From very many samples to as many as a chart can show: least, mean and greatest of each bucket of time. Pure.

Least and greatest survive exactly, so no peak is lost however far one zooms out; a bucket without a sample stays empty,
so a gap stays a gap. Blocks may come in any order, which is how a million samples pass through little memory.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Doubles = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """Channels over time; every table has shape ``(n, channels)``, NaN where a bucket has no sample."""

    times: Doubles
    """Middle of each bucket, or time of each sample; Unix seconds, shape ``(n,)``."""
    mean: Doubles
    low: Doubles
    high: Doubles
    count: NDArray[np.int64]
    bucket_s: float
    """Length of a bucket; 0 where these are the samples themselves."""

    @property
    def raw(self) -> bool:
        """Whether these are the samples themselves."""
        return self.bucket_s == 0.0


class Buckets:
    """Gathers samples of ``start_s <= time < end_s`` into ``count`` buckets of equal length."""

    def __init__(self, start_s: float, end_s: float, count: int, channels: int) -> None:
        """Start with empty buckets.

        :raises ValueError: no time or no bucket
        """
        if not end_s > start_s or count < 1:
            message = f"no bucket lies between {start_s} and {end_s} in {count} parts"
            raise ValueError(message)
        self._start_s = start_s
        self._bucket_s = (end_s - start_s) / count
        self.channels = channels
        shape = (count, channels)
        self._low = np.full(shape, np.inf)
        self._high = np.full(shape, -np.inf)
        self._sum = np.zeros(shape)
        self._count = np.zeros(shape, np.int64)

    def add(self, times: Doubles, values: NDArray[np.float32]) -> None:
        """Take samples, by time: times of shape ``(n,)``, values ``(n, channels)``, NaN where missing."""
        places = np.floor((times - self._start_s) / self._bucket_s).astype(np.int64)
        inside = (places >= 0) & (places < len(self._count))
        if not inside.all():
            places, values = places[inside], values[inside]
        if not len(places):
            return
        firsts = np.flatnonzero(np.diff(places, prepend=-1))
        where = places[firsts]
        known = ~np.isnan(values)
        # fmin and fmax pass over NaN; a bucket of nothing but NaN keeps its infinity
        self._low[where] = np.fmin(self._low[where], np.fmin.reduceat(values, firsts, axis=0))
        self._high[where] = np.fmax(self._high[where], np.fmax.reduceat(values, firsts, axis=0))
        self._sum[where] += np.add.reduceat(np.where(known, values, 0.0), firsts, axis=0, dtype=np.float64)
        self._count[where] += np.add.reduceat(known, firsts, axis=0, dtype=np.int64)

    def envelope(self) -> Envelope:
        """Return what was gathered."""
        empty = self._count == 0
        middle = np.asarray(self._start_s + (np.arange(len(self._count)) + 0.5) * self._bucket_s, np.float64)
        return Envelope(
            times=middle,
            mean=np.where(empty, np.nan, self._sum / np.maximum(self._count, 1)),
            low=np.where(empty, np.nan, self._low),
            high=np.where(empty, np.nan, self._high),
            count=self._count,
            bucket_s=self._bucket_s,
        )


def samples(times: Doubles, values: NDArray[np.float32]) -> Envelope:
    """Return samples that are few enough to be shown as they are."""
    table = values.astype(np.float64)
    return Envelope(
        times=times, mean=table, low=table, high=table, count=(~np.isnan(table)).astype(np.int64), bucket_s=0.0
    )


def gaps(times: Doubles, start_s: float, end_s: float, longest_s: float) -> list[tuple[float, float]]:
    """Return the spans without a sample that last longer than ``longest_s``, from ``start_s`` to ``end_s``."""
    edges = np.concatenate(([start_s], times, [end_s]))
    wide = np.flatnonzero(np.diff(edges) > longest_s)
    return [(float(edges[i]), float(edges[i + 1])) for i in wide]


def thinned(times: Doubles, values: Doubles, most: int) -> tuple[Doubles, Doubles]:
    """Return at most ``most`` of the pairs: of each run of them the least and the greatest value, in order of time."""
    if len(times) <= most:
        return times, values
    edges = np.linspace(0, len(times), max(most // 2, 1) + 1).astype(np.int64)
    kept: set[int] = set()
    for first, end in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        run = values[first:end]
        if not np.isnan(run).all():
            kept |= {first + int(np.nanargmin(run)), first + int(np.nanargmax(run))}
    order = np.array(sorted(kept), np.int64)
    return times[order], values[order]
