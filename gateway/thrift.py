"""Spares an SD card: lengthens the time between two commits until what is written stays within a day's budget.

Off by default, and then every message is durable before it is acknowledged. A declared loss window allows to
acknowledge first: what came within it may be lost in a crash, and never more.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

DAY_S: Final = 86_400.0
MEASURED_S: Final = 20.0
"""Time over which the rate of writing is measured before the interval is set anew, seconds."""
SHORTEST_S: Final = 0.1
"""First step above none, seconds."""
SLACK: Final = 0.7
"""Share of the budget below which the interval is shortened again."""


@dataclass(slots=True, kw_only=True)
class Thrift:
    """Sets the commit interval by what was written."""

    max_bytes_per_day: float | None = None
    """Budget; ``None`` is none, and the interval stays 0."""
    loss_window_s: float = 0.0
    """Longest interval, seconds."""
    monotonic_s: Callable[[], float] = lambda: 0.0
    written_bytes: Callable[[], int] = lambda: 0
    """Bytes that this process caused to be written so far."""
    interval_s: float = field(default=0.0, init=False)
    """Time for which messages are gathered before they are committed, seconds; acknowledged at once if above 0."""
    _since_s: float = field(default=0.0, init=False)
    _since_bytes: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        """Start measuring."""
        self._since_s, self._since_bytes = self.monotonic_s(), self.written_bytes()

    def adjust(self) -> float:
        """Return the interval, set anew when enough time has passed: doubled over the budget, halved well below it."""
        if self.max_bytes_per_day is None or self.loss_window_s <= 0:
            return 0.0
        span_s = self.monotonic_s() - self._since_s
        if span_s >= MEASURED_S:
            written = self.written_bytes()
            share = (written - self._since_bytes) / span_s * DAY_S / self.max_bytes_per_day
            self._since_s, self._since_bytes = self.monotonic_s(), written
            if share > 1.0:
                self.interval_s = min(max(2 * self.interval_s, SHORTEST_S), self.loss_window_s)
            elif share < SLACK:
                self.interval_s = self.interval_s / 2 if self.interval_s > SHORTEST_S else 0.0
        return self.interval_s
