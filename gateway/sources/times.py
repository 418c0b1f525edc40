"""Times as sensors write them, made into Unix seconds."""

from __future__ import annotations

import math
from datetime import datetime
from typing import Any, Final, Literal
from zoneinfo import ZoneInfo

import msgspec

from contract.errors import PayloadError

TimeUnit = Literal["auto", "s", "ms", "us", "ns"]

_PER_SECOND: Final[dict[str, float]] = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}
_LARGEST: Final = ((1e11, 1.0), (1e14, 1e3), (1e17, 1e6), (math.inf, 1e9))
"""Below which number a time is in seconds, ms, µs: each holds for the years 1973 … 5138."""


def unix_s(value: Any, unit: TimeUnit, zone: ZoneInfo) -> float | None:
    """Return a time in Unix seconds, ``None`` where there is none; text without an offset is of ``zone``.

    :raises PayloadError: it is not a time
    """
    if value is None or value == "":
        return None
    if isinstance(value, datetime):
        return _of_datetime(value, zone)
    if isinstance(value, str):
        plain = _plain(value)
        return _of_text(value, zone) if plain is None else _of_number(plain, unit)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _of_number(value, unit)
    raise PayloadError(f"time {value!r:.40} is neither a number nor a date")


def _plain(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _of_number(value: float, unit: TimeUnit) -> float:
    if abs(value) > 2**63 or not math.isfinite(value):
        raise PayloadError("a time is out of every range")
    per_second = _PER_SECOND.get(unit) or next(each for largest, each in _LARGEST if abs(value) < largest)
    return value / per_second


def _of_text(text: str, zone: ZoneInfo) -> float:
    try:  # msgspec's reader takes any number of digits behind the second
        return _of_datetime(msgspec.convert(text.strip(), datetime), zone)
    except (msgspec.ValidationError, OverflowError) as error:
        raise PayloadError(f"time {text!r:.40} is not a date as in RFC 3339") from error


def _of_datetime(value: datetime, zone: ZoneInfo) -> float:
    return (value.replace(tzinfo=zone) if value.tzinfo is None else value).timestamp()
