"""One figure of a shelf on recorded data, beside its floor, its goal and what is reached without a model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One measured number."""

    data: str
    """Which data: ``FreshRetail dev``."""
    metric: str
    int8: float
    """The shipped model with its frozen thresholds."""
    float32: float | None = None
    """The float model, where it was measured too."""
    floor: float | None = None
    """Below it the model is not good enough."""
    goal: float | None = None
    better: Literal["higher", "lower"] = "higher"
    naive: Mapping[str, float] = field(default_factory=dict)
    """The same metric on the same rows without this model, by rule."""
    note: str = ""
    """What a reader must know to believe the number: rows, base rate, protocol."""

    @property
    def passed(self) -> bool | None:
        """Whether the floor is reached; None where there is none."""
        return self._reaches(self.floor)

    @property
    def at_goal(self) -> bool | None:
        """Whether the goal is reached; None where there is none."""
        return self._reaches(self.goal)

    def _reaches(self, bar: float | None) -> bool | None:
        if bar is None:
            return None
        return self.int8 >= bar if self.better == "higher" else self.int8 <= bar
