"""Statistics beyond the window, O(1) a device: its life, its calibration, long horizons, times of day of events.

All of it comes from running sums of ``x - reference`` and its square (the reference is the channel's first value;
Chan, Golub and LeVeque 1983, shifted data), in float64 and added hop by hop in one order. A horizon is the difference
of two such sums, so results are the same to the bit however the samples were batched.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contract.domains import Domain
from gateway.calendars import DAY_S, Calendar
from gateway.components import Covariance
from gateway.day_course import DayCourse
from gateway.frames import (
    Doubles,
    Flags,
    History,
    Horizon,
    Integers,
    Moments,
    Singles,
    WindowSpec,
)
from gateway.horizons import Buckets
from gateway.state_parts import Arrays, named, under
from gateway.sums import Sums, moments, total
from gateway.table import Column, Table
from gateway.unrest import Unrest
from gateway.usual import Profile


@dataclass(frozen=True, slots=True)
class Hops:
    """Hops that close now: ``K`` of each of ``G`` devices, in order, empty stretches left out.

    Slots come first, so that what is made of them runs over whole rows of devices and channels.
    """

    device: Integers
    """Shape ``(G,)``."""
    index: Integers
    """Hop number on the epoch, shape ``(G, K)``."""
    values: Singles
    """Shape ``(hop slots, G, K, channels)``."""
    valid: Flags
    """Where ``values`` is not NaN."""
    present: Flags
    """Whether a slot holds any channel, shape ``(hop slots, G, K)``."""


@dataclass(frozen=True, slots=True)
class Course:
    """History at the end of each of ``G x K`` hops; shapes ``(G, K, …)``."""

    warming: Flags
    history: History


class Aggregates:
    """Long statistics of every device of one domain."""

    def __init__(self, domain: Domain, spec: WindowSpec, calendar: Calendar) -> None:
        """Start with no device."""
        self._spec, self._calendar = spec, calendar
        names = domain.channel_names
        self._watched = [(names.index(event.channel), event.above, event.falling) for event in spec.events]
        channels, events = len(domain.channels), len(spec.events)
        self._table = Table(
            {
                "reference": Column((channels,), np.float64, np.nan),
                "count": Column((channels,), np.uint32, 0),
                "sum": Column((channels,), np.float64, 0),
                "square": Column((channels,), np.float64, 0),
                "start_s": Column((), np.float64, np.nan),
                "filled": Column((), np.uint32, 0),
                "calibrated": Column((), np.bool_, 0),
                "normal_count": Column((channels,), np.uint32, 0),
                "normal_mean": Column((channels,), np.float64, np.nan),
                "normal_std": Column((channels,), np.float64, np.nan),
                "events": Column((events, 3), np.float64, 0),
                "above": Column((events,), np.int8, -1),
            }
        )
        self._buckets = {horizon: Buckets(horizon, spec, channels) for horizon in spec.horizons_s}
        self._covariance = Covariance(channels) if spec.monitor else None
        self._profile = Profile(domain, spec, calendar) if spec.usual else None
        self._unrest = Unrest(channels) if spec.monitor else None
        self._day = DayCourse(domain, spec, calendar) if spec.courses or spec.events else None

    @property
    def bytes_per_device(self) -> int:
        """Size of the state of one device."""
        return sum(table.bytes_per_device for table in self._tables().values())

    def grow(self, devices: int) -> None:
        """Make room for devices ``0 … devices - 1``."""
        for table in self._tables().values():
            table.grow(devices)

    def dump(self) -> dict[str, NDArray[Any]]:
        """Return views of the state."""
        arrays: dict[str, NDArray[Any]] = {}
        for part, table in self._tables().items():
            arrays |= named(part, table.dump())
        return arrays

    def load(self, state: Arrays) -> None:
        """Take the state of a dump.

        :raises ValueError: it was made with other settings
        """
        for part, table in self._tables().items():
            table.load(under(part, state))

    def _tables(self) -> dict[str, Table]:
        tables = {"life": self._table} | {f"h{key:g}": buckets.table for key, buckets in self._buckets.items()}
        further = {"components": self._covariance, "usual": self._profile, "unrest": self._unrest, "day": self._day}
        return tables | {name: part.table for name, part in further.items() if part is not None}

    def advance(self, hops: Hops) -> Course:
        """Take closed hops; return the history at the end of each."""
        count = np.add.reduce(hops.valid, axis=0, dtype=np.int64)
        reference = self._references(hops, count)
        shifted = np.where(hops.valid, hops.values - reference[:, None, :], 0.0)
        added = Sums(count, total(shifted), total(np.square(shifted)))
        life = self._life(hops.device, added)
        complete = self._complete(hops)
        calibration = self._calibration(hops.device, complete, life, reference)
        horizons = self._horizons(hops, life, reference)
        components = None
        if self._covariance is not None:
            components = self._covariance.advance(hops, shifted, complete, self._table["normal_std"])
        usual = None
        if self._profile is not None:
            usual = self._profile.advance(hops, moments(added, reference[:, None]).mean)
        events, happened = self._events(hops)
        day = None if self._day is None else self._day.advance(hops, happened)
        whole = moments(life.after(), reference[:, None])
        unrest = None if self._unrest is None else self._unrest.advance(hops, added, complete)
        history = History(whole, calibration, horizons, components, events, usual, unrest, day)
        warming = ~complete if self._spec.calibration_s > 0 else np.zeros_like(complete)
        return Course(warming, history)

    def _horizons(self, hops: Hops, life: Sums, reference: Doubles) -> dict[float, Horizon]:
        if not self._buckets:
            return {}
        # + 0: of 0.0 and -0.0 either is a minimum, and which one is returned would depend on the batch
        low = np.fmin.reduce(hops.values, axis=0) + np.float32(0)
        high = np.fmax.reduce(hops.values, axis=0) + np.float32(0)
        return {key: buckets.advance(hops, life, reference, low, high) for key, buckets in self._buckets.items()}

    def _references(self, hops: Hops, count: Integers) -> Doubles:
        """Return each channel's reference, set to its first valid value where there is none yet.

        :param count: valid values of each hop, shape ``(G, K, channels)``
        """
        reference: Doubles = self._table.of("reference", hops.device)
        line, channel = np.nonzero(np.isnan(reference) & (count > 0).any(axis=1))
        if len(line):
            values = np.moveaxis(hops.values[:, line, :, channel], 1, 2).reshape(len(line), -1)  # in order of time
            first = (~np.isnan(values)).argmax(axis=1)
            reference[line, channel] = values[np.arange(len(line)), first]
            self._table["reference"][hops.device] = reference
        return reference

    def _life(self, device: Integers, added: Sums) -> Sums:
        """Return the running sums before each hop and after the last, shapes ``(G, K + 1, channels)``."""
        table = self._table
        before = Sums(table.of("count", device).astype(np.int64), table.of("sum", device), table.of("square", device))
        life = added.accumulated(before)
        table["count"][device], table["sum"][device], table["square"][device] = (
            life.count[:, -1],
            life.sum[:, -1],
            life.square[:, -1],
        )
        return life

    def _complete(self, hops: Hops) -> Flags:
        """Tell for each hop whether the calibration was over before it: its time had passed, with enough samples."""
        table, spec = self._table, self._spec
        start_s = table.of("start_s", hops.device)
        new = np.isnan(start_s)
        if new.any():
            begun = np.moveaxis(hops.present[:, new], 0, 2).reshape(np.count_nonzero(new), -1)
            slot = begun.argmax(axis=1)
            hop = hops.index[new][np.arange(len(slot)), slot // spec.hop_slots]
            first_s = hop * spec.hop_s + slot % spec.hop_slots * spec.period_s
            start_s[new] = np.where(begun.any(axis=1), first_s, np.nan)
        counted = np.add.reduce(hops.present, axis=0, dtype=np.int64)
        filled = table.of("filled", hops.device).astype(np.int64)[:, None] + np.cumsum(counted, axis=1)
        before = np.concatenate([table.of("filled", hops.device)[:, None], filled[:, :-1]], axis=1)
        table["start_s"][hops.device], table["filled"][hops.device] = start_s, filled[:, -1]
        passed = (hops.index + 1) * spec.hop_s > start_s[:, None] + spec.calibration_s
        enough = before * spec.period_s >= max(spec.min_coverage * spec.calibration_s, spec.period_s)
        complete: Flags = (passed & enough) | table.of("calibrated", hops.device)[:, None]
        return complete

    def _calibration(self, device: Integers, complete: Flags, life: Sums, reference: Doubles) -> Moments:
        """Freeze the calibration where it became complete; return it at each hop."""
        table = self._table
        if self._spec.calibration_s > 0:
            fresh = np.flatnonzero(complete[:, -1] & ~table.of("calibrated", device))
            if len(fresh):
                at = complete[fresh].argmax(axis=1)
                normal = moments(
                    Sums(life.count[fresh, at], life.sum[fresh, at], life.square[fresh, at]), reference[fresh]
                )
                rows = device[fresh]
                table["calibrated"][rows] = True
                table["normal_count"][rows], table["normal_mean"][rows], table["normal_std"][rows] = (
                    normal.count,
                    normal.mean,
                    normal.std,
                )
        known = complete[:, :, None] & np.full((1, 1, reference.shape[1]), self._spec.calibration_s > 0)
        return Moments(
            np.where(known, table.of("normal_count", device).astype(np.int64)[:, None], 0),
            np.where(known, table.of("normal_mean", device)[:, None], np.nan),
            np.where(known, table.of("normal_std", device)[:, None], np.nan),
        )

    def _events(self, hops: Hops) -> tuple[Doubles, Doubles]:
        """Count crossings and sum the directions of their local times of day.

        Return both so far, ``(G, K, events, 3)``, and how many there were in each hop, ``(G, K, events)``.
        """
        table, spec = self._table, self._spec
        devices, hop_count = hops.index.shape
        added = np.zeros((devices, hop_count, len(self._watched), 3))
        if self._watched:
            starts_s = np.asarray(hops.index * spec.hop_s, np.float64)
            starts = self._calendar.local_s(starts_s.ravel()).reshape(starts_s.shape)
            angle = (starts[:, :, None] + np.arange(spec.hop_slots) * spec.period_s) * (2 * np.pi / DAY_S)
            parts = np.stack([np.ones_like(angle), np.cos(angle), np.sin(angle)], axis=-1)
        for e, (channel, threshold, falling) in enumerate(self._watched):
            valid = np.moveaxis(hops.valid[..., channel], 0, 2).reshape(devices, -1)
            values = np.moveaxis(hops.values[..., channel], 0, 2).reshape(devices, -1)
            # of a falling event the far side is below: NaN is on neither, and never valid
            above = (values > threshold) != falling
            newest = np.maximum.accumulate(np.where(valid, np.arange(valid.shape[1]), -1), axis=1)
            known = table["above"][hops.device, e]
            state = np.where(newest >= 0, np.take_along_axis(above, np.maximum(newest, 0), axis=1), known[:, None])
            was = np.concatenate([known[:, None], state[:, :-1]], axis=1)
            crossed = (valid & above & (was == 0)).reshape(angle.shape)
            added[:, :, e] = (parts * crossed[..., None]).sum(axis=2)
            table["above"][hops.device, e] = state[:, -1]
        course = np.add.accumulate(np.concatenate([table.of("events", hops.device)[:, None], added], axis=1), axis=1)
        table["events"][hops.device] = course[:, -1]
        return course[:, 1:], added[:, :, :, 0]
