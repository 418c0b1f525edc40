"""What a field may be, by its name and values: a unit, a channel, a time, a counter. Pure."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from contract.domains import Channel
from gateway.sources.records import Record
from gateway.sources.units import conversion

_LETTERS: Final = re.compile(r"[^a-z0-9]+")
_TIMES: Final = re.compile(r"(ts|t|at|time|timestamp|last_?seen|received_?at|date|datetime)")
_COUNTERS: Final = re.compile(r"(seq|seqno|sequence|counter|f_cnt|fcnt|n|msg_id)")
_EPOCH: Final = (1.0e9, 4.0e9)

_UNITS: Final[tuple[tuple[str, str, str, tuple[float, float]], ...]] = (
    # word in the name, unit, suffix of the channel, physical range
    ("_mv$|^mv$", "mV", "mv", (-1e6, 1e6)),
    ("(^|_)v$", "V", "v", (-1000.0, 1000.0)),
    ("temp|tc$|cel", "°C", "c", (-60.0, 150.0)),
    ("tf$|fahrenheit", "°F", "f", (-76.0, 302.0)),
    ("humid|rh$|hum$", "%", "pct", (0.0, 100.0)),
    ("soil_?moist|moisture", "%", "pct", (0.0, 100.0)),
    ("batt|soc$", "%", "pct", (0.0, 100.0)),
    ("press|baro", "hPa", "hpa", (300.0, 1200.0)),
    ("volt|vcc|vbat", "V", "v", (-1000.0, 1000.0)),
    ("current|amp", "A", "a", (-1000.0, 1000.0)),
    ("power|watt", "W", "w", (-1e6, 1e6)),
    ("energy|kwh|total", "kWh", "kwh", (0.0, 1e9)),
    ("co2|voc|ppm", "ppm", "ppm", (0.0, 1e5)),
    ("illum|lux|light", "lx", "lx", (0.0, 2e5)),
    ("vibr|accel", "g", "g", (-50.0, 50.0)),
    ("flow", "L/min", "l_min", (0.0, 1e5)),
    ("speed", "km/h", "km_h", (0.0, 500.0)),
    ("heart|pulse|bpm", "bpm", "bpm", (0.0, 300.0)),
    ("occupancy", "%", "pct", (0.0, 100.0)),
)
_NOT_MEASURED: Final = re.compile(
    r"linkquality|brightness|color_?temp\w*|wifi_\w+|signal\w*|bver|factor|lqi|rssi|snr|uptime|version|id|heap|sleep|wifi|ch|channel|port|f_port|cnt|restart|device_?type|frequency"
    r"|bandwidth|spreading_factor|tf|external|temp_?unit"
)
_SYNONYMS: Final = {"air": "temperature", "ambient": "temperature", "thermocouple": "temperature", "heart": "heart"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Guess:
    """What a field seems to be."""

    path: str
    channel: str
    """Name that a channel of its own would have."""
    unit: str
    low: float
    high: float
    sure: bool
    """Whether the unit follows from the format or the name."""

    def fits(self, channel: Channel) -> bool:
        """Tell whether a channel measures this: the unit can be converted, and a word of the names agrees."""
        if conversion(self.unit, channel.unit) is None:
            return False
        mine, theirs = words(self.path), words(channel.name)
        return bool(mine & theirs) or (
            self.unit == "°C" and "temperature" in {_SYNONYMS.get(word) for word in theirs} and "temperature" in mine
        )


def words(name: str) -> set[str]:
    """Return the telling words of a name, shortened words written out."""
    parts = set(_LETTERS.sub(" ", re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()).split())
    written = {
        "temp": "temperature",
        "tc": "temperature",
        "hum": "humidity",
        "rh": "humidity",
        "batt": "battery",
        "percent": "battery",
    }
    return {written.get(part, part) for part in parts} - {"c", "f", "pct", "v", "a", "g", "min", "h", "km", "l"}


def guesses(numeric: Mapping[str, Sequence[Any]], records: Sequence[Record]) -> list[Guess]:
    """Return what the numeric fields are; those that speak of the radio or the device itself are left out."""
    units = {name: unit for record in records for name, unit in record.units.items()}
    found: list[Guess] = []
    names: set[str] = set()
    for path, values in numeric.items():
        last = path.rsplit(".", 1)[-1]
        if _NOT_MEASURED.fullmatch(last.lower()) or path.startswith(("measurement", "tags.")):
            continue
        guess = _guess(path, [float(v) for v in values if _is_number(v)], units.get(path))
        if guess is None or any(path != other and path.endswith((f".{other}", f":{other}")) for other in numeric):
            continue
        channel = guess.channel
        while channel in names:
            channel += "_2"
        names.add(channel)
        found.append(
            Guess(path=path, channel=channel, unit=guess.unit, low=guess.low, high=guess.high, sure=guess.sure)
        )
    return found


def _is_number(value: Any) -> bool:
    try:
        return not isinstance(value, bool) and float(value) == float(value)
    except (TypeError, ValueError):
        return False


def _guess(path: str, values: Sequence[float], stated: str | None) -> Guess | None:
    for name in (path.rsplit(".", 1)[-1], path):  # the last word tells most
        found = _by_name(path, re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower(), values)
        if found is not None:
            return found
    if not values:
        return None
    reach = 10 * max(*map(abs, values), 1.0)
    unit = stated or "1"
    return Guess(path=path, channel=_channel(path), unit=unit, low=-reach, high=reach, sure=stated is not None)


def _by_name(path: str, name: str, values: Sequence[float]) -> Guess | None:
    for pattern, usual, suffix, (low, high) in _UNITS:
        if re.search(pattern, name):
            telling = _LETTERS.sub("_", path.replace("\\.", "_").lower()).strip("_").split("_")
            stem = "_".join(part for part in telling[-2:] if not part.isdecimal() and part not in ("value", "payload"))
            channel = _channel(stem if stem.endswith(f"_{suffix}") or stem == suffix else f"{stem}_{suffix}")
            if usual == "V" and max(map(abs, values), default=0.0) > 1000:  # a battery in millivolts
                millivolts = _channel(f"{stem}_mv")
                return Guess(path=path, channel=millivolts, unit="mV", low=low * 1000, high=high * 1000, sure=True)
            return Guess(path=path, channel=channel, unit=usual, low=low, high=high, sure=True)
    return None


def _channel(name: str) -> str:
    text = _LETTERS.sub("_", name.lower()).strip("_")[-60:].strip("_") or "value"
    return text if text[0].isalpha() and text not in ("ts", "seq") else f"x_{text}"


def is_time(path: str, values: Sequence[Any]) -> bool:
    """Tell whether a field is the time of measurement: named so, and a date or a number of seconds since 1970."""
    if not _TIMES.fullmatch(path.rsplit(".", 1)[-1].lower()):
        return False
    return all((isinstance(v, str) and bool(re.match(r"\d{4}-\d\d-\d\d[T ]", v))) or _is_epoch(v) for v in values)


def _is_epoch(value: Any) -> bool:
    if not _is_number(value):
        return False
    return any(_EPOCH[0] <= float(value) / per <= _EPOCH[1] for per in (1.0, 1e3, 1e6, 1e9))


def is_counter(path: str, values: Sequence[Any]) -> bool:
    """Tell whether a field counts messages: named so, whole, and never going back."""
    if not _COUNTERS.fullmatch(path.rsplit(".", 1)[-1].lower()) or len(values) < 2:
        return False
    return all(type(v) is int and v >= 0 for v in values) and all(a < b for a, b in itertools.pairwise(values))
