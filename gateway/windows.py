"""Event-time windows over many devices (filled in next)."""

from __future__ import annotations

from gateway.calendars import Calendar
from contract.domains import Domain
from gateway.frames import Added, Blocks, Doubles, Events, Frames, History, Integers, Singles, Strays, WindowSpec

__all__ = ["Added", "Blocks", "Events", "Frames", "History", "Strays", "WindowSpec", "Windows"]


class Windows:
    """Cuts the samples of one domain's devices into windows. ``add`` does the work; the drains hand out what it gave."""

    def __init__(self, domain: Domain, spec: WindowSpec, calendar: Calendar | None = None) -> None:
        """Start with no device. The calendar (UTC without one) gives events their local time of day."""

    def add(self, device: Integers, ts: Doubles, values: Singles) -> Added:
        """Take samples in order of arrival: device row numbers ``(n,)``, Unix seconds ``(n,)``, values ``(n, channels)``."""
        raise NotImplementedError

    def close(self) -> list[Frames]:
        """Drain the windows that closed since the last call."""
        raise NotImplementedError

    def blocks(self) -> list[Blocks]:
        """Drain the raw samples of the hops that closed since the last call."""
        raise NotImplementedError

    def strays(self) -> list[Strays]:
        """Drain the samples that no window and no block holds."""
        raise NotImplementedError

    def flush(self) -> None:
        """Close every hop that holds a sample (the end of an offline run); drain after it."""
        raise NotImplementedError

    def dump(self) -> bytes:
        """Return the state; drain before."""
        raise NotImplementedError

    def load(self, state: bytes) -> None:
        """Take the state of a dump; from there on everything is bit-identical."""
        raise NotImplementedError
