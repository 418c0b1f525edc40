"""Durations as people type them: ``90``, ``60s``, ``10m``, ``24h``, ``7d``."""

from __future__ import annotations

import re
from typing import Final

_UNITS_S: Final = {"": 1.0, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(s|min|m|h|d)?")


def parse_duration(text: str) -> float:
    """Return seconds.

    :raises ValueError: it is not a duration
    """
    match = _DURATION.fullmatch(text.strip().lower())
    if match is None:
        message = f"{text!r} is not a duration. Write a number and a unit, such as 60s, 10m, 24h or 7d."
        raise ValueError(message)
    return float(match[1]) * _UNITS_S[match[2] or ""]


def shown(seconds: float | None) -> str:
    """Return a duration for people: ``45 s``, ``3.5 min``, ``2.1 h``."""
    if seconds is None:
        return "-"
    for unit, size_s in (("d", 172_800.0), ("h", 7200.0), ("min", 120.0)):
        if seconds >= size_s:
            return f"{seconds / _UNITS_S[unit]:.1f} {unit}"
    return f"{seconds:.0f} s"
