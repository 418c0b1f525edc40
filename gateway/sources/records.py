"""What every format is decoded to, and how a field is found and read in it."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from contract.errors import PayloadError

_WORDS: Final[dict[str, float]] = {
    **dict.fromkeys(("true", "on", "yes", "open", "opened", "detected", "wet", "home"), 1.0),
    **dict.fromkeys(("false", "off", "no", "closed", "clear", "dry", "not_home"), 0.0),
    **dict.fromkeys(("", "none", "null", "nan", "unknown", "unavailable", "n/a", "-"), math.nan),
}
"""What is written in place of a number, and what it says; NaN is missing."""
_DOT: Final = re.compile(r"(?<!\\)\.")


@dataclass(frozen=True, slots=True)
class Record:
    """Fields of one device at one time."""

    fields: Mapping[str, Any]
    """By name; values may be mappings and lists again."""
    time_s: float | None = None
    """Unix seconds, where the format itself carries a time."""
    units: Mapping[str, str] = field(default_factory=dict)
    """Unit of a field, where the format itself carries one."""


@dataclass(frozen=True, slots=True)
class Path:
    r"""Where a field is: names and list places between dots; a dot that belongs to a name is written ``\.``."""

    text: str

    @property
    def steps(self) -> tuple[str, ...]:
        """The names on the way."""
        return tuple(step.replace("\\.", ".") for step in _DOT.split(self.text))

    def find(self, fields: Mapping[str, Any]) -> Any:
        """Return what is there, ``None`` where nothing is. A field that bears the whole name comes first."""
        if self.text in fields:
            return fields[self.text]
        found: Any = fields
        for step in self.steps:
            found = _step(found, step)
            if found is None:
                return None
        return found


def _step(found: Any, step: str) -> Any:
    if isinstance(found, Mapping):
        return found.get(step)
    if isinstance(found, Sequence) and not isinstance(found, str | bytes) and step.isdecimal():
        return found[int(step)] if int(step) < len(found) else None
    return None


def number(value: Any, words: Mapping[str, float]) -> float:
    """Return a value as a number, NaN where it says that there is none; ``words`` first, then the usual ones.

    :raises PayloadError: it is neither a number nor a known word
    """
    if isinstance(value, str):
        return _worded(value.strip(), words)
    if isinstance(value, bool | int | float):
        if not isinstance(value, bool) or not words:
            return _finite(value)
        return _worded(str(value).lower(), words)
    if value is None:
        return math.nan
    raise PayloadError(f"{_short(value)} is not a number")


def _worded(text: str, words: Mapping[str, float]) -> float:
    if text in words:
        return words[text]
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    try:
        return _finite(float(text))
    except ValueError:
        raise PayloadError(f"{_short(text)} is not a number; say in `values` what it stands for") from None


def _finite(value: float) -> float:
    try:
        number = float(value)
    except OverflowError:
        raise PayloadError("a whole number is larger than any measurement") from None
    return number if math.isfinite(number) else math.nan


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:39] + "…"
