"""Event-time windows over many devices: samples in, closed windows out.

A sample goes to slot ``floor(ts / period)`` of its device. A device's watermark is its newest time less ``lateness_s``;
hops (the spans between two window ends, multiples of ``hop_s`` on the epoch) close when the watermark has passed their
end, and with each hop the window that ends with it. A sample whose hop has closed is late: no window holds it.

What comes out is a function of each device's samples in order of arrival alone, to the bit: not of how they were
batched, nor of the other devices. Of each device one short array of slots is held, from one window before the first
open hop to the newest slot that can be open. A batch is worked off in groups of devices that close equally many hops;
a group's slots, old and new, are laid out side by side on one timeline, from which windows and statistics are cut
together. Stretches without any sample are left out of it: a gap of days costs no more than one of a window's length.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, TypeVar

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from contract.domains import Domain
from gateway.aggregates import Aggregates, Hops
from gateway.arrivals import NEW, Arrivals, arrivals
from gateway.calendars import Calendar
from gateway.frames import (
    Added,
    Blocks,
    Doubles,
    Events,
    Flags,
    Frames,
    History,
    Integers,
    Singles,
    Strays,
    WindowSpec,
    picked,
)
from gateway.records import distinct
from gateway.slots import Placed, Slots, place
from gateway.state_parts import Arrays
from gateway.table import Column, Table

__all__ = ["Added", "Blocks", "Events", "Frames", "History", "Strays", "WindowSpec", "Windows"]

T = TypeVar("T")

_CHUNK: Final = 16_384
"""Rows worked off together: bounds the memory of a large batch."""
_MEMBERS: Final = 512
"""Devices of one group at most: its arrays stay in the processor's cache, and in memory that is kept."""
_SLOTS: Final = 2_000_000
"""Slots of one timeline; a batch that needs more (samples far apart) is halved."""


@dataclass(frozen=True, slots=True)
class _Group:
    """Devices of a batch that close equally many hops."""

    members: Integers
    """Which of the batch's devices, ascending, shape ``(G,)``."""
    index: Integers
    """Hops of the timeline, shape ``(G, K + open hops)``."""
    rows: Integers
    """The batch's rows that are theirs and not late."""
    position: Integers
    """Place of each row among its device's hops."""


class Windows:
    """Cuts the samples of one domain's devices into windows; ``add`` does the work, the drains hand out its results."""

    def __init__(self, domain: Domain, spec: WindowSpec, calendar: Calendar | None = None) -> None:
        """Start with no device. The calendar (UTC without one) gives events their local time of day."""
        self._spec, self._channels = spec, len(domain.channels)
        self._window, self._hop = spec.window_slots, spec.hop_slots
        self._open_hops = -(-(self._hop + int(np.ceil(spec.lateness_s / spec.period_s)) + 1) // self._hop)
        self._reach = -(-self._window // self._hop)
        open_slots = self._open_hops * self._hop
        self._table = Table(
            {
                "opened": Column((), np.int64, NEW),
                "values": Column((self._window + open_slots, self._channels), np.float32, np.nan),
                "times": Column((open_slots,), np.float64, np.nan),
            }
        )
        self._aggregates = Aggregates(domain, spec, calendar or Calendar())
        self._frames: list[Frames] = []
        self._blocks: list[Blocks] = []
        self._strays: list[Strays] = []

    @property
    def bytes_per_device(self) -> int:
        """Memory that one device takes."""
        return self._table.bytes_per_device + self._aggregates.bytes_per_device

    def add(self, device: Integers, ts: Doubles, values: Singles, repeated: Flags | None = None) -> Added:
        """Take ``n`` samples in order of arrival.

        :param device: row number of each one's device, shape ``(n,)``; any small number that stays the device's own
        :param ts: time of measurement, Unix seconds, shape ``(n,)``
        :param values: shape ``(n, channels)``, NaN where missing
        :param repeated: which were taken before, shape ``(n,)``: one that is late is held already, and not stray
        """
        repeated = np.zeros(len(ts), np.bool_) if repeated is None else repeated
        masks = np.zeros((3, len(ts)), np.bool_)
        for start in range(0, len(ts), _CHUNK):
            part = slice(start, start + _CHUNK)
            self._add(device[part], ts[part], np.asarray(values[part], np.float32), repeated[part], masks[:, part])
        return Added(*masks)

    def close(self) -> list[Frames]:
        """Drain the windows that closed since the last call."""
        return _drain(self._frames)

    def blocks(self) -> list[Blocks]:
        """Drain the raw samples of the hops that closed since the last call."""
        return _drain(self._blocks)

    def open_blocks(self, devices: Integers) -> Blocks:
        """Return the raw samples in the open hops of devices, shape ``(d,)``; a hop comes again when it closes.

        Devices that never gave a good sample are passed over.
        """
        devices = devices[devices < len(self._table)]
        index = self._table.of("opened", devices)[:, None] + np.arange(self._open_hops)
        values = self._table["values"][devices, self._window :]
        return self._block(devices, index, values, self._table.of("times", devices))

    def strays(self) -> list[Strays]:
        """Drain the samples that no window and no block holds."""
        return _drain(self._strays)

    def flush(self) -> None:
        """Close every hop that holds a sample (the end of an offline run); drain after it."""
        held = ~np.isnan(self._table["times"][: len(self._table)])
        hops = (
            held.reshape(len(held), self._open_hops, self._hop).any(axis=2) * np.arange(1, self._open_hops + 1)
        ).max(axis=1, initial=0)
        for count in distinct(hops[hops > 0]).tolist():
            devices = np.flatnonzero(hops == count)
            index = self._table.of("opened", devices)[:, None] + np.arange(count + self._open_hops)
            newest = np.nanmax(self._table.of("times", devices), axis=1)
            values, times = self._timeline(devices, index)
            self._seal(devices, index, values, times, np.repeat(newest[:, None], count, axis=1))

    def dump(self) -> dict[str, NDArray[Any]]:
        """Return views of the state; drain before, what is not drained is not in it."""
        return self._table.dump() | self._aggregates.dump()

    @staticmethod
    def held(state: Arrays) -> Strays:
        """Return the samples that wait in the open hops of a dump, whatever settings it was made with."""
        times, values = state["times"], state["values"]
        device, slot = np.nonzero(~np.isnan(times))
        return Strays(device, times[device, slot], values[:, -times.shape[1] :][device, slot])

    def load(self, state: Arrays) -> None:
        """Take the state of a dump; from there on everything is bit-identical.

        :raises ValueError: the dump was made with other settings
        """
        self._aggregates.load(state)
        self._table.load(state)

    def _add(self, device: Integers, ts: Doubles, values: Singles, repeated: Flags, masks: NDArray[np.bool_]) -> None:
        order = np.argsort(device, kind="stable")
        self._table.grow(int(device[order[-1]]) + 1)
        self._aggregates.grow(len(self._table))
        batch = arrivals(device[order], ts[order], values[order], self._table["opened"], self._spec)
        closing = batch.now_open > batch.opened
        groups = self._groups(batch, closing)
        if len(ts) > 1 and any(group.index.size * self._hop > _SLOTS for group in groups):
            half = len(ts) // 2
            self._add(device[:half], ts[:half], values[:half], repeated[:half], masks[:, :half])
            self._add(device[half:], ts[half:], values[half:], repeated[half:], masks[:, half:])
            return
        fresh = batch.devices[self._table["opened"][batch.devices] == NEW]
        self._table["opened"][fresh] = batch.opened[np.searchsorted(batch.devices, fresh)]
        found = np.zeros((3, len(ts)), np.bool_)
        found[1] = batch.late
        stray = batch.late & ~repeated[order]
        self._keep_strays(batch.device[stray], batch.ts[stray], batch.values[stray])
        self._fill_open(batch, np.flatnonzero(~batch.late & ~closing[batch.owner]), found)
        for group in groups:
            self._close_group(batch, group, found)
        masks[:, order] = found

    def _fill_open(self, batch: Arrivals, rows: Integers, found: Flags) -> None:
        """Place the rows of devices that close nothing in their open slots."""
        if len(rows):
            column = batch.slot[rows] - batch.opened[batch.owner[rows]] * self._hop
            device, table = batch.device[rows], self._table
            placed = place(
                Slots(table["times"], table["values"], self._window),
                (device, column),
                batch.ts[rows],
                batch.values[rows],
            )
            self._note(batch, rows, placed, found)

    def _note(self, batch: Arrivals, rows: Integers, placed: Placed, found: Flags) -> None:
        found[0, rows], found[2, rows] = placed.duplicate, placed.crowded
        self._keep_strays(batch.device[rows[placed.pushed_by]], placed.times, placed.values)

    def _keep_strays(self, device: Integers, times: Doubles, values: Singles) -> None:
        if len(device):
            self._strays.append(Strays(device, times, values))

    def _groups(self, batch: Arrivals, closing: Flags) -> list[_Group]:
        """Gather the devices that close equally many hops."""
        found = []
        count = (batch.now_open - batch.opened) * closing
        near = closing & (batch.widest_step <= self._reach + 1)  # without a gap worth leaving out
        accepted = ~batch.late
        for hops in distinct(count[near]).tolist():
            chosen = near & (count == hops)
            alike, of_alike = np.flatnonzero(chosen), np.flatnonzero(accepted & chosen[batch.owner])
            for start in range(0, len(alike), _MEMBERS):
                group = alike[start : start + _MEMBERS]
                first, end = np.searchsorted(batch.owner[of_alike], (group[0], group[-1] + 1))
                rows = of_alike[first:end]
                index = batch.opened[group][:, None] + np.arange(hops + self._open_hops)
                found.append(_Group(group, index, rows, batch.hop[rows] - batch.opened[batch.owner[rows]]))
        ends = np.append(batch.first[1:], len(batch.device))
        for s in np.flatnonzero(closing & ~near).tolist():
            rows = batch.first[s] + np.flatnonzero(accepted[batch.first[s] : ends[s]])
            index, position = self._kept(int(batch.opened[s]), int(batch.now_open[s]), batch.hop[rows])
            found.append(_Group(np.array([s]), index[None], rows, position))
        return found

    def _kept(self, opened: int, now_open: int, hops: Integers) -> tuple[Integers, Integers]:
        """Return the hops of a timeline without its long gaps, and each given hop's place in it.

        After a hop with samples as many are kept as a window reaches: the windows in a gap run empty, then begin anew.
        """
        open_hops = np.arange(self._open_hops)
        anchors = np.sort(np.concatenate([opened + open_hops, hops, now_open + open_hops]))
        anchors = anchors[np.diff(anchors, prepend=anchors[0] - 1) > 0]
        place_of = np.cumsum(np.minimum(np.diff(anchors, prepend=anchors[0]), self._reach + 1))
        steps = np.arange(place_of[-1] + 1)
        anchor = np.searchsorted(place_of, steps, side="right") - 1
        return anchors[anchor] + steps - place_of[anchor], place_of[np.searchsorted(anchors, hops)]

    def _close_group(self, batch: Arrivals, group: _Group, found: Flags) -> None:
        devices, index, rows = batch.devices[group.members], group.index, group.rows
        values, times = self._timeline(devices, index)
        line = np.searchsorted(group.members, batch.owner[rows])
        column = group.position * self._hop + batch.slot[rows] % self._hop
        placed = place(Slots(times, values, self._window), (line, column), batch.ts[rows], batch.values[rows])
        self._note(batch, rows, placed, found)
        closed = index[:, : -self._open_hops]
        after = batch.first_beyond(group.members, closed)
        self._seal(devices, index, values, times, batch.ts[after])

    def _timeline(self, devices: Integers, index: Integers) -> tuple[Singles, Doubles]:
        """Lay out the slots of a group: one window before the first open hop, then the hops of ``index``."""
        table, held = self._table, self._open_hops * self._hop
        length = index.shape[1] * self._hop
        values = np.full((len(devices), self._window + length, self._channels), np.nan, np.float32)
        times = np.full((len(devices), length), np.nan)
        values[:, : self._window + held] = table.of("values", devices)
        times[:, :held] = table.of("times", devices)
        return values, times

    def _seal(self, devices: Integers, index: Integers, values: Singles, times: Doubles, trigger_s: Doubles) -> None:
        """Close all hops of a timeline but the open ones at its end; keep these."""
        closed = index[:, : -self._open_hops]
        slots = closed.shape[1] * self._hop
        inner = slice(self._window, self._window + slots)
        present = _any_channel(values)
        course = self._aggregates.advance(self._hops(devices, closed, values[:, inner], present[:, inner]))
        filled = np.cumsum(present, axis=1, dtype=np.int32)
        ends = self._window + np.arange(1, closed.shape[1] + 1) * self._hop - 1
        count = filled[:, ends] - np.where(ends >= self._window, filled[:, ends - self._window], 0)
        held = count > 0
        if held.any():
            whole = Frames(
                np.broadcast_to(devices[:, None], closed.shape),
                np.asarray((closed + 1) * self._spec.hop_s, np.float64),
                self._cut(values, closed.shape[1]),
                (count / self._window).astype(np.float32),
                trigger_s,
                course.warming,
                course.history,
            )
            self._frames.append(picked(whole, _joined if held.all() else lambda of_hops: of_hops[held]))
        block = self._block(devices, closed, values[:, inner], times[:, :slots])
        if len(block.times):
            self._blocks.append(block)
        self._table["values"][devices] = values[:, slots:]
        self._table["times"][devices] = times[:, slots:]
        self._table["opened"][devices] = index[:, -self._open_hops]

    def _hops(self, devices: Integers, closed: Integers, values: Singles, present: Flags) -> Hops:
        """Turn the closed slots of a timeline, ``(G, K x hop slots, …)``, so that a hop's slots come first."""
        shape = (*closed.shape, self._hop)
        by_slot = np.ascontiguousarray(np.moveaxis(values.reshape(*shape, -1), 2, 0))
        return Hops(devices, closed, by_slot, ~np.isnan(by_slot), np.moveaxis(present.reshape(shape), 2, 0))

    def _cut(self, values: Singles, hops: int) -> Singles:
        """Return the windows of a timeline as a view, shape ``(G, K, slots, channels)``."""
        line, slot, channel = values.strides
        shape = (len(values), hops, self._window, self._channels)
        return as_strided(values[:, self._hop :], shape, (line, slot * self._hop, slot, channel), writeable=False)

    def _block(self, devices: Integers, hops: Integers, values: Singles, times: Doubles) -> Blocks:
        """Return the samples of some hops of devices; hops without any are left out."""
        held = ~np.isnan(times)
        count = held.reshape(*hops.shape, self._hop).sum(axis=2)
        line, hop = np.nonzero(count)
        offset = np.concatenate([[0], np.cumsum(count[line, hop])])
        start_s = np.asarray(hops[line, hop] * self._spec.hop_s, np.float64)
        return Blocks(devices[line], start_s, offset, times[held], values[held])


def _any_channel(values: Singles) -> Flags:
    """Tell where any channel holds a value; channel by channel, which is faster than along so short an axis."""
    valid = ~np.isnan(values)
    found: Flags = valid[..., 0].copy()
    for channel in range(1, values.shape[-1]):
        found |= valid[..., channel]
    return found


def _joined(of_hops: NDArray[Any]) -> NDArray[Any]:
    """Return what is ``(G, K, …)`` as ``(G x K, …)``, without a copy where it can be had."""
    devices, hops, *rest = of_hops.shape
    return of_hops.reshape(devices * hops, *rest)


def _drain(items: list[T]) -> list[T]:
    drained = items.copy()
    items.clear()
    return drained
