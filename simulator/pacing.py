"""When a sample is due: the devices' own time against the wall clock.

A due time is worked out from the first sample, never from the last, so a late publish makes nothing after it late.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, replace
from typing import Protocol


class Clock(Protocol):
    """Wall time that can be waited for; tests bring their own."""

    def now_s(self) -> float:
        """Return Unix seconds."""

    async def sleep_until(self, at_s: float) -> None:
        """Return at ``at_s`` (Unix seconds), or at once where that is past."""


class WallClock:
    """The machine's clock, read once: later steps of it (NTP, a person) do not disturb the pace."""

    def __init__(self) -> None:
        """Read the clock."""
        self._offset_s = time.time() - time.monotonic()

    def now_s(self) -> float:
        """Return Unix seconds."""
        return self._offset_s + time.monotonic()

    async def sleep_until(self, at_s: float) -> None:
        """Return at ``at_s``; lets other tasks run even where that is past."""
        await asyncio.sleep(max(0.0, at_s - self.now_s()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """Device time ``device_s`` is due at wall time ``wall_s`` (Unix seconds), and runs ``speed`` times faster."""

    device_s: float
    wall_s: float
    speed: float
    """Above 0; infinite: everything is due at once."""

    def due_s(self, t_s: float) -> float:
        """Return the wall time at which a sample measured at ``t_s`` is due."""
        return self.wall_s + (t_s - self.device_s) / self.speed

    def reached_s(self, now_s: float) -> float:
        """Return the device time that is due at wall time ``now_s``."""
        return self.device_s + (now_s - self.wall_s) * self.speed

    def later(self, device_s: float) -> Pace:
        """Return the pace of a device that speaks ``device_s`` seconds of its own time after measuring."""
        return replace(self, device_s=self.device_s - device_s)


def catching_up(*, from_device_s: float, from_wall_s: float, until_wall_s: float) -> Pace:
    """Return the pace that begins at ``from_device_s`` and reaches the present at ``until_wall_s``."""
    speed = (until_wall_s - from_device_s) / (until_wall_s - from_wall_s)
    return Pace(device_s=from_device_s, wall_s=from_wall_s, speed=speed)
