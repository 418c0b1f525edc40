"""Expands InfluxQL as Grafana does before it sends it: macros, and variables at "All"."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """The time chosen above a dashboard, Unix seconds."""

    from_s: float
    to_s: float


def expanded(query: str, time: Range, variables: Mapping[str, Sequence[str]], interval: str = "1m") -> str:
    """Return a query without macros; ``variables`` are the values chosen.

    :raises KeyError: it names a variable that the dashboard does not have
    """
    text = query.replace("$timeFilter", f"time >= {time.from_s * 1000:.0f}ms and time <= {time.to_s * 1000:.0f}ms")
    text = text.replace("$__interval", interval).replace("$__range_s", f"{time.to_s - time.from_s:.0f}")
    text = re.sub(r"\$\{(\w+):regex\}", lambda match: as_regex(variables[match[1]]), text)
    assert "$" not in re.sub(r"\$/", "", text), f"a macro is left in {text}"
    return text


def as_regex(values: Sequence[str]) -> str:
    """Return the format ``:regex`` of a variable: one value, or alternatives; special characters escaped."""
    escaped = [re.sub(r"[\\^$*+?.()|\[\]{}/]", r"\\\g<0>", value) for value in values]
    return escaped[0] if len(escaped) == 1 else f"({'|'.join(escaped)})"


def unescaped(text: str) -> str:
    """Return a string of a provisioning file as Grafana reads it."""
    return text.replace("$$", "$")
