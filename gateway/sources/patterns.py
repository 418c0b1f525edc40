"""Topic patterns with named parts: ``zigbee2mqtt/{device}`` finds a device in a topic, and is a filter for the broker.

A part in braces stands for one level or for a piece of one (``{device}_{field}``); ``+`` is a level without a name,
``#`` at the end is all that follows.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

_PART: Final = re.compile(r"\{([a-z_]+)\}")
FIELD: Final = "field"
"""The part that names a field instead of a device."""


@dataclass(frozen=True, slots=True)
class TopicPattern:
    """A pattern, ready to match."""

    text: str
    filter: str
    """What the broker is asked for."""
    parts: tuple[str, ...]
    """Names of the parts, in order."""
    _exact: re.Pattern[str]

    def match(self, topic: str) -> dict[str, str] | None:
        """Return the parts of a topic; ``None`` where the pattern does not fit."""
        found = self._exact.fullmatch(topic)
        return None if found is None else found.groupdict()


def compile_pattern(text: str, fields: Iterable[str] = ()) -> TopicPattern:
    """Return a pattern; the part ``field``, where ``fields`` are given, is one of these and nothing else.

    :raises ValueError: it is not a pattern; the message says why
    """
    levels = text.split("/")
    parts = tuple(_PART.findall(text))
    if not text or text.startswith("$"):
        raise ValueError("a pattern begins with a name, a part in braces or '+'")
    if len(set(parts)) != len(parts):
        raise ValueError("a part is named twice")
    for place, level in enumerate(levels):
        bare = _PART.sub("", level)
        if set("{}") & set(bare):
            raise ValueError(f"{level!r} is not a level: a part is a name of a-z and '_' in braces")
        if "+" in bare and level != "+":
            raise ValueError(f"{level!r} is not a level: '+' stands alone")
        if "#" in bare and (level != "#" or place != len(levels) - 1):
            raise ValueError("'#' stands alone, at the end")
    words = "|".join(re.escape(name) for name in sorted(fields, key=lambda name: (-len(name), name)))
    return TopicPattern(text, "/".join(map(_wide, levels)), parts, re.compile(_expression(levels, words)))


def _wide(level: str) -> str:
    return "+" if _PART.search(level) else level


def _expression(levels: list[str], words: str) -> str:
    tail = r"(?:/.*)?" if levels[-1] == "#" else ""
    if tail:
        levels = levels[:-1]
    return "/".join(_level(level, words) for level in levels) + tail


def _level(level: str, words: str) -> str:
    if level == "+":
        return "[^/]*"
    pieces, end = [], 0
    for part in _PART.finditer(level):
        pieces.append(re.escape(level[end : part.start()]))
        inner = words if part[1] == FIELD and words else "[^/]+?"
        pieces.append(f"(?P<{part[1]}>{inner})")
        end = part.end()
    return "".join([*pieces, re.escape(level[end:])])


def topic_filter_matches(topic_filter: str, topic: str) -> bool:
    """Tell whether a broker would send a topic for a filter."""
    wanted, given = topic_filter.split("/"), topic.split("/")
    for place, level in enumerate(wanted):
        if level == "#":
            return True
        if place >= len(given) or level not in ("+", given[place]):
            return False
    return len(wanted) == len(given)
