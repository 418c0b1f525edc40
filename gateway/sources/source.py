"""A source, compiled: a foreign message in, rows of the domain's channels out."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from zoneinfo import ZoneInfo

from contract.domains import Channel, Domain
from contract.errors import PayloadError
from contract.messages import DeviceState
from contract.topics import DeviceId
from gateway.sources.formats import cbor, line_protocol, plain, senml
from gateway.sources.memory import REMEMBERED, Memory
from gateway.sources.patterns import FIELD, TopicPattern, compile_pattern
from gateway.sources.records import Path, Record, number
from gateway.sources.settings import FieldSettings, SourceSettings, TimeSettings
from gateway.sources.times import unix_s
from gateway.sources.units import Line, conversion

Row = list[float | None]
_FOREIGN: Final = re.compile(r"[^a-z0-9]+")
_COUNTERS: Final = 2**53
_WORDS: Final[dict[str, DeviceState]] = {
    **dict.fromkeys(("online", "true", "1", "on", "alive", "connected", "ready"), DeviceState.ONLINE),
    **dict.fromkeys(("offline", "false", "0", "off", "dead", "disconnected", "lost"), DeviceState.OFFLINE),
}


@dataclass(slots=True)
class Found:
    """What a message held."""

    rows: dict[DeviceId, list[Row]] = field(default_factory=dict)
    """By device: time, counter (-1: none), channels, as :class:`contract.codec.TelemetryDecoder` gives them."""
    states: list[tuple[DeviceId, DeviceState]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Column:
    """One field's way into a row."""

    path: Path
    place: int
    line: Line
    words: Mapping[str, float]
    unit: str | None
    """The channel's unit, where the format may say what the field's is."""

    def value(self, record: Record) -> float:
        """Return the field in the channel's unit; NaN where it is missing.

        :raises PayloadError: it is no number, or its unit cannot be converted
        """
        raw = self.path.find(record.fields)
        if raw is None:
            return math.nan
        try:
            value = number(raw, self.words)
        except PayloadError as error:
            raise PayloadError(f"field {self.path.text}: {error}") from error
        factor, offset = self.line if self.unit is None else self._stated(record)
        return value * factor + offset

    def _stated(self, record: Record) -> Line:
        given = record.units.get(self.path.text)
        if given is None or self.unit is None:
            return self.line
        line = conversion(given, self.unit)
        if line is None:
            raise PayloadError(f"field {self.path.text} is in {given}, which is no {self.unit}; set its unit or scale")
        return line


class Source:
    """One entry of ``sources:``."""

    def __init__(self, name: str, settings: SourceSettings, domain: Domain, *, period_s: float, zone: str) -> None:
        """Compile checked settings; ``period_s`` is between two samples here, ``zone`` the site's."""
        self.name, self.domain, self.format = name, domain, settings.format
        paths = [Path(text) for text in settings.fields]
        words = {path.steps[0] for path in paths} | set(settings.fields)
        self.pattern = compile_pattern(_with_field(settings), words)
        self.availability = None if settings.availability is None else compile_pattern(settings.availability)
        self._settings = settings
        self._columns = [_column(path, settings.fields[path.text], domain) for path in paths]
        self._width = 2 + len(domain.channels)
        self._period_s = period_s
        self._align = settings.align if settings.align is not None else _aligned(settings)
        self._time = settings.time or _own_time(settings)
        self._when = None if self._time is None else Path(self._time.field)
        self._zone = ZoneInfo((self._time and self._time.zone) or zone)
        self._seq = None if settings.seq is None else Path(settings.seq)
        self._who = None if settings.device_field is None else Path(settings.device_field)
        self._samples = None if settings.samples is None else Path(settings.samples)
        self._decode = _DECODERS.get(settings.format)

    @property
    def patterns(self) -> tuple[TopicPattern, ...]:
        """Patterns of messages with samples."""
        return (self.pattern,)

    @property
    def wanted(self) -> frozenset[str]:
        """Paths of the fields that go somewhere."""
        return frozenset(self._settings.fields)

    def read(self, parts: Mapping[str, str], payload: bytes, received_s: float, memory: Memory) -> Found:
        """Return what a message holds.

        :raises PayloadError: it is not what the source says
        """
        assert self._decode is not None
        found = Found()
        for record in self._decode(payload, received_s, self._samples):
            self.take(record, parts, received_s, memory, found)
        return found

    def take(
        self, record: Record, parts: Mapping[str, str], received_s: float, memory: Memory, found: Found
    ) -> DeviceId | None:
        """Add a record's row to what was found; return its device, ``None`` where no wanted field is in it.

        :raises PayloadError: a field is not what the source says
        """
        if FIELD in parts:
            alone = record.fields.get("") if self.format == "value" else record.fields
            record = Record({parts[FIELD]: alone}, record.time_s, record.units)
        row: Row = [math.nan] * self._width
        for column in self._columns:
            value = column.value(record)
            if value == value:  # noqa: PLR0124  # NaN
                row[column.place] = value
        if all(value != value for value in row[2:]):  # noqa: PLR0124  # NaN
            return None
        row[0], row[1] = self._at_s(record, received_s), self._counter(record)
        device = self.identity(parts, record, memory)
        found.rows.setdefault(device, []).append(row)
        return device

    def state(self, parts: Mapping[str, str], payload: bytes, memory: Memory) -> Found:
        """Return what an availability message says; nothing where the device is not known, or the word is not.

        :raises PayloadError: the device's name may not be one
        """
        text = payload.decode(errors="replace").strip()
        if text.startswith("{"):
            document = plain.json_value(payload)
            text = str(document.get("state", document.get("status", "")))
        state = _WORDS.get(text.strip('"').lower())
        return Found() if state is None else Found(states=[(self.identity(parts, None, memory), state)])

    def identity(self, parts: Mapping[str, str], record: Record | None, memory: Memory) -> DeviceId:
        """Return who a message is from. A name that two foreign names would share is the first one's.

        :raises PayloadError: there is no name, or it is another's
        """
        settings = self._settings
        foreign = settings.device.format_map(parts) if self._who is None or record is None else self._named(record)
        name = settings.devices.get(foreign) or slug(foreign)
        device = DeviceId(slug(settings.site.format_map(parts)), self.domain.name, name)
        if foreign not in settings.devices:
            first = memory.names.get(str(device))
            if first is None and len(memory.names) < REMEMBERED:
                memory.names[str(device)] = foreign
            elif first not in (None, foreign):
                raise PayloadError(f"{first!r} and {foreign!r} would both be {device}; name one of them in `devices`")
        return device

    def _named(self, record: Record) -> str:
        assert self._who is not None
        name = self._who.find(record.fields)
        if not isinstance(name, str | int) or name == "":
            raise PayloadError(f"field {self._who.text}, which names the device, is missing")
        return str(name)

    def _at_s(self, record: Record, received_s: float) -> float:
        at_s = record.time_s
        if self._when is not None and self._time is not None:
            at_s = unix_s(self._when.find(record.fields), self._time.unit, self._zone)
        if at_s is None or self._align:
            at_s = math.floor((received_s if at_s is None else at_s) / self._period_s) * self._period_s
        return at_s

    def _counter(self, record: Record) -> float:
        value = None if self._seq is None else self._seq.find(record.fields)
        if isinstance(value, bool) or not isinstance(value, int):
            return -1.0
        return float(value) if 0 <= value < _COUNTERS else -1.0


def slug(text: str) -> str:
    """Return a foreign name in the letters of the contract.

    :raises PayloadError: nothing is left of it
    """
    plain_text = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    name = _FOREIGN.sub("-", plain_text).strip("-")[:64].strip("-")
    if not name:
        raise PayloadError(f"device {text!r:.40} has no letter or digit; name it in `devices`")
    return name


def _with_field(settings: SourceSettings) -> str:
    """Return the pattern; the last unnamed level of a single value names the field."""
    levels = settings.topic.split("/")
    if settings.format != "value" or f"{{{FIELD}}}" in settings.topic or "+" not in levels:
        return settings.topic
    last = len(levels) - 1 - levels[::-1].index("+")
    return "/".join([*levels[:last], f"{{{FIELD}}}", *levels[last + 1 :]])


def _column(path: Path, stated: FieldSettings, domain: Domain) -> _Column:
    place = domain.channel_names.index(stated.channel)
    channel: Channel = domain.channels[place]
    factor, offset = (1.0, 0.0) if stated.unit is None else _sure(conversion(stated.unit, channel.unit))
    line = (stated.scale * factor, stated.offset * factor + offset)
    bare = stated.unit is None and line == (1.0, 0.0)
    return _Column(path, 2 + place, line, stated.values, channel.unit if bare else None)


def _sure(line: Line | None) -> Line:
    assert line is not None, "settings are checked before they are compiled"
    return line


def _aligned(settings: SourceSettings) -> bool:
    return settings.format in ("value", "sparkplug-b")


def _own_time(settings: SourceSettings) -> TimeSettings | None:
    return TimeSettings(field="time", unit="ns") if settings.format == "line-protocol" else None


Decoder = Callable[[bytes, float, Path | None], list[Record]]
_DECODERS: Final[dict[str, Decoder]] = {
    "json": lambda payload, _, samples: plain.records(plain.json_value(payload), samples),
    "messagepack": lambda payload, _, samples: plain.records(plain.messagepack_value(payload), samples),
    "cbor": lambda payload, _, samples: plain.records(cbor.decode(payload), samples),
    "value": lambda payload, _, _samples: [_single(plain.text_value(payload))],
    "senml-json": lambda payload, now_s, _: senml.records(plain.json_value(payload), now_s),
    "senml-cbor": lambda payload, now_s, _: senml.records(senml.labelled(cbor.decode(payload)), now_s),
    "line-protocol": lambda payload, _, _samples: line_protocol.records(payload),
}


def _single(text: str) -> Record:
    fields: dict[str, Any] = {"": text, "value": text}
    return Record(fields)
