"""What a part of the data must not know of another: the guard against leaks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


class LeakError(Exception):
    """Training would see what it is tested on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """Where each row of a part comes from, shape ``(n,)``."""

    device: NDArray[np.str_]
    """Site and device."""
    end_s: NDArray[np.float64]
    """End of the row's window, Unix seconds."""


def check_disjoint(train: Keys, held_out: Keys, *, window_s: float, embargo_s: float) -> None:
    """Refuse two parts that share a device, or whose windows lie closer in time than the embargo.

    :param window_s: length of a window, seconds: rows that share a sample overlap
    :param embargo_s: least time between the windows of the two parts, seconds; one window is the rule
    :raises LeakError: they do; names the device or the times
    """
    shared = np.intersect1d(train.device, held_out.device)
    if len(shared):
        raise LeakError(f"{len(shared)} devices are trained on and held out, {shared[0]} among them")
    earlier, later = sorted((train.end_s, held_out.end_s), key=lambda ends: float(ends.min()))
    gap_s = float(later.min()) - window_s - float(earlier.max())
    if gap_s < embargo_s:
        raise LeakError(f"the parts lie {gap_s:.0f} s apart in time, less than the embargo of {embargo_s:.0f} s")


def split_by_time(
    end_s: NDArray[np.float64], at_s: float, *, window_s: float, embargo_s: float
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return masks of the rows before and after a time, those in between left out of both.

    The rows before end at ``at_s`` at the latest; the windows after begin one embargo later.
    """
    return end_s <= at_s, end_s - window_s >= at_s + embargo_s
