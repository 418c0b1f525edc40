"""The course of an event in time: how it comes, stays and goes."""

from __future__ import annotations

from dataclasses import dataclass


def smooth_step(x: float) -> float:
    """Rise from 0 at ``x`` ≤ 0 to 1 at ``x`` ≥ 1 without a kink (3x² - 2x³)."""
    if x <= 0.0:
        return 0.0
    if x >= 1.0:
        return 1.0
    return x * x * (3.0 - 2.0 * x)


def trapezoid(t_s: float, onset_s: float, end_s: float, rise_s: float, fall_s: float) -> float:
    """Return the share, 0 to 1, in which an event is present: 0 outside ``onset_s`` … ``end_s``.

    It comes within ``rise_s`` after the onset and goes within ``fall_s`` before the end; 0 is at once.
    """
    if t_s < onset_s or t_s >= end_s:
        return 0.0
    rising = smooth_step((t_s - onset_s) / rise_s) if rise_s > 0.0 else 1.0
    falling = smooth_step((end_s - t_s) / fall_s) if fall_s > 0.0 else 1.0
    return min(rising, falling)


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """The part that all events share: when, how strong, how fast. An event adds what it bends."""

    onset_s: float
    """Begins, Unix seconds."""
    end_s: float
    """Is mended, Unix seconds."""
    severity: float
    """Strength at its height; the unit is the event's own."""
    rise_s: float = 0.0
    """Time after the onset until its height, seconds."""
    fall_s: float = 0.0
    """Time before the end in which it recedes, seconds."""

    def strength(self, t_s: float) -> float:
        """Return the severity at ``t_s``; 0 before the onset and from the end on."""
        return self.severity * trapezoid(t_s, self.onset_s, self.end_s, self.rise_s, self.fall_s)
