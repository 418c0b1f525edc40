"""What is given up first when there is no room: raw readings are thinned, then dropped, then points, and alerts last.

Pure. Thinned readings are points of the measurement ``<domain>_thinned``: minimum, mean, maximum and count of each
channel over a bucket, timed by the bucket's first sample, so that no two of them share a key.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from contract.domains import Domain
from contract.points import FieldValue, Point, nanoseconds
from contract.points import thinned as thinned_measurement
from contract.topics import DeviceId
from gateway.ports import Outputs, Readings

SAMPLES_A_BUCKET: Final = 120
"""Sample periods of a bucket, but never less than :data:`SHORTEST_BUCKET_S`."""
SHORTEST_BUCKET_S: Final = 600.0


class Account(NamedTuple):
    """What entries held of one device."""

    samples: int = 0
    points: int = 0
    alerts: int = 0
    first_s: float = float("inf")
    """Event time of the oldest, Unix seconds."""
    last_s: float = float("-inf")

    def plus(self, samples: int, points: int, alerts: int, first_s: float, last_s: float) -> Account:
        """Return the account with more in it."""
        counts = self.samples + samples, self.points + points, self.alerts + alerts
        return Account(*counts, min(self.first_s, first_s), max(self.last_s, last_s))


def accounts(entries: Iterable[Outputs]) -> dict[DeviceId, Account]:
    """Return what entries hold of each device."""
    found: dict[DeviceId, Account] = defaultdict(Account)
    for outputs in entries:
        for block in outputs.readings:
            times = _times(block)
            who = DeviceId(block.site, block.domain, block.device)
            found[who] = found[who].plus(block.count, 0, 0, float(times.min()), float(times.max()))
        for point in outputs.points:
            named, _, _ = point.measurement.partition("_")  # a domain's name has no underscore, its summaries' have
            domain = point.tags.get("domain", named)  # an acknowledgement's is a tag
            who = DeviceId(point.tags.get("site", ""), domain, point.tags.get("device", ""))
            found[who] = found[who].plus(0, 1, 0, point.time_ns / 1e9, point.time_ns / 1e9)
        for alert in outputs.alerts:
            who = DeviceId(alert.site, alert.domain, alert.device)
            found[who] = found[who].plus(0, 0, 1, alert.at_s, alert.at_s)
    return dict(found)


def thin(entries: Sequence[Outputs], domains: Mapping[str, Domain]) -> Outputs:
    """Return entries of the lane ``raw`` as one: readings thinned, the newest ledger line of each device."""
    by_device: dict[DeviceId, list[Readings]] = defaultdict(list)
    for outputs in entries:
        for block in outputs.readings:
            by_device[DeviceId(block.site, block.domain, block.device)].append(block)
    return Outputs(
        points=[point for outputs in entries for point in outputs.points]
        + [point for who, blocks in by_device.items() for point in _buckets(who, blocks, domains[who.domain])],
        quarantined=[message for outputs in entries for message in outputs.quarantined],
        ledger=list({(x.site, x.domain, x.device): x for outputs in entries for x in outputs.ledger}.values()),
    )


def bucket_s(domain: Domain) -> float:
    """Return the length of a bucket of thinned readings, seconds."""
    return max(SHORTEST_BUCKET_S, SAMPLES_A_BUCKET * domain.period_s)


def _buckets(who: DeviceId, blocks: Sequence[Readings], domain: Domain) -> Iterable[Point]:
    times = np.concatenate([_times(block) for block in blocks])
    values = np.concatenate([np.frombuffer(block.values, "<f4").reshape(block.count, -1) for block in blocks])
    number = np.floor(times / bucket_s(domain))
    for one in np.unique(number):
        inside = number == one
        fields: dict[str, FieldValue] = {"count": int(inside.sum())}
        for name, channel in zip(domain.channel_names, values[inside].T.astype(np.float64), strict=False):
            there = channel[~np.isnan(channel)]
            if len(there):
                fields |= {
                    f"{name}_min": float(there.min()),
                    f"{name}_mean": float(there.mean()),
                    f"{name}_max": float(there.max()),
                }
        tags = {"site": who.site, "device": who.device}
        yield Point(thinned_measurement(domain.name), tags, fields, nanoseconds(float(times[inside].min())))


def _times(block: Readings) -> NDArray[np.float64]:
    return np.frombuffer(block.times, "<f8")
