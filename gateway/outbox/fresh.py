"""Outbox entries of the last moments, in memory: what every store takes soon never goes to disk."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, get_args

from gateway.ports import Entry, Lane, Outputs

LANES: Final[tuple[Lane, ...]] = get_args(Lane)


@dataclass(frozen=True, slots=True)
class FreshEntry:
    """A part of a batch's outputs."""

    position: int
    created_s: float
    """Unix seconds."""
    outputs: Outputs


class Fresh:
    """Entries by lane, oldest first."""

    def __init__(self) -> None:
        """Start empty."""
        self._lanes: dict[Lane, deque[FreshEntry]] = {lane: deque() for lane in LANES}
        self.rows = 0
        """Points, readings, alerts and accounts in all of them."""

    def __iter__(self) -> Iterator[tuple[Lane, FreshEntry]]:
        """Yield all entries, lane by lane."""
        return ((lane, entry) for lane, entries in self._lanes.items() for entry in entries)

    def add(self, lane: Lane, entry: FreshEntry) -> None:
        """Append an entry, newer than all."""
        self._lanes[lane].append(entry)
        self.rows += entry.outputs.rows

    def after(self, lane: Lane, position: int) -> Iterator[Entry]:
        """Yield the entries behind a position, oldest first."""
        return (Entry(one.position, one.outputs) for one in self._lanes[lane] if one.position > position)

    def forget(self, lane: Lane, passed: int) -> None:
        """Drop the entries up to a position."""
        entries = self._lanes[lane]
        while entries and entries[0].position <= passed:
            self.rows -= entries.popleft().outputs.rows

    def clear(self) -> None:
        """Drop all."""
        for entries in self._lanes.values():
            entries.clear()
        self.rows = 0

    def waiting(self, lane: Lane) -> int:
        """Return the number of entries of a lane."""
        return len(self._lanes[lane])

    def oldest_s(self, lane: Lane) -> float | None:
        """Return when the oldest entry of a lane was appended, Unix seconds; ``None`` without one."""
        entries = self._lanes[lane]
        return entries[0].created_s if entries else None
