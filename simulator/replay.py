"""Streams a recorded CSV as one device, through the same publisher as a simulated one.

The file says for itself what separates its fields, which column is the time, and how that is written; options say
otherwise where it does not. Everything wrong with file and options is reported at once, before a socket opens.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from contract.domains import Domain
from contract.messages import Sample
from contract.topics import DeviceId
from simulator.errors import RefusedError
from simulator.timestamps import TimeFormat, recognise

DELIMITERS: Final = (",", ";", "\t", "|")
TIME_NAMES: Final = ("ts", "time", "timestamp", "datetime", "date_time", "date")
"""Names of time columns, the most telling first."""
MISSING: Final = frozenset({"", "na", "nan", "null", "none", "-"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Mapped:
    """One column that becomes a channel."""

    column: str
    channel: str
    factor: float = 1.0
    """Multiplies the column's values: 12 makes vehicles per five minutes vehicles per hour."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayOptions:
    """How to read a file; ``None`` where it shall tell for itself."""

    columns: tuple[Mapped, ...] | None = None
    """Default: each column whose name is a channel's."""
    time_column: str | None = None
    delimiter: str | None = None
    zone: str = "UTC"
    """IANA time zone of times without an offset."""
    start_s: float | None = None
    """Time of the first row, Unix seconds, where the file has no time column; rows are one period apart."""
    period_s: float | None = None
    """Time between two rows, seconds, with ``start_s``. Default: the domain's."""


class Recording:
    """Rows of a file as a line of one device."""

    def __init__(self, device: DeviceId, samples: Sequence[Sample]) -> None:
        """Take samples in time order."""
        self.devices = (device,)
        self._samples = tuple(samples)
        self._next = 0

    def __len__(self) -> int:
        """Return how many rows there are."""
        return len(self._samples)

    @property
    def first_s(self) -> float:
        """Time of the first row, Unix seconds."""
        return self._samples[0].ts

    @property
    def last_s(self) -> float:
        """Time of the last row, Unix seconds."""
        return self._samples[-1].ts

    @property
    def next_s(self) -> float:
        """Time of the next row, Unix seconds; infinite at the end."""
        return self._samples[self._next].ts if self._next < len(self._samples) else math.inf

    def advance(self) -> Sequence[Sequence[Sample]]:
        """Return the next row."""
        sample = self._samples[self._next]
        self._next += 1
        return ((sample,),)

    def dead(self, _index: int) -> bool:
        """Say no: a recorded device always has power."""
        return False

    def shifted(self, by_s: float) -> Recording:
        """Return the same rows ``by_s`` seconds later."""
        moved = [Sample(ts=sample.ts + by_s, seq=sample.seq, values=sample.values) for sample in self._samples]
        return Recording(self.devices[0], moved)


def parse_map(text: str) -> tuple[Mapped, ...]:
    """Read ``COLUMN=channel,COLUMN=channel*FACTOR,…``; a column name may hold anything but ``=`` and ``,``.

    :raises RefusedError: it is not written so
    """
    mapped, faults = [], []
    for part in text.split(","):
        column, equals, target = part.rpartition("=")
        channel, _, factor = target.partition("*")
        try:
            mapped.append(Mapped(column=column.strip(), channel=channel.strip(), factor=float(factor or 1.0)))
        except ValueError:
            faults.append(f"{part!r}: the factor {factor!r} is not a number.")
        if not equals or not column.strip() or not channel.strip():
            faults.append(f"{part!r} is not COLUMN=channel or COLUMN=channel*FACTOR.")
    if faults:
        raise RefusedError("--map", faults)
    return tuple(mapped)


def read_recording(file: Path, domain: Domain, device: DeviceId, options: ReplayOptions) -> Recording:
    """Read a file whole.

    Rows are sorted by time; rows without any value are left out; of rows with the same time each is kept.

    :raises RefusedError: the file or an option cannot be used; lists everything that is wrong
    """
    header, rows = _table(file, options.delimiter)
    faults: list[str] = []
    columns = _columns(header, domain, options, faults)
    times = _times(header, rows, domain, options, faults)
    values = list(_values(header, rows, columns, domain, faults))
    if not faults and not any(values):
        faults.append("no row holds a value.")
    if faults:
        raise RefusedError(str(file), faults)
    timed = sorted(((t, row) for t, row in zip(times, values, strict=True) if row), key=lambda pair: pair[0])
    return Recording(device, [Sample(ts=t, seq=seq, values=row) for seq, (t, row) in enumerate(timed)])


def _table(file: Path, delimiter: str | None) -> tuple[list[str], list[list[str]]]:
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        words = error.strerror if isinstance(error, OSError) else "save it as UTF-8 text"
        raise RefusedError(str(file), [f"cannot be read: {words}."]) from error
    first = text.partition("\n")[0]
    rows = list(csv.reader(text.splitlines(), delimiter=delimiter or max(DELIMITERS, key=first.count)))
    if len(rows) < 2:
        raise RefusedError(str(file), ["has no rows below its header."])
    return [name.strip() for name in rows[0]], [row for row in rows[1:] if row]


def _columns(header: Sequence[str], domain: Domain, options: ReplayOptions, faults: list[str]) -> list[Mapped]:
    """Return the columns to take; adds what is wrong with them to ``faults``."""
    if options.columns is None:
        named = [Mapped(column=name, channel=name) for name in header if name in domain.channel_names]
        if not named:
            faults.append(
                f"no column is named like a channel of {domain.name}. Say which is which with --map COLUMN=channel,…; "
                f"columns: {', '.join(header)}; channels: {', '.join(domain.channel_names)}."
            )
        return named
    for mapped in options.columns:
        if mapped.column not in header:
            faults.append(f"has no column {mapped.column!r}; columns: {', '.join(header)}.")
        if mapped.channel not in domain.channel_names:
            faults.append(f"{mapped.channel!r} is no channel of {domain.name}: {', '.join(domain.channel_names)}.")
    return [mapped for mapped in options.columns if mapped.column in header]


def _times(
    header: Sequence[str], rows: Sequence[Sequence[str]], domain: Domain, options: ReplayOptions, faults: list[str]
) -> list[float]:
    """Return the time of every row, Unix seconds; adds what is wrong to ``faults``."""
    if options.start_s is not None:
        period_s = options.period_s or domain.period_s
        return [options.start_s + number * period_s for number in range(len(rows))]
    found = _time_column(header, rows, options, faults)
    zone = _zone(options.zone, faults)
    if found is None or zone is None:
        return []
    index, written = found
    times = []
    for number, row in enumerate(rows, start=2):
        try:
            times.append(written.seconds(row[index], zone))
        except (ValueError, IndexError):
            faults.append(f"line {number}: {row[index] if index < len(row) else ''!r} is not a time like {written}.")
    return times


def _time_column(
    header: Sequence[str], rows: Sequence[Sequence[str]], options: ReplayOptions, faults: list[str]
) -> tuple[int, TimeFormat] | None:
    if options.time_column is not None and options.time_column not in header:
        faults.append(f"has no column {options.time_column!r}; columns: {', '.join(header)}.")
        return None
    for index in _candidates(header, options.time_column):
        written = recognise([row[index] for row in rows if index < len(row)])
        if written is not None:
            return index, written
    faults.append(
        "has no column with times that can be read. Name one with --time-column, or, where the file has none, "
        "give the first row's time with --start and the time between two rows with --period."
    )
    return None


def _candidates(header: Sequence[str], named: str | None) -> list[int]:
    """Return columns that may hold the time, the most likely first: by name, then from the left."""
    if named is not None:
        return [header.index(named)]
    rank = {name: place for place, name in enumerate(TIME_NAMES)}
    return sorted(range(len(header)), key=lambda index: (rank.get(header[index].lower(), len(rank)), index))


def _zone(name: str, faults: list[str]) -> ZoneInfo | None:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        faults.append(f"--zone {name!r} is not an IANA time zone, such as Europe/Berlin.")
        return None


def _values(
    header: Sequence[str], rows: Sequence[Sequence[str]], columns: Sequence[Mapped], domain: Domain, faults: list[str]
) -> Iterator[dict[str, float]]:
    """Yield the values of every row; adds what is no number to ``faults``."""
    channels = {channel.name: channel for channel in domain.channels}
    places = [(header.index(mapped.column), mapped) for mapped in columns if mapped.channel in channels]
    for number, row in enumerate(rows, start=2):
        values = {}
        for index, mapped in places:
            text = row[index].strip() if index < len(row) else ""
            if text.lower() in MISSING:
                continue
            value = _number(text)
            if value is None:
                faults.append(f"line {number}: {mapped.column} = {text!r} is not a finite number.")
            else:
                values[mapped.channel] = value * mapped.factor
        yield values


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
