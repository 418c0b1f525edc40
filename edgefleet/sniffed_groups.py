"""Messages that were seen, gathered by what looks like one source: topics of one shape, one format. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from contract.errors import PayloadError
from edgefleet.sniffed_projects import PROJECTS, Project, ignored
from gateway.sources.formats import cbor, line_protocol, plain, senml
from gateway.sources.patterns import FIELD, compile_pattern
from gateway.sources.records import Record, number


@dataclass(frozen=True, slots=True)
class Seen:
    """One message."""

    topic: str
    payload: bytes
    received_s: float


@dataclass(slots=True)
class Group:
    """Messages that look like one source."""

    project: Project | None
    pattern: str
    format: str
    records: dict[str, list[tuple[float, Record]]] = field(default_factory=lambda: defaultdict(list))
    """By device: when they were received, and what they hold."""
    messages: int = 0
    unreadable: int = 0


def grouped(seen: Sequence[Seen]) -> list[Group]:
    """Return the groups that messages fall into: known projects first, then topics that look alike."""
    groups = _known(seen)
    taken = {id(each) for group in groups.values() for each in group[1]}
    return [group for group, _ in groups.values()] + _unknown([each for each in seen if id(each) not in taken])


def _known(seen: Sequence[Seen]) -> dict[str, tuple[Group, list[Seen]]]:
    """Gather the messages of known projects."""
    groups: dict[str, tuple[Group, list[Seen]]] = {}
    patterns = [(project, compile_pattern(project.topic, project.words)) for project in PROJECTS]
    states = [compile_pattern(project.availability) for project in PROJECTS if project.availability]
    for each in seen:
        if ignored(each.topic):
            continue
        for project, pattern in patterns:
            parts = pattern.match(each.topic)
            if parts is None:
                continue
            group, messages = groups.setdefault(project.name, (Group(project, project.topic, project.format), []))
            messages.append(each)
            _read(group, each, parts["device"], parts.get(FIELD))
            break
        else:
            if any(state.match(each.topic) for state in states):  # said by a source's availability
                groups.setdefault("", (Group(None, "", ""), []))[1].append(each)
    groups.pop("", None)
    return groups


def _read(group: Group, each: Seen, device: str, name: str | None) -> None:
    group.messages += 1
    try:
        records = read(each.payload, group.format, each.received_s)
    except PayloadError:
        group.unreadable += 1
        return
    for record in records:
        group.records[device].append((each.received_s, record if name is None else Record({name: record.fields[""]})))


def read(payload: bytes, format_name: str, received_s: float) -> list[Record]:
    """Decode a payload.

    :raises PayloadError: it is of another format
    """
    decode = _FORMATS.get(format_name)
    if decode is not None:
        return decode(payload, received_s)
    text = plain.text_value(payload)
    number(text, {})
    return [Record({"": text})]


_FORMATS: Final[dict[str, Callable[[bytes, float], list[Record]]]] = {
    "senml-json": lambda payload, now_s: senml.records(plain.json_value(payload), now_s),
    "json": lambda payload, _: plain.records(plain.json_value(payload), None),
    "senml-cbor": lambda payload, now_s: senml.records(senml.labelled(cbor.decode(payload)), now_s),
    "cbor": lambda payload, _: plain.records(cbor.decode(payload), None),
    "messagepack": lambda payload, _: plain.records(plain.messagepack_value(payload), None),
    "line-protocol": lambda payload, _: line_protocol.records(payload),
}


def guess_format(payload: bytes, received_s: float) -> str | None:
    """Return the first format that a payload fits and that says a number in it; ``None`` where there is none."""
    for name in (*_FORMATS, "value"):
        try:
            found = read(payload, name, received_s)
        except (PayloadError, AttributeError, TypeError):
            continue
        if any(record.fields for record in found):
            return name
    return None


def _unknown(seen: Iterable[Seen]) -> list[Group]:
    """Gather messages of unknown topics: as many levels, one format, fields in common; one level names the device."""
    shapes: dict[tuple[int, str, str], list[Seen]] = defaultdict(list)
    for each in seen:
        format_name = None if ignored(each.topic) else guess_format(each.payload, each.received_s)
        if format_name is not None:
            levels = each.topic.split("/")
            # a single value is named by the last level of its topic
            last = "" if format_name == "value" else levels[-1]
            shapes[len(levels), format_name, last if len(levels) > 2 else ""].append(each)
    merged: dict[tuple[int, str, str], list[Seen]] = {}
    for (count, format_name, last), messages in shapes.items():
        first = messages[0].topic.split("/")[0]
        merged.setdefault((count, format_name, f"{first}/{last}"), []).extend(messages)
    return [_gathered(format_name, messages) for (_, format_name, _), messages in merged.items()]


def _gathered(format_name: str, messages: Sequence[Seen]) -> Group:
    topics = sorted({each.topic for each in messages})
    levels = [topic.split("/") for topic in topics]
    varying = [place for place in range(len(levels[0])) if len({level[place] for level in levels}) > 1]
    names = list(levels[0])
    value_place = len(names) - 1 if format_name == "value" else None
    devices = [place for place in varying if place != value_place]
    device = max(devices, key=lambda place: len({level[place] for level in levels}), default=None)
    if device is None:
        rest = [place for place in range(len(names)) if place != value_place]
        device = rest[-1] if rest else None
    for place in varying:
        names[place] = "+"
    if value_place is not None:
        names[value_place] = f"{{{FIELD}}}"
    if device is not None:
        names[device] = "{device}"
    group = Group(None, "/".join(names), format_name)
    for each in messages:
        level = each.topic.split("/")
        _read(
            group,
            each,
            level[device] if device is not None else "all",
            level[value_place] if value_place is not None else None,
        )
    return group
