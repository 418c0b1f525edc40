"""The ledger: what became of every sample of every device of one domain.

Pure, and cheap while all goes well: as long as each device counts on by one, a batch costs a handful of array
operations; only a device that skips, repeats or restarts is looked at by itself (:mod:`gateway.counts`).

For a device that counts, ``published = stored + quarantined + lost``, but for a quarantined message so broken that its
number cannot be read: that number stays among the lost ones too. Loss before the first number seen cannot be known.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from contract.topics import DeviceId
from gateway.counts import Count, History
from gateway.lane import Columns, Refusals
from gateway.ports import LedgerLine
from gateway.records import from_bytes, grown, records

REPORTED_GAPS: Final = 16
"""Missing runs in a line, the newest."""

_BLANK: Final = records(
    (0, -1, np.nan, np.nan, np.nan, 0, 0, 0, 0, 0, 0),
    [
        ("first", "i8"),  # of the present count; last is one less than first before there is any
        ("last", "i8"),
        ("start_s", "f8"),
        ("newest_s", "f8"),
        ("last_s", "f8"),  # newest time of any sample, counted or not
        ("uncounted", "i8"),
        ("unreadable", "i8"),  # quarantined without a number; published only by a device that does not count
        ("stored", "i8"),
        ("duplicate", "i8"),
        ("late", "i8"),
        ("quarantined", "i8"),
    ],
)


class _State(msgspec.Struct, frozen=True, array_like=True):
    rows: bytes
    odd: dict[int, History]


class Ledger:
    """Accounts for the devices of one domain, by index."""

    def __init__(self) -> None:
        """Start with no device."""
        self._table = _BLANK.copy()
        self._odd: dict[int, History] = {}

    def take(self, columns: Columns) -> NDArray[np.bool_]:
        """Enter samples; return which are new, shape ``(n,)``: False repeats a ``seq`` that is already held."""
        device, rows = columns.device, self._room(columns.device)
        new = self._count(device, columns.seq, columns.ts)
        np.add.at(rows["stored"], device[new], 1)
        np.add.at(rows["uncounted"], device[columns.seq < 0], 1)
        np.fmax.at(rows["last_s"], device, columns.ts)
        if not new.all():
            np.add.at(rows["duplicate"], device[~new], 1)
        return new

    def refuse(self, refusals: Refusals) -> None:
        """Enter samples that were quarantined: they arrived, so they are not lost, but they are not stored."""
        device, rows = refusals.device, self._room(refusals.device)
        new = self._count(device, refusals.seq, np.full(len(device), np.nan))
        np.add.at(rows["quarantined"], device[new], 1)
        np.add.at(rows["duplicate"], device[~new], 1)
        np.add.at(rows["unreadable"], device[refusals.seq < 0], 1)

    def late(self, device: NDArray[np.int64]) -> None:
        """Enter samples already taken that came after their window had closed: one entry a sample."""
        np.add.at(self._room(device)["late"], device, 1)

    def repeated(self, device: NDArray[np.int64]) -> None:
        """Move samples already taken as new from stored to duplicate, because their slot was held: one entry each."""
        rows = self._room(device)
        np.add.at(rows["stored"], device, -1)
        np.add.at(rows["duplicate"], device, 1)

    def last_s(self, device: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the newest measurement time of devices, Unix seconds, NaN before the first sample."""
        newest: NDArray[np.float64] = self._room(device)["last_s"][device]
        return newest

    @property
    def newest_s(self) -> float:
        """Newest measurement time of any device, Unix seconds; NaN before the first sample."""
        return float(np.fmax.reduce(self._table["last_s"], initial=np.nan))

    def lines(self, indices: Iterable[int], devices: Sequence[DeviceId]) -> list[LedgerLine]:
        """Return the accounts of some devices; ``devices`` names each index."""
        chosen = np.fromiter(indices, np.int64)
        rows = self._room(chosen)[chosen]
        rows["last_s"] = np.nan_to_num(rows["last_s"])
        return [
            self._line(index, devices[index], row) for index, row in zip(chosen.tolist(), rows.tolist(), strict=True)
        ]

    def dump(self) -> bytes:
        """Return the state."""
        return msgspec.msgpack.encode(_State(self._table.tobytes(), self._odd))

    def load(self, state: bytes) -> None:
        """Take over a state that :meth:`dump` returned."""
        loaded = msgspec.msgpack.decode(state, type=_State)
        self._table, self._odd = from_bytes(loaded.rows, _BLANK), loaded.odd

    def _room(self, device: NDArray[np.int64]) -> NDArray[np.void]:
        self._table = grown(self._table, int(device.max(initial=-1)) + 1, _BLANK)
        return self._table

    def _count(self, device: NDArray[np.int64], seq: NDArray[np.int64], ts: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Enter counted samples; tell which are new, where those without a number are."""
        new = np.ones(len(device), dtype=np.bool_)
        order = np.argsort(device, kind="stable")
        order = order[seq[order] >= 0]
        if len(order) == 0:
            return new
        who, number = device[order], seq[order]
        head = np.concatenate([[True], who[1:] != who[:-1]])
        self._begin(who[head], number[head], ts[order[head]])
        expected = np.concatenate([[0], number[:-1] + 1])
        expected[head] = self._table["last"][who[head]] + 1
        odd = (number != expected) | (ts[order] < self._table["start_s"][who])
        if odd.any():
            slow = np.isin(who, who[odd])
            for row in order[slow]:
                new[row] = self._enter(int(device[row]), int(seq[row]), float(ts[row]))
            order, head = order[~slow], head[~slow]
        if len(order):
            self._follow(order, np.flatnonzero(head), device, seq, ts)
        return new

    def _begin(self, device: NDArray[np.int64], number: NDArray[np.int64], ts: NDArray[np.float64]) -> None:
        """Have devices that never counted begin with the first number that they are heard with."""
        rows = self._table
        new = rows["last"][device] < rows["first"][device]
        who = device[new]
        rows["first"][who], rows["last"][who], rows["start_s"][who] = number[new], number[new] - 1, ts[new]

    def _follow(
        self,
        order: NDArray[np.int64],
        head: NDArray[np.int64],
        device: NDArray[np.int64],
        seq: NDArray[np.int64],
        ts: NDArray[np.float64],
    ) -> None:
        """Enter samples of devices that all count on by one; ``order`` groups them, ``head`` begins each group."""
        rows, who, times = self._table, device[order[head]], ts[order]
        rows["last"][who] = seq[order[np.append(head[1:], len(order)) - 1]]
        rows["newest_s"][who] = np.fmax(rows["newest_s"][who], np.fmax.reduceat(times, head))

    def _enter(self, device: int, seq: int, ts: float) -> bool:
        """Enter one number of a device whose numbers do not follow each other; tell whether it is new."""
        row = self._table[device]
        first, last, start_s, newest_s, *_ = row.item()
        if last < first:
            row["first"], row["last"], row["start_s"], row["newest_s"] = seq, seq, ts, ts
            return True
        history = self._odd.get(device)
        if history is None:
            history = self._odd[device] = History(Count(first, last, start_s, newest_s))
        now = history.now
        now.last, now.newest_s = last, newest_s  # both may have moved on while all went well
        new = history.add(seq, ts)
        if history.plain:
            del self._odd[device]
        now = history.now
        row["first"], row["last"], row["start_s"], row["newest_s"] = now.first, now.last, now.start_s, now.newest_s
        return new

    def _line(self, index: int, device: DeviceId, row: tuple[Any, ...]) -> LedgerLine:
        first, last, _, _, last_s, uncounted, unreadable, stored, duplicate, late, quarantined = row
        published, lost = last - first + 1, 0
        gaps: tuple[tuple[int, int], ...] = ()
        history = self._odd.get(index)
        if history is not None:
            history.now.last = last
            published, lost, gaps = history.totals()
        return LedgerLine(
            device.site,
            device.domain,
            device.device,
            published + uncounted + (0 if last >= first else unreadable),
            stored,
            duplicate,
            late,
            quarantined,
            lost,
            gaps[-REPORTED_GAPS:],
            last_s,
        )
