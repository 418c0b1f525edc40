"""Hourly, daily and monthly summaries of every channel, emitted when the span is over.

They are made from the raw samples of closed hops (:class:`gateway.frames.Blocks`), so they hold what the readings hold,
except strays. Hours are UTC; days and months are the site's. Every such span begins at a quarter of an hour, so samples
are first summed within (hop, quarter), then these sums in order of time: the same to the bit for any batching.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from contract.domains import Domain
from gateway.calendars import DAY_S, Calendar
from gateway.frames import Blocks, Doubles, Flags, Integers, Moments, Singles, WindowSpec
from gateway.state_parts import Arrays, named, under
from gateway.sums import Sums, moments, total
from gateway.table import Column, Table

Unit = Literal["hourly", "daily", "monthly"]

_QUARTER_S: Final = 900
_NONE: Final = -(2**62)


@dataclass(frozen=True, slots=True)
class Summary:
    """Summaries of ``n`` spans of one unit."""

    unit: Unit
    device: Integers
    """Shape ``(n,)``."""
    start_s: Doubles
    """Start of the span, Unix seconds, shape ``(n,)``."""
    moments: Moments
    """Shapes ``(n, channels)``; count 0 where a channel had no sample."""
    min: Singles
    max: Singles


@dataclass(frozen=True, slots=True)
class _Parts:
    """Sums of consecutive samples of one device, in order of device and time."""

    device: Integers
    span: Integers
    sums: Sums
    min: Singles
    max: Singles

    def merged(self) -> _Parts:
        """Return one row for each run of equal device and span, added in order."""
        begins = (np.diff(self.device, prepend=-1) != 0) | (np.diff(self.span, prepend=_NONE) != 0)
        first, run = np.flatnonzero(begins), np.cumsum(begins) - 1
        return _Parts(
            self.device[first],
            self.span[first],
            Sums(
                _added(self.sums.count, run).astype(np.int64), _added(self.sums.sum, run), _added(self.sums.square, run)
            ),
            np.fmin.reduceat(self.min, first, axis=0),
            np.fmax.reduceat(self.max, first, axis=0),
        )

    def with_one_more(self, other: _Parts) -> _Parts:
        """Return these rows, each with the row of another one added to it: as :meth:`merged` does, of equal spans."""
        sums = Sums(
            self.sums.count + other.sums.count, self.sums.sum + other.sums.sum, self.sums.square + other.sums.square
        )
        return _Parts(self.device, self.span, sums, np.fmin(self.min, other.min), np.fmax(self.max, other.max))

    def at(self, rows: Flags | Integers) -> _Parts:
        """Return chosen rows."""
        sums = Sums(self.sums.count[rows], self.sums.sum[rows], self.sums.square[rows])
        return _Parts(self.device[rows], self.span[rows], sums, self.min[rows], self.max[rows])


class Summaries:
    """Open hour, day and month of every device of one domain."""

    def __init__(self, domain: Domain, spec: WindowSpec, calendar: Calendar | None = None) -> None:
        """Start with no device; the calendar is UTC without one."""
        calendar = calendar or Calendar()
        channels = len(domain.channels)
        self._spec = spec
        self._reference = Table({"reference": Column((channels,), np.float64, np.nan)})
        self._units: dict[Unit, _Spans] = {
            "hourly": _Spans("hourly", channels, lambda ts: _floor(ts, 3600), lambda span: span * 3600.0),
            "daily": _Spans("daily", channels, lambda ts: _floor(calendar.local_s(ts), DAY_S), calendar.start_of_day_s),
            "monthly": _Spans(
                "monthly",
                channels,
                lambda ts: _months(_floor(calendar.local_s(ts), DAY_S)),
                lambda span: calendar.start_of_day_s(_first_day(span)),
            ),
        }

    @property
    def bytes_per_device(self) -> int:
        """Memory that one device takes."""
        return sum(table.bytes_per_device for table in self._tables().values())

    def add(self, blocks: Blocks) -> list[Summary]:
        """Take the samples of closed hops; return the spans that they ended."""
        for table in self._tables().values():
            table.grow(int(blocks.device.max()) + 1)
        parts, start_s = self._parts(blocks)
        ends = np.append(blocks.device[1:] != blocks.device[:-1], [True])
        passed_s = blocks.start_s[ends] + self._spec.hop_s
        reference: Doubles = self._reference["reference"]
        return [s for unit in self._units.values() if (s := unit.add(parts, start_s, passed_s, reference)) is not None]

    def flush(self) -> list[Summary]:
        """Return the spans that are open, as they are (the end of an offline run)."""
        reference: Doubles = self._reference["reference"]
        return [s for unit in self._units.values() if (s := unit.flush(reference)) is not None]

    def dump(self) -> dict[str, NDArray[Any]]:
        """Return views of the state."""
        arrays: dict[str, NDArray[Any]] = {}
        for part, table in self._tables().items():
            arrays |= named(part, table.dump())
        return arrays

    def load(self, state: Arrays) -> None:
        """Take the state of a dump.

        :raises ValueError: the dump was made with other settings
        """
        for part, table in self._tables().items():
            table.load(under(part, state))

    def _tables(self) -> dict[str, Table]:
        return {"reference": self._reference} | {name: unit.table for name, unit in self._units.items()}

    def _parts(self, blocks: Blocks) -> tuple[_Parts, Doubles]:
        """Sum samples within each hop and quarter; return also the parts' quarters, Unix seconds."""
        block = np.repeat(np.arange(len(blocks.device)), np.diff(blocks.offset))
        quarter = _floor(blocks.times, _QUARTER_S)
        begins = (np.diff(block, prepend=-1) != 0) | (np.diff(quarter, prepend=_NONE) != 0)
        first, run = np.flatnonzero(begins), np.cumsum(begins) - 1
        device = blocks.device[block[first]]
        # samples of a part below each other, parts side by side: every step is one over whole rows of these
        place = np.arange(len(run)) - first[run]
        values = np.full((int(place.max()) + 1, len(first), blocks.values.shape[1]), np.nan, np.float32)
        values[place, run] = blocks.values
        valid = ~np.isnan(values)
        shifted = np.where(valid, values - self._references(device, valid, values), 0.0)
        # + 0: whether a sum or an extreme is 0.0 or -0.0 would depend on what stands beside it
        sums = Sums(np.add.reduce(valid, axis=0, dtype=np.int64), total(shifted) + 0.0, total(np.square(shifted)) + 0.0)
        low, high = np.fmin.reduce(values, axis=0) + np.float32(0), np.fmax.reduce(values, axis=0) + np.float32(0)
        start_s = np.asarray(quarter[first] * float(_QUARTER_S), np.float64)
        return _Parts(device, quarter[first], sums, low, high), start_s

    def _references(self, device: Integers, valid: Flags, values: Singles) -> Doubles:
        """Return the references of parts ``(parts, channels)``, set to a channel's first valid value where it has none.

        :param device: of each part, shape ``(parts,)``
        :param values: shape ``(samples, parts, channels)``, and where they are ``valid``
        """
        column: Doubles = self._reference["reference"]
        part, channel = np.nonzero(np.isnan(column[device]) & valid.any(axis=0))
        if len(part):
            first = valid[:, part, channel].argmax(axis=0)
            # backwards: of a device's parts the earliest stays
            column[device[part[::-1]], channel[::-1]] = values[first, part, channel][::-1]
        return column[device]


class _Spans:
    """The open span of one unit, for every device."""

    def __init__(
        self, unit: Unit, channels: int, span_of: Callable[[Doubles], Integers], start_s: Callable[[int], float]
    ) -> None:
        self._unit, self._span_of, self._start_s = unit, span_of, start_s
        self.table = Table(
            {
                "span": Column((), np.int64, _NONE),
                "count": Column((channels,), np.uint32, 0),
                "sum": Column((channels,), np.float64, 0),
                "square": Column((channels,), np.float64, 0),
                "min": Column((channels,), np.float32, np.nan),
                "max": Column((channels,), np.float32, np.nan),
            }
        )

    def add(self, parts: _Parts, start_s: Doubles, passed_s: Doubles, reference: Doubles) -> Summary | None:
        """Take parts; ``passed_s`` is the end of each device's newest closed hop."""
        devices = parts.device[np.diff(parts.device, prepend=-1) != 0]
        spans = self._span_of(start_s)
        if len(devices) == len(spans) and (self.table.of("span", devices) == spans).all():
            merged = self._held(devices).with_one_more(parts)  # the common case, without sorting
        else:
            merged = self._merged(devices, spans, parts)
        newest = np.append(merged.device[1:] != merged.device[:-1], [True])
        over = ~newest
        over[newest] = self._span_of(passed_s) > merged.span[newest]
        if not over.any():
            self._hold(devices, merged)
            return None
        self._hold(devices, merged.at(~over))
        return self._summary(merged.at(over), reference)

    def _merged(self, devices: Integers, spans: Integers, parts: _Parts) -> _Parts:
        """Return what is held of devices and parts of theirs, one row for each device and span."""
        held = self._held(devices[self.table.of("span", devices) != _NONE])
        both = _Parts(
            np.concatenate([held.device, parts.device]),
            np.concatenate([held.span, spans]),
            Sums(
                np.concatenate([held.sums.count, parts.sums.count]),
                np.concatenate([held.sums.sum, parts.sums.sum]),
                np.concatenate([held.sums.square, parts.sums.square]),
            ),
            np.concatenate([held.min, parts.min]),
            np.concatenate([held.max, parts.max]),
        )
        return both.at(np.argsort(both.device, kind="stable")).merged()

    def flush(self, reference: Doubles) -> Summary | None:
        """Return every open span, and hold none."""
        devices = np.flatnonzero(self.table["span"][: len(self.table)] != _NONE)
        held = self._held(devices)
        self.table["span"][devices] = _NONE
        return self._summary(held, reference) if len(devices) else None

    def _held(self, devices: Integers) -> _Parts:
        table = self.table
        sums = Sums(table.of("count", devices).astype(np.int64), table.of("sum", devices), table.of("square", devices))
        return _Parts(devices, table.of("span", devices), sums, table.of("min", devices), table.of("max", devices))

    def _hold(self, devices: Integers, parts: _Parts) -> None:
        table = self.table
        table["span"][devices] = _NONE
        rows = parts.device
        table["span"][rows], table["min"][rows], table["max"][rows] = parts.span, parts.min, parts.max
        table["count"][rows], table["sum"][rows], table["square"][rows] = (
            parts.sums.count,
            parts.sums.sum,
            parts.sums.square,
        )

    def _summary(self, parts: _Parts, reference: Doubles) -> Summary:
        start_s = np.array([self._start_s(span) for span in parts.span.tolist()], np.float64)
        return Summary(
            self._unit, parts.device, start_s, moments(parts.sums, reference[parts.device]), parts.min, parts.max
        )


def _added(values: NDArray[Any], run: Integers) -> Doubles:
    """Add the rows of each run, one after the other, columns apart."""
    columns, runs = values.shape[1], int(run[-1]) + 1
    place = run[:, None] * columns + np.arange(columns)
    total = np.bincount(place.ravel(), values.ravel(), runs * columns)
    return np.asarray(total, np.float64).reshape(runs, columns)


def _floor(ts: Doubles, width_s: int) -> Integers:
    return np.floor(ts / width_s).astype(np.int64)


def _months(days: Integers) -> Integers:
    return days.astype("datetime64[D]").astype("datetime64[M]").astype(np.int64)


def _first_day(month: int) -> int:
    return int(np.datetime64(month, "M").astype("datetime64[D]").astype(np.int64))
