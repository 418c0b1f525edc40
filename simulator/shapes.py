"""The course of an event in time: how it comes, stays and goes."""

from __future__ import annotations


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
