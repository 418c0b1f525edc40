"""Placing samples in slots: what a slot does when a second sample comes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gateway.frames import Doubles, Flags, Integers, Singles


@dataclass(frozen=True, slots=True)
class Placed:
    """What became of ``n`` samples, and the ``p`` older ones that they pushed out."""

    duplicate: Flags
    crowded: Flags
    pushed_by: Integers
    """Which sample pushed, shape ``(p,)``."""
    times: Doubles
    values: Singles


@dataclass(frozen=True, slots=True)
class Slots:
    """Slots of several devices, one line each; written in place."""

    times: Doubles
    """Times of the samples in the open slots, NaN where there is none; shape ``(lines, slots)``."""
    values: Singles
    """Their values, after ``shift`` slots that are closed; shape ``(lines, shift + slots, channels)``."""
    shift: int


def place(held: Slots, at: tuple[Integers, Integers], times: Doubles, values: Singles) -> Placed:
    """Write samples, in order, to the slots at ``(lines, open slots)``.

    A sample of the very time that a slot holds is merged into it (its valid channels win, so that a device may send its
    channels one by one); one of another time pushes the older one out.
    """
    duplicate, crowded = np.zeros(len(times), np.bool_), np.zeros(len(times), np.bool_)
    pushed: list[tuple[Integers, Doubles, Singles]] = []
    for turn in _turns(at[0] * held.times.shape[1] + at[1]):
        outer = (at[0][turn], at[1][turn])
        inside = (outer[0], outer[1] + held.shift)
        before, now, written = held.times[outer], times[turn], values[turn]
        same, other = before == now, ~np.isnan(before) & (before != now)
        if same.any():
            written = np.where(same[:, None] & np.isnan(written), held.values[inside], written)
        if other.any():
            pushed.append((np.arange(len(times))[turn][other], before[other], held.values[inside][other]))
        duplicate[turn], crowded[turn] = same, other
        held.times[outer], held.values[inside] = now, written
    by, old_times, old_values = zip(*pushed, strict=True) if pushed else ((), (), ())
    return Placed(
        duplicate,
        crowded,
        np.concatenate([np.zeros(0, np.int64), *by]),
        np.concatenate([np.zeros(0), *old_times]),
        np.concatenate([np.zeros((0, values.shape[1]), np.float32), *old_values]),
    )


def _turns(key: Integers) -> list[slice | Integers]:
    """Split samples so that no slot occurs twice in a turn: first comers, then second comers."""
    order = np.argsort(key, kind="stable")
    ordered = key[order]
    begins = np.diff(ordered, prepend=ordered[:1] - 1) != 0
    if begins.all():
        return [slice(None)]
    start = np.flatnonzero(begins)[np.cumsum(begins) - 1]
    turn = np.arange(len(key)) - start
    return [np.sort(order[turn == t]) for t in range(int(turn.max()) + 1)]
