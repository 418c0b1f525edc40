"""Reads what the device's page shows: samples of a range in bounded memory, bands, scores, alerts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from console.baseline import Band, bands
from console.charts.device_chart import DeviceData, Region
from console.downsample import Buckets, Envelope, gaps, samples, thinned
from console.fleet import status
from console.shelves import Shelf
from contract.domains import DOMAINS, Channel
from contract.messages import Alert
from contract.points import SCORE
from contract.topics import DeviceId
from gateway.stores.reader import LocalReader

BUCKETS: Final = 360
"""Buckets over the range that is shown: about one every two to three pixels."""
RAW_UP_TO: Final = 900
"""Samples up to which they are shown as they are."""
BAND_SAMPLES: Final = 12_000
"""Samples that a band is made from, spread over the range."""
MOST_SCORES: Final = 700
MOST_LATE: Final = 300
GAP_PERIODS: Final = 2.5
"""Periods without a sample from which a gap is a gap."""
_UNKNOWN_PERIOD_S: Final = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """Samples of one range."""

    envelope: Envelope
    gaps: list[tuple[float, float]]
    late_s: list[float]
    some: NDArray[np.float32]
    """Some of the samples, spread over the range, shape ``(n, channels)``: what is usual is made from them."""


def channels(who: DeviceId, width: int) -> tuple[Channel, ...]:
    """Return a device's channels; numbered ones where its domain is not known here."""
    domain = DOMAINS.get(who.domain)
    if domain is not None:
        return domain.channels
    return tuple(
        Channel(name=f"channel_{i + 1}", unit="1", low=-np.inf, high=np.inf, description="not described here")
        for i in range(width)
    )


def read_range(store: LocalReader, who: DeviceId, start_s: float, end_s: float) -> Read:
    """Read the samples of a range, however many, into what a chart can show."""
    buckets: Buckets | None = None
    some: list[NDArray[np.float32]] = []
    few: list[tuple[NDArray[np.float64], NDArray[np.float32]]] = []
    times: list[NDArray[np.float64]] = []
    late: list[float] = []
    total = 0
    for block in store.blocks(who, start_s, end_s):
        total += len(block.times)
        if buckets is None:
            buckets = Buckets(start_s, end_s, BUCKETS, block.values.shape[1])
        if block.values.shape[1] != buckets.channels:  # from before a channel was added
            continue
        buckets.add(block.times, block.values)
        stride = max(len(block.times) * 4 // BAND_SAMPLES, 1)
        some.append(block.values[::stride].copy())
        if total <= RAW_UP_TO:
            few.append((block.times, block.values))
        times.append(block.times)
        late += block.times[block.late][: MOST_LATE - len(late)].tolist()
    if buckets is None:
        return Read(
            envelope=samples(np.empty(0), np.empty((0, _width(who)), np.float32)),
            gaps=[(start_s, end_s)],
            late_s=[],
            some=np.empty((0, _width(who)), np.float32),
        )
    every = np.concatenate(times)
    period_s = _period_s(who)
    envelope = buckets.envelope()
    if total <= RAW_UP_TO:
        envelope = _broken(*_sorted(few), GAP_PERIODS * period_s)
    together = np.concatenate(some)
    return Read(
        envelope=envelope,
        gaps=gaps(np.sort(every), start_s, end_s, max(GAP_PERIODS * period_s, envelope.bucket_s)),
        late_s=late,
        some=together[:: max(len(together) // BAND_SAMPLES, 1)],
    )


def device_data(
    store: LocalReader,
    who: DeviceId,
    span: tuple[float, float],
    *,
    shelf: Shelf | None,
    alerts: Sequence[Alert],
    known: Sequence[Band | None] | None,
) -> DeviceData:
    """Return the chart of a range; ``known`` is what is usual, made from the range itself where it is not given."""
    start_s, end_s = span
    read = read_range(store, who, start_s, end_s)
    score_s, score = scores(store, who, start_s, end_s)
    return DeviceData(
        start_s=start_s,
        end_s=end_s,
        channels=channels(who, read.envelope.mean.shape[1]),
        coarse=read.envelope,
        bands=bands(read.some) if known is None else known,
        score_s=score_s,
        score=score,
        raise_at=shelf.raise_at if shelf else None,
        clear_at=shelf.clear_at if shelf else None,
        regions=regions(alerts, start_s, end_s),
        gaps=read.gaps,
        late_s=read.late_s,
    )


def usual(store: LocalReader, who: DeviceId, span: tuple[float, float]) -> list[Band | None]:
    """Return what is usual of each channel over a device's whole stored life."""
    return bands(read_range(store, who, span[0], span[1] + 1e-3).some)


def scores(
    store: LocalReader, who: DeviceId, start_s: float, end_s: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return times and scores of a range, thinned so that every peak stays."""
    points = store.points(who.domain, who, start_s, end_s)
    times = np.array([point.time_ns / 1e9 for point in points])
    values = np.array([float(point.fields.get(SCORE, np.nan)) for point in points])
    return thinned(times, values, MOST_SCORES)


def regions(alerts: Sequence[Alert], start_s: float, end_s: float) -> list[Region]:
    """Return the times in which alerts fired; one that still does reaches to the end."""
    found = []
    for alert in alerts:
        until_s = end_s if alert.state == "firing" else alert.at_s
        if until_s >= start_s and alert.onset_s <= end_s:
            first_s, last_s = max(alert.onset_s, start_s), min(until_s, end_s)
            found.append(Region(start_s=first_s, end_s=last_s, status=status([alert]), name=alert.rule))
    return found


def _sorted(
    blocks: Sequence[tuple[NDArray[np.float64], NDArray[np.float32]]],
) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    times = np.concatenate([times for times, _ in blocks])
    order = np.argsort(times, kind="stable")
    return times[order], np.concatenate([values for _, values in blocks])[order]


def _broken(times: NDArray[np.float64], values: NDArray[np.float32], longest_s: float) -> Envelope:
    """Return samples with an empty row in every gap, so that the line breaks there."""
    after = np.flatnonzero(np.diff(times) > longest_s) + 1
    middle = (times[after] + times[after - 1]) / 2
    return samples(np.insert(times, after, middle), np.insert(values, after, np.nan, axis=0))


def _period_s(who: DeviceId) -> float:
    domain = DOMAINS.get(who.domain)
    return _UNKNOWN_PERIOD_S if domain is None else domain.period_s


def _width(who: DeviceId) -> int:
    domain = DOMAINS.get(who.domain)
    return 0 if domain is None else len(domain.channels)
