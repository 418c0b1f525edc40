"""How recorded files write times: epochs in three units, and what loggers print."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

Parse = Callable[[str], datetime | float]


@dataclass(frozen=True, slots=True)
class TimeFormat:
    """One way to write a time."""

    example: str
    parse: Parse
    """Turn a text into Unix seconds, or a date and time that may lack its offset; ``ValueError`` if it cannot."""

    def seconds(self, text: str, zone: ZoneInfo) -> float:
        """Return Unix seconds; ``zone`` holds where the text has no offset.

        :raises ValueError: the text is not written so
        """
        moment = self.parse(text.strip())
        if isinstance(moment, datetime):
            return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).timestamp()
        return moment

    def __str__(self) -> str:
        """Show the format by its example."""
        return self.example


def _epoch(units_per_s: float) -> Parse:
    def parse(text: str) -> float:
        seconds = float(text) / units_per_s
        if not EARLIEST_S < seconds < LATEST_S:
            raise ValueError(text)
        return seconds

    return parse


def _printed(pattern: str) -> Parse:
    return lambda text: datetime.strptime(text, pattern)  # noqa: DTZ007  # the zone is the caller's to say


EARLIEST_S: Final = 315_532_800.0
"""1980: smaller numbers are counters, not epochs."""
LATEST_S: Final = 4_102_444_800.0
"""2100."""
FORMATS: Final = (
    TimeFormat("2020-02-08T13:30:47", datetime.fromisoformat),
    TimeFormat("1581168647", _epoch(1.0)),
    TimeFormat("1581168647000", _epoch(1e3)),
    TimeFormat("1581168647000000000", _epoch(1e9)),
    TimeFormat("02/08/2020 13:30:47", _printed("%m/%d/%Y %H:%M:%S")),
    TimeFormat("02/08/2020 13:30", _printed("%m/%d/%Y %H:%M")),
    TimeFormat("25/02/2020 13:30:47", _printed("%d/%m/%Y %H:%M:%S")),
    TimeFormat("25/02/2020 13:30", _printed("%d/%m/%Y %H:%M")),
    TimeFormat("25.02.2020 13:30:47", _printed("%d.%m.%Y %H:%M:%S")),
    TimeFormat("25.02.2020 13:30", _printed("%d.%m.%Y %H:%M")),
    TimeFormat("2020/02/08 13:30:47", _printed("%Y/%m/%d %H:%M:%S")),
    TimeFormat("2020/02/08 13:30", _printed("%Y/%m/%d %H:%M")),
    TimeFormat("2020.02.08.13.30.47", _printed("%Y.%m.%d.%H.%M.%S")),
)
"""Formats in the order in which they are tried; day and month are told apart by a day above 12, else month first."""


def recognise(texts: Sequence[str]) -> TimeFormat | None:
    """Return the format that most of the texts follow, the first where several do; ``None`` if under nine in ten."""
    sample = texts[:: max(1, len(texts) // 1000)]
    counts = [sum(_reads(known, text) for text in sample) for known in FORMATS]
    best = max(counts)
    return FORMATS[counts.index(best)] if sample and best >= 0.9 * len(sample) else None


def _reads(known: TimeFormat, text: str) -> bool:
    try:
        known.parse(text.strip())
    except ValueError:
        return False
    return True
