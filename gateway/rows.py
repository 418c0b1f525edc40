"""From the arrays of the rooms to the rows that stores keep: readings of closed hops, points of ended spans.

Pure. Many rows are cut from one piece of bytes: a row is a slice, not a loop.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from contract.domains import Domain
from contract.points import STATISTICS, FieldValue, Point, nanoseconds, summary
from contract.topics import DeviceId
from gateway.frames import Blocks, Strays
from gateway.ports import Readings
from gateway.summaries import Summary

_encode = msgspec.msgpack.Encoder().encode


def block_readings(blocks: Blocks, devices: Sequence[DeviceId]) -> list[Readings]:
    """Return the raw samples of closed hops as they are stored."""
    times, values = blocks.times.astype("<f8").tobytes(), blocks.values.astype("<f4").tobytes()
    row_bytes = 4 * blocks.values.shape[1]
    bounds = blocks.offset.tolist()
    found = []
    for device, start_ns, first, end in zip(
        blocks.device.tolist(), nanoseconds_of(blocks.start_s), bounds[:-1], bounds[1:], strict=True
    ):
        who = devices[device]
        cut = times[8 * first : 8 * end], values[row_bytes * first : row_bytes * end]
        found.append(Readings(who.site, who.domain, who.device, start_ns, False, end - first, *cut))  # noqa: FBT003  # late
    return found


def stray_readings(strays: Strays, devices: Sequence[DeviceId]) -> list[Readings]:
    """Return samples that no window holds, each under its own time."""
    times, values = strays.times.astype("<f8"), strays.values.astype("<f4")
    return [
        _late_reading(devices[device], start_s, times[i : i + 1], values[i : i + 1])
        for i, (device, start_s) in enumerate(zip(strays.device.tolist(), strays.times.tolist(), strict=True))
    ]


def _late_reading(who: DeviceId, start_s: float, times: NDArray[np.float64], values: NDArray[np.float32]) -> Readings:
    start_ns = nanoseconds(start_s)
    return Readings(who.site, who.domain, who.device, start_ns, True, 1, times.tobytes(), values.tobytes())  # noqa: FBT003  # late


def packed_rows(table: NDArray[np.floating[Any]]) -> list[bytes]:
    """Return each row of a table, shape ``(n, names)``, as the content of a point of its kind."""
    whole, row_bytes = table.astype("<f4").tobytes(), 4 * table.shape[1]
    return [whole[start : start + row_bytes] for start in range(0, len(whole), row_bytes)]


def summary_points(domain: Domain, summaries: Sequence[Summary], tags: Sequence[dict[str, str]]) -> list[Point]:
    """Return a point for every span that is over; a channel without a sample is absent. ``tags`` are by device.

    An hour ends for all devices at once, so their fields are packed here: dictionaries take seven times as much.
    """
    names = [tuple(f"{channel}_{statistic}" for statistic in STATISTICS) for channel in domain.channel_names]
    points = []
    for each in summaries:
        columns = (each.moments.mean, each.min, each.max, each.moments.std)
        floats = np.stack(columns, axis=-1).tolist()
        counts = each.moments.count.tolist()
        measurement = summary(domain, each.unit)
        for row, device in enumerate(each.device.tolist()):
            fields: dict[str, FieldValue] = {}
            for of_channel, values, count in zip(names, floats[row], counts[row], strict=True):
                if count:
                    fields |= zip(of_channel, (*values, count), strict=True)
            points.append(Point(measurement, tags[device], _encode(fields), nanoseconds(each.start_s[row])))
    return points


def nanoseconds_of(seconds: NDArray[np.float64]) -> list[int]:
    """Return Unix seconds as :func:`contract.points.nanoseconds` does, many at once."""
    microseconds: NDArray[np.int64] = np.rint(seconds * 1e6).astype(np.int64)
    found: list[int] = (microseconds * 1000).tolist()
    return found
