"""Exponential backoff with jitter, after Brooker, "Exponential Backoff And Jitter" (AWS Architecture Blog, 2015)."""

from __future__ import annotations

import random
from dataclasses import dataclass, field


@dataclass(slots=True, kw_only=True)
class Backoff:
    """Delays between tries: uniform between half and all of a ceiling that doubles up to a limit."""

    first_s: float = 0.5
    """Ceiling of the first delay, seconds."""
    limit_s: float = 60.0
    """Largest ceiling, seconds."""
    generator: random.Random = field(default_factory=random.Random)
    """Source of the jitter."""
    _tries: int = field(default=0, init=False)

    def next_s(self, asked_s: float | None = None) -> float:
        """Return the next delay; never shorter than what the other side asked for."""
        ceiling_s = min(self.limit_s, self.first_s * 2.0**self._tries)
        self._tries = min(self._tries + 1, 32)
        delay_s = ceiling_s * self.generator.uniform(0.5, 1.0)
        return max(delay_s, asked_s or 0.0)

    def reset(self) -> None:
        """Start from the first delay again."""
        self._tries = 0
