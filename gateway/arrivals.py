"""A batch of samples sorted by device, and which of them come too late: what the watermarks say row by row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from gateway.frames import Doubles, Flags, Integers, Singles, WindowSpec

NEW: Final = -(2**62)
"""First open hop of a device that has sent nothing yet."""
APART: Final = 2**40
"""Distance between two devices' hops in one sorted key; more hops than that are 30,000 years."""


@dataclass(frozen=True, slots=True)
class Arrivals:
    """Rows sorted by device, in order of arrival within one."""

    device: Integers
    ts: Doubles
    values: Singles
    slot: Integers
    hop: Integers
    first: Integers
    """First row of each of the ``s`` devices."""
    owner: Integers
    """Which of the ``s`` devices a row is of."""
    opened: Integers
    """First open hop of each device before the batch, shape ``(s,)``."""
    reached: Integers
    """First open hop after each row, shape ``(n,)``."""
    late: Flags
    """Whether a row's hop was closed when it came, shape ``(n,)``."""

    @property
    def devices(self) -> Integers:
        """The devices, ascending."""
        return self.device[self.first]

    @property
    def now_open(self) -> Integers:
        """First open hop of each device after the batch, shape ``(s,)``."""
        last = np.append(self.first[1:], len(self.device)) - 1
        reached: Integers = self.reached[last]
        return reached

    @property
    def widest_step(self) -> Integers:
        """Most hops that one row closed, by device, shape ``(s,)``."""
        step = np.diff(self.reached, prepend=0)
        step[self.first] = self.reached[self.first] - self.opened
        widest: Integers = np.maximum.reduceat(step, self.first)
        return widest

    def first_beyond(self, device: Integers, hop: Integers) -> Integers:
        """Return the first row after which a hop is closed, for devices ``(G,)`` of the batch and hops ``(G, K)``."""
        low = int(min(self.reached.min(), hop.min()))
        return np.searchsorted(self.reached - low + self.owner * APART, hop + 1 - low + device[:, None] * APART)


def arrivals(device: Integers, ts: Doubles, values: Singles, opened: Integers, spec: WindowSpec) -> Arrivals:
    """Find out for each row which hops are closed when it comes, and which after it.

    :param device: ascending
    :param opened: first open hop of every device there is
    """
    slot = np.floor(ts / spec.period_s).astype(np.int64)
    hop = slot // spec.hop_slots
    begins = np.diff(device, prepend=-1) != 0
    first, owner = np.flatnonzero(begins), np.cumsum(begins) - 1
    passed = np.floor((ts - spec.lateness_s) / spec.hop_s).astype(np.int64)
    held = opened[device[first]]
    held = np.where(held == NEW, passed[first], held)
    # one running maximum for all devices: each one's hops are lifted above those of the device before
    lift = owner * APART - min(int(passed.min()), int(held.min()))
    passed[first] = np.maximum(passed[first], held)
    reached = np.maximum.accumulate(passed + lift) - lift
    before = np.concatenate([reached[:1], reached[:-1]])
    before[first] = held
    return Arrivals(device, ts, values, slot, hop, first, owner, held, reached, hop < before)
