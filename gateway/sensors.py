"""Broken sensors and silent devices: judged apart, so that "the sensor is broken" never reads as "the cow is ill"."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from contract.domains import Channel, Domain
from gateway.frames import Frames
from gateway.records import from_bytes, grown, records

FLAT_LINE: Final = "flat_line"
SATURATION: Final = "saturation"
IMPOSSIBLE_RATE: Final = "impossible_rate"
SILENT: Final = "silent"

SATURATED_SAMPLES: Final = 3
"""Fewest samples at the end of the range that are no coincidence."""

_ANY_RATE: Final = 1e30
"""Unit a second; finite, because no time at all times an infinite rate would be no number."""

_LONG_AGO_S: Final = -1e12
"""Time of the value that a channel has before its first; finite for the same reason."""


@dataclass(frozen=True, slots=True)
class SensorFaults:
    """What is wrong with the sensors in each of ``n`` windows."""

    flags: dict[str, NDArray[np.bool_]]
    """By rule, shape ``(n,)``."""
    words: dict[tuple[int, str], str]
    """Why, by (window, rule), where the flag is up."""


class Sensors:
    """Checks the windows of one domain.

    Windows overlap, so only what is new in each, its last hop, is looked at; the newest value of every channel, and how
    long it has stood still, is carried from window to window.
    """

    def __init__(self, domain: Domain, *, hop_s: float) -> None:
        """Prepare for windows that follow each other every ``hop_s`` seconds."""
        channels = domain.channels
        self._channels = channels
        self._period_s = domain.period_s
        self._hop = round(hop_s / domain.period_s)
        self._low = np.array([-np.inf if channel.low == 0 else channel.low for channel in channels], np.float32)
        """Lower end of the range; zero is where many quantities rest, so it is no sign of a fault."""
        self._high = np.array([channel.high for channel in channels], np.float32)
        self._rate = np.array([channel.max_rate_per_s or _ANY_RATE for channel in channels])
        self._flat_s = np.array([channel.flat_line_s or np.inf for channel in channels])
        size = (len(channels),)
        # newest value and its time; first time of the run of that value, and samples in it
        self._blank = records(
            (np.nan, _LONG_AGO_S, _LONG_AGO_S, 0),
            [("last", "f4", size), ("last_s", "f8", size), ("since_s", "f8", size), ("run", "i4", size)],
        )
        self._table = self._blank.copy()

    def check(self, frames: Frames) -> SensorFaults:
        """Judge windows; each device's must come in order of time."""
        self._table = grown(self._table, int(frames.device.max(initial=-1)) + 1, self._blank)
        faults = SensorFaults({rule: np.zeros(len(frames), np.bool_) for rule in _WORDS}, {})
        for windows in _rounds(frames.device):
            flat, fast = self._advance(frames, windows)
            self._note(faults, FLAT_LINE, windows, flat)
            self._note(faults, IMPOSSIBLE_RATE, windows, fast)
        self._note(faults, SATURATION, np.arange(len(frames)), self._saturated(frames.values))
        return faults

    def dump(self) -> bytes:
        """Return the state."""
        return self._table.tobytes()

    def load(self, state: bytes) -> None:
        """Take over a state that :meth:`dump` returned."""
        self._table = from_bytes(state, self._blank)

    def _note(self, faults: SensorFaults, rule: str, windows: NDArray[np.int64], found: NDArray[np.bool_]) -> None:
        for row in np.flatnonzero(np.any(found, axis=1)):
            faults.flags[rule][windows[row]] = True
            channels = [self._channels[channel] for channel in np.flatnonzero(found[row])]
            faults.words[int(windows[row]), rule] = "; ".join(_WORDS[rule](channel) for channel in channels)

    def _saturated(self, values: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Tell which channels gave nothing but one end of their range, shape ``(n, channels)``."""
        newest = values[:, -self._hop :]
        found: NDArray[np.bool_] = np.any((newest >= self._high) | (newest <= self._low), axis=1)
        suspects = np.any(found, axis=1)
        if suspects.any():  # rare, so the whole window is looked at only now
            whole = values[suspects]
            known = np.count_nonzero(~np.isnan(whole), axis=1)
            ends = [np.count_nonzero(end, axis=1) == known for end in (whole >= self._high, whole <= self._low)]
            found[suspects] = (ends[0] | ends[1]) & (known >= min(SATURATED_SAMPLES, values.shape[1]))
        return found

    def _advance(self, frames: Frames, windows: NDArray[np.int64]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Carry devices, each at most once, over their next hop; tell which channels are flat and which too fast.

        Slots come first, after the newest value before them: each step is one over whole rows of devices and channels.
        """
        rows, device = self._table, frames.device[windows]
        before, before_s, since_s, run = (rows[name][device] for name in ("last", "last_s", "since_s", "run"))
        values = np.concatenate([before[None], frames.values[windows, -self._hop :].transpose(1, 0, 2)])
        starts = frames.end_s[windows, None] - np.arange(self._hop + 1, 0, -1)[:, None, None] * self._period_s
        times = np.broadcast_to(starts, values.shape).copy()
        times[0] = before_s
        missing = np.isnan(values)
        begun, count = np.zeros_like(before, np.bool_), np.zeros_like(run)
        fast = np.zeros_like(begun)
        for slot in range(1, self._hop + 1):
            # where a sample is missing, the newest before it stands in its place
            np.copyto(values[slot], values[slot - 1], where=missing[slot])
            np.copyto(times[slot], times[slot - 1], where=missing[slot])
            step = np.abs(values[slot] - values[slot - 1])
            fast |= step > self._rate * (times[slot] - times[slot - 1])
            changed = (step != 0.0) & ~missing[slot]
            begun |= changed
            np.copyto(since_s, times[slot], where=changed)
            np.copyto(count, 0, where=changed)
            count += ~missing[slot]
        run = np.where(begun, 0, run) + count
        for name, column in (("last", values[-1]), ("last_s", times[-1]), ("since_s", since_s), ("run", run)):
            rows[name][device] = column
        # a run of few samples with long gaps between them proves nothing
        flat = (times[-1] - since_s >= self._flat_s) & (2 * run * self._period_s >= self._flat_s)
        return flat, fast


def _rounds(device: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Split windows so that each part holds every device at most once, and earlier windows stand in earlier parts."""
    order = np.argsort(device, kind="stable")
    sorted_device = device[order]
    rank = np.arange(len(device)) - np.searchsorted(sorted_device, sorted_device)
    return [np.sort(order[rank == turn]) for turn in range(int(rank.max(initial=-1)) + 1)]


def _flat_line(channel: Channel) -> str:
    return f"{channel.name} has not changed for {_duration(channel.flat_line_s or 0.0)}"


def _saturation(channel: Channel) -> str:
    return f"{channel.name} stands at an end of its range, {channel.low:g} … {channel.high:g} {channel.unit}"


def _impossible_rate(channel: Channel) -> str:
    return f"{channel.name} jumped faster than the {channel.max_rate_per_s:g} {channel.unit} a second that are possible"


_WORDS: Final = {FLAT_LINE: _flat_line, SATURATION: _saturation, IMPOSSIBLE_RATE: _impossible_rate}


def _duration(seconds: float) -> str:
    for unit, name in ((3600.0, "h"), (60.0, "min")):
        if seconds >= unit:
            return f"{seconds / unit:g} {name}"
    return f"{seconds:g} s"
