"""Numbers, times and names as people read them. Pure: the present comes as an argument."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Final

from contract.domains import DOMAINS

NOTHING: Final = "\N{EN DASH}"
"""Stands where there is no value."""
_SPANS: Final = (("d", 86400.0), ("h", 3600.0), ("min", 60.0), ("s", 1.0))
_BYTES: Final = ("B", "KiB", "MiB", "GiB", "TiB")
_UNITS: Final = {channel.name: channel.unit for domain in DOMAINS.values() for channel in domain.channels}
_ENDINGS: Final = {
    channel.name: channel.name.removesuffix(ending)
    for domain in DOMAINS.values()
    for channel in domain.channels
    for ending in (
        "_bpm",
        "_mmhg",
        "_min_h",
        "_per_min",
        "_l_min",
        "_veh_h",
        "_km_h",
        "_pct",
        "_bar",
        "_c",
        "_g",
        "_a",
        "_v",
    )
    if channel.name.endswith(ending)
}


def span(seconds: float) -> str:
    """Return a length of time by its two largest units: ``3 min 20 s``; sub-seconds as ``0.4 s``."""
    if not math.isfinite(seconds):
        return NOTHING
    if abs(seconds) < 10:
        return f"{seconds:.1f} s".replace(".0 s", " s")
    rest = round(abs(seconds))
    parts: list[str] = []
    for unit, length in _SPANS:
        count, rest = divmod(rest, int(length))
        if count or parts:
            parts.append(f"{count} {unit}" if count else "")
        if len(parts) == 2:
            break
    return " ".join(part for part in parts if part)


def ago(now_s: float, then_s: float) -> str:
    """Return how long ago something was, in one unit: ``12 min ago``, ``just now``; ``in 5 min`` for the future."""
    seconds = now_s - then_s
    if abs(seconds) < 2:
        return "just now"
    unit, length = next((pair for pair in _SPANS if abs(seconds) >= pair[1] * 1.5), _SPANS[-1])
    text = f"{abs(seconds) / length:.0f} {unit}"
    return f"{text} ago" if seconds > 0 else f"in {text}"


def clock(time_s: float, now_s: float | None = None) -> str:
    """Return a time in UTC; the day too, unless it is the day of ``now_s``."""
    when = datetime.fromtimestamp(time_s, UTC)
    today = now_s is not None and datetime.fromtimestamp(now_s, UTC).date() == when.date()
    return when.strftime("%H:%M:%S" if today else "%d %b %H:%M")


def iso(time_s: float) -> str:
    """Return a time for a machine, in ``<time datetime>``."""
    return datetime.fromtimestamp(time_s, UTC).isoformat(timespec="seconds")


def number(value: float) -> str:
    """Return three significant digits, whole from 100 on, thousands apart."""
    if not math.isfinite(value):
        return NOTHING
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def count(value: int) -> str:
    """Return a whole number, thousands apart."""
    return f"{value:,}"


def size(size_bytes: float) -> str:
    """Return bytes in the unit that leaves one to four digits."""
    unit = 0
    while abs(size_bytes) >= 1024 and unit < len(_BYTES) - 1:
        size_bytes /= 1024
        unit += 1
    return f"{size_bytes:.0f} {_BYTES[unit]}" if unit == 0 or size_bytes >= 100 else f"{size_bytes:.1f} {_BYTES[unit]}"


def percent(share: float | None) -> str:
    """Return a share as a percentage; a dash where there is none."""
    return NOTHING if share is None else f"{100 * share:.0f} %"


def unit(channel: str) -> str:
    """Return a channel's unit, empty where it has none."""
    found = _UNITS.get(channel, "")
    return "" if found == "1" else found


def channel(name: str) -> str:
    """Return a channel's name without its unit: ``pressure_bar`` is ``pressure``."""
    return _ENDINGS.get(name, name).replace("_", " ")


def rule(name: str) -> str:
    """Return a rule's name with spaces."""
    return name.replace("_", " ")
