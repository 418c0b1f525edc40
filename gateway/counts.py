"""One device's count from a start to the next restart: which numbers came, which are missing."""

from __future__ import annotations

from bisect import bisect_right
from itertools import chain
from math import inf, isnan
from operator import itemgetter
from typing import Final

import msgspec

LONGEST_GAP: Final = 10_000_000
"""Numbers; a longer jump is a new count, not a loss: four months of a device that reports every second."""
KEPT_GAPS: Final = 64
"""Missing runs held open to be filled; of older ones only the size is known, so they stay lost."""

_begin, _end = itemgetter(0), itemgetter(1)


class Count(msgspec.Struct, array_like=True):
    """What came of one count."""

    first: int
    last: int
    start_s: float
    """Measurement time of number ``first``, Unix seconds; NaN is not known."""
    newest_s: float
    """Newest measurement time, Unix seconds; NaN is not known."""
    gaps: list[tuple[int, int]] = []
    """First and last number of the missing runs that are held open, ascending."""
    forgotten: int = 0
    """Missing numbers of runs that are no longer held open."""

    @property
    def published(self) -> int:
        """Numbers that the device gave so far."""
        return self.last - self.first + 1

    @property
    def lost(self) -> int:
        """Numbers that did not come so far."""
        lost: int = self.forgotten + len(self.gaps) + sum(map(_end, self.gaps)) - sum(map(_begin, self.gaps))
        return lost

    def misses(self, seq: int) -> bool:
        """Tell whether a number lies in a missing run."""
        return self._place(seq) >= 0

    def passed(self, seq: int, *, surely: bool) -> bool:
        """Tell whether a number is one of this count: a missing one, or, where it fits nowhere else, one it held."""
        return self.misses(seq) or (surely and self.first <= seq <= self.last)

    def restarts(self, seq: int, ts: float) -> bool:
        """Tell whether a number that this count has passed begins a new one: it is newer than everything here."""
        again = seq == self.first and self.start_s < inf and ts < inf and ts != self.start_s
        return abs(seq - self.last) > LONGEST_GAP or (seq <= self.last and (ts > self.newest_s or again))

    def add(self, seq: int, ts: float) -> bool:
        """Enter a number; False if it is already held."""
        if ts > self.newest_s or isnan(self.newest_s):
            self.newest_s = ts
        if seq > self.last:
            self._open(self.last + 1, seq - 1)
            self.last = seq
        elif seq < self.first:
            self._open(seq + 1, self.first - 1)
            self.first, self.start_s = seq, ts
        else:
            return self._fill(seq)
        return True

    def _open(self, begin: int, end: int) -> None:
        if begin > end:
            return
        self.gaps = sorted([*self.gaps, (begin, end)])
        if len(self.gaps) > KEPT_GAPS:
            begin, end = self.gaps.pop(0)
            self.forgotten += end - begin + 1

    def _fill(self, seq: int) -> bool:
        place = self._place(seq)
        if place < 0:
            return False
        begin, end = self.gaps[place]
        rest = [(begin, seq - 1), (seq + 1, end)]
        self.gaps[place : place + 1] = [gap for gap in rest if gap[0] <= gap[1]]
        return True

    def _place(self, seq: int) -> int:
        """Return the place of the missing run that a number lies in; -1 if there is none."""
        place = bisect_right(self.gaps, (seq, inf)) - 1
        return place if place >= 0 and seq <= self.gaps[place][1] else -1


class History(msgspec.Struct, array_like=True):
    """The counts of a device whose numbers did not always follow each other."""

    now: Count
    before: Count | None = None
    """The count before the last restart: late and repeated samples of it may still come."""
    published: int = 0
    """Numbers of all older counts."""
    lost: int = 0
    """Missing numbers of all older counts."""

    def add(self, seq: int, ts: float) -> bool:
        """Enter a number; False if it is already held."""
        now, before = self.now, self.before
        follows = seq == now.last + 1 or now.misses(seq)
        if before is not None and ts < now.start_s and before.passed(seq, surely=not follows):
            return before.add(seq, ts)
        if not follows and now.restarts(seq, ts):
            if before is not None:
                self.published += before.published
                self.lost += before.lost
            self.now, self.before = Count(seq, seq, ts, ts), now
            return True
        return now.add(seq, ts)

    @property
    def plain(self) -> bool:
        """Whether nothing is missing and nothing went before: first and last number say it all."""
        return self.before is None and not self.now.gaps and not self.now.forgotten

    def totals(self) -> tuple[int, int, tuple[tuple[int, int], ...]]:
        """Return published, lost, and the missing runs that are held open, older counts first."""
        counts = [count for count in (self.before, self.now) if count is not None]
        return (
            self.published + sum(count.published for count in counts),
            self.lost + sum(count.lost for count in counts),
            tuple(chain.from_iterable(count.gaps for count in counts)),
        )
