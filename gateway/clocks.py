"""Whose clock is in doubt: marks for windows whose samples carry times that cannot all be right.

Pure. Nothing is dropped or moved for it: the mark goes with the points, and the reader decides. A mark belongs to the
hop of the sample that gave rise to it, so it is the same however samples are batched.
"""

from __future__ import annotations

from enum import IntEnum
from itertools import repeat
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from gateway.frames import WindowSpec

AHEAD_S: Final = 5.0
"""A sample that is newer than the gateway's clock by more than this is ahead, seconds."""
STEP_S: Final = 1.0
"""The gateway's clock stepped back, if it says less than it did before by more than this, seconds."""
KEPT_HOPS: Final = 16
"""Hops before the newest for which marks are kept, besides those of a window."""

Integers = NDArray[np.int64]
Doubles = NDArray[np.float64]
Flags = NDArray[np.bool_]


class Doubt(IntEnum):
    """Values of the field ``clock_quality``, the worst one wins; where it is absent there is no doubt."""

    REPEATED = 1
    """The device gave the same time to two samples."""
    AHEAD = 2
    """The device's clock is ahead of the gateway's."""
    STEPPED_BACK = 3
    """The device's clock went back, further than ``lateness_s``: its late samples are kept raw."""
    GATEWAY = 4
    """The gateway's own clock is behind what it said before, so devices cannot be held against it."""


class _State(msgspec.Struct, frozen=True, array_like=True):
    marks: dict[int, dict[int, int]]
    newest_s: dict[int, float]


class Clocks:
    """Marks of one domain's devices."""

    def __init__(self, window: WindowSpec) -> None:
        """Start without any."""
        self._hop_s = window.hop_s
        self._hops = round(window.length_s / window.hop_s)
        self._marks: dict[int, dict[int, int]] = {}
        self._newest_s: Doubles = np.full(1, -np.inf)
        """By device."""

    def take(self, device: Integers, ts: Doubles, now_s: float, *, gateway_in_doubt: bool) -> None:
        """Look at samples in order of arrival; ``now_s`` is the gateway's clock when they came."""
        if gateway_in_doubt:
            self._mark(device, ts, Doubt.GATEWAY)
        else:
            ahead = ts > now_s + AHEAD_S
            if ahead.any():
                self._mark(device[ahead], ts[ahead], Doubt.AHEAD)

    def odd(self, device: Integers, ts: Doubles, late: Flags, repeated: Flags) -> None:
        """Mark devices that gave a time twice, or went back; what is late has no window, so the newest one has it."""
        if repeated.any():
            self._mark(device[repeated], ts[repeated], Doubt.REPEATED)
        if late.any():
            for one in np.unique(device[late]).tolist():
                mine = device == one
                before = np.fmax(np.maximum.accumulate(ts[mine]), self._known(one)[one])
                self._mark(device[mine][late[mine]], before[late[mine]], Doubt.STEPPED_BACK)

    def newest(self, device: Integers, ts: Doubles) -> None:
        """Remember the newest time of each device; after :meth:`odd`."""
        np.maximum.at(self._known(int(device.max())), device, ts)

    def quality(self, device: Integers, end_s: Doubles) -> NDArray[np.float32]:
        """Return the worst doubt within each window, shape ``(n,)``; NaN where there is none."""
        found = np.full(len(device), np.nan, np.float32)
        for row in np.flatnonzero(np.isin(device, np.fromiter(self._marks, np.int64))) if self._marks else ():
            marks = self._marks[int(device[row])]
            last = round(end_s[row] / self._hop_s)
            worst = max(map(marks.get, range(last - self._hops, last), repeat(0)))
            if worst:
                found[row] = worst
        return found

    def dump(self) -> bytes:
        """Return the state."""
        known = np.flatnonzero(self._newest_s > -np.inf).tolist()
        newest_s = dict(zip(known, self._newest_s[known].tolist(), strict=True))
        return msgspec.msgpack.encode(_State(self._marks, newest_s))

    def load(self, state: bytes) -> None:
        """Take over a state that :meth:`dump` returned."""
        loaded = msgspec.msgpack.decode(state, type=_State)
        self._marks, self._newest_s = dict(loaded.marks), np.full(1, -np.inf)
        for device, at_s in loaded.newest_s.items():
            self._known(device)[device] = at_s

    def _known(self, device: int) -> Doubles:
        """Return the newest times, with room for a device."""
        if device >= len(self._newest_s):
            more = np.full(max(device + 1, 2 * len(self._newest_s)) - len(self._newest_s), -np.inf)
            self._newest_s = np.concatenate([self._newest_s, more])
        return self._newest_s

    def _mark(self, device: Integers, ts: Doubles, doubt: Doubt) -> None:
        hops = np.floor(ts / self._hop_s).astype(np.int64)
        for one, hop in np.unique(np.column_stack((device, hops)), axis=0).tolist():
            marks = self._marks.setdefault(one, {})
            marks[hop] = max(marks.get(hop, 0), int(doubt))
            if len(marks) > 4 * (self._hops + KEPT_HOPS):
                newest = max(marks)
                self._marks[one] = {at: mark for at, mark in marks.items() if at > newest - self._hops - KEPT_HOPS}
