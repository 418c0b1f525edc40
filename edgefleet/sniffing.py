"""What is on a broker: messages that were seen become proposals of ``sources:``, with confidence and reasons. Pure."""

from __future__ import annotations

import itertools
import re
import statistics
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, Final
from zoneinfo import ZoneInfo

from contract.domains import Domain
from contract.errors import PayloadError, TopicError
from contract.topics import parse_device_topic
from edgefleet.sniffed_fields import Guess, guesses, is_counter, is_time
from gateway.sources.formats import cbor, line_protocol, plain, senml
from gateway.sources.patterns import FIELD, compile_pattern
from gateway.sources.records import Path, Record, number
from gateway.sources.source import slug
from gateway.sources.times import unix_s

NEAR_S: Final = 300.0
"""A time that is further from its receipt, and names no zone, is not UTC."""
_OFFSET: Final = re.compile(r"(Z|[+-]\d\d:?\d\d)$")


@dataclass(frozen=True, slots=True)
class Seen:
    """One message."""

    topic: str
    payload: bytes
    received_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """A project that is known by its topics."""

    name: str
    topic: str
    format: str = "json"
    availability: str | None = None
    time: str | None = None
    seq: str | None = None
    words: tuple[str, ...] = ()
    """Fields that the part ``{field}`` may be, where it shares a level with the device."""
    options: Mapping[str, Any] = field(default_factory=dict)


PROJECTS: Final = (
    Project(
        name="statestream",
        topic="homeassistant/sensor/{device}_{field}/state",
        format="value",
        words=(
            "temperature",
            "humidity",
            "pressure",
            "battery",
            "voltage",
            "current",
            "power",
            "energy",
            "illuminance",
        ),
    ),
    Project(
        name="zigbee2mqtt",
        topic="zigbee2mqtt/{device}",
        availability="zigbee2mqtt/{device}/availability",
        time="last_seen",
    ),
    Project(name="tasmota", topic="tele/{device}/SENSOR", availability="tele/{device}/LWT", time="Time"),
    Project(
        name="shelly", topic="shellies/{device}/sensor/{field}", format="value", availability="shellies/{device}/online"
    ),
    Project(
        name="shelly-gen2",
        topic="{device}/events/rpc",
        time="params.ts",
        availability="{device}/online",
        options={"align": True},
    ),
    Project(name="esphome", topic="{device}/sensor/{field}/state", format="value", availability="{device}/status"),
    Project(
        name="lorawan",
        topic="v3/+/devices/{device}/up",
        time="uplink_message.received_at",
        seq="uplink_message.f_cnt",
    ),
)
_NOBODYS: Final = re.compile(r"\$.*|homeassistant/.+/config|homeassistant/status|zigbee2mqtt/bridge/.*|gateway/v1/.*")
_SPARKPLUG: Final = re.compile(r"spBv1\.0/[^/]+/[ND](BIRTH|DATA|DEATH|CMD)/.*|spBv1\.0/STATE/.*|STATE/.*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """A source that might be."""

    name: str
    settings: dict[str, Any]
    """As under ``sources:``."""
    channels: tuple[Guess, ...]
    """Channels of a domain of its own, where none of the known ones fits."""
    period_s: float | None
    confidence: float
    reasons: tuple[str, ...]


@dataclass(slots=True)
class _Group:
    """Messages that look like one source."""

    project: Project | None
    pattern: str
    format: str
    records: dict[str, list[tuple[float, Record]]] = field(default_factory=lambda: defaultdict(list))
    """By device: when they were received, and what they hold."""
    messages: int = 0
    unreadable: int = 0


def propose(seen: Sequence[Seen], domains: Mapping[str, Domain]) -> list[Proposal]:
    """Return a proposal for every group of topics that carry numbers, the most certain first."""
    groups = _known(seen)
    taken = {id(each) for group in groups.values() for each in group[1]}
    found = [group for group, _ in groups.values()] + _unknown([each for each in seen if id(each) not in taken])
    proposals = [proposal for group in found if (proposal := _proposal(group, domains)) is not None]
    names: dict[str, int] = defaultdict(int)
    named = []
    for proposal in proposals:
        names[proposal.name] += 1
        count = names[proposal.name]
        named.append(proposal if count == 1 else _renamed(proposal, f"{proposal.name}-{count}"))
    return sorted(named, key=lambda proposal: -proposal.confidence)


def _renamed(proposal: Proposal, name: str) -> Proposal:
    """Return a proposal under another name, which a domain of its own then has, too."""
    settings = proposal.settings | ({"domain": name} if proposal.channels else {})
    return replace(proposal, name=name, settings=settings)


def ignored(topic: str) -> str | None:
    """Return why a topic needs no source; ``None`` where it may."""
    try:
        parse_device_topic(topic)
    except TopicError:
        pass
    else:
        return "edgefleet's own messages need no source"
    if _SPARKPLUG.fullmatch(topic):
        return "Sparkplug B: see examples/sources/sparkplug-b.yaml, names stand in the births"
    return "speaks of the system itself" if _NOBODYS.fullmatch(topic) else None


def _known(seen: Sequence[Seen]) -> dict[str, tuple[_Group, list[Seen]]]:
    """Gather the messages of known projects."""
    groups: dict[str, tuple[_Group, list[Seen]]] = {}
    patterns = [(project, compile_pattern(project.topic, project.words)) for project in PROJECTS]
    states = [compile_pattern(project.availability) for project in PROJECTS if project.availability]
    for each in seen:
        if ignored(each.topic):
            continue
        for project, pattern in patterns:
            parts = pattern.match(each.topic)
            if parts is None:
                continue
            group, messages = groups.setdefault(project.name, (_Group(project, project.topic, project.format), []))
            messages.append(each)
            _read(group, each, parts["device"], parts.get(FIELD))
            break
        else:
            if any(state.match(each.topic) for state in states):  # said by a source's availability
                groups.setdefault("", (_Group(None, "", ""), []))[1].append(each)
    groups.pop("", None)
    return groups


def _read(group: _Group, each: Seen, device: str, name: str | None) -> None:
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


def _unknown(seen: Iterable[Seen]) -> list[_Group]:
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


def _gathered(format_name: str, messages: Sequence[Seen]) -> _Group:
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
    group = _Group(None, "/".join(names), format_name)
    for each in messages:
        level = each.topic.split("/")
        _read(
            group,
            each,
            level[device] if device is not None else "all",
            level[value_place] if value_place is not None else None,
        )
    return group


def _proposal(group: _Group, domains: Mapping[str, Domain]) -> Proposal | None:
    known = group.project
    records = [record for found in group.records.values() for _, record in found]
    leaves = _leaves(records)
    time_field = _first(None if known is None else known.time, leaves, is_time)
    local = time_field is not None and _local_times(group, Path(time_field))
    counter = _first(None if known is None else known.seq, leaves, is_counter)
    numeric = {
        path: values for path, values in leaves.items() if path not in (time_field, counter) and _numeric(values)
    }
    found = guesses(numeric, records)
    if not found:
        return None
    domain, mapped = _best_domain(found, domains)
    own = () if domain is not None else tuple(found)
    name = (
        group.project.name
        if group.project is not None
        else slug(group.pattern.replace("{device}", "").replace("{field}", ""))
    )
    settings: dict[str, Any] = {"topic": group.pattern}
    if group.format != "json":
        settings["format"] = group.format
    settings["domain"] = name if domain is None else domain.name
    if "{device}" not in group.pattern:
        settings["device"] = slug(name)
    settings["fields"] = {
        guess.path: _target(guess, domain, mapped) for guess in found if domain is None or guess.path in mapped
    }
    if time_field is not None and not local and group.format != "line-protocol":
        settings["time"] = time_field
    if counter is not None:
        settings["seq"] = counter
    if group.project is not None:
        settings |= group.project.options
        if group.project.availability is not None:
            settings["availability"] = group.project.availability
    period_s = _period_s(group)
    confidence, reasons = _confidence(group, found, domain, settings)
    if local:
        reasons.append(f"{time_field} has no offset from UTC: to use it, write time: {{field: {time_field}, zone: …}}")
    return Proposal(
        name=name,
        settings=settings,
        channels=own,
        period_s=period_s,
        confidence=confidence,
        reasons=tuple(reasons),
    )


def _target(guess: Guess, domain: Domain | None, mapped: Mapping[str, str]) -> Any:
    if domain is None:
        return guess.channel
    channel = mapped[guess.path]
    unit = next(each.unit for each in domain.channels if each.name == channel)
    return channel if guess.unit == unit else {"channel": channel, "unit": guess.unit}


def _best_domain(found: Sequence[Guess], domains: Mapping[str, Domain]) -> tuple[Domain | None, dict[str, str]]:
    """Return the domain that takes most of the fields, at least two of three, and which channel takes which."""
    best: tuple[Domain | None, dict[str, str]] = (None, {})
    for domain in domains.values():
        mapped: dict[str, str] = {}
        for guess in found:
            channel = next((c.name for c in domain.channels if c.name not in mapped.values() and guess.fits(c)), None)
            if channel is not None:
                mapped[guess.path] = channel
        if len(mapped) > len(best[1]) and 3 * len(mapped) >= 2 * len(found):
            best = (domain, mapped)
    return best


def _leaves(records: Iterable[Record]) -> dict[str, list[Any]]:
    """Return the values at each path that ends in one."""
    found: dict[str, list[Any]] = defaultdict(list)
    for record in records:
        for path, value in _walk(record.fields, ""):
            found[path].append(value)
    return found


def _walk(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            step = str(key).replace(".", "\\.")
            yield from _walk(inner, f"{path}.{step}" if path else step)
    elif not isinstance(value, list):
        yield path, value


def _numeric(values: Sequence[Any]) -> bool:
    """Tell whether a field is a number most of the time when it is anything; words that stand for one do not count."""
    numbers = others = 0
    for value in values:
        try:
            known = number(value, {})
        except PayloadError:
            others += 1
            continue
        plain_number = not isinstance(value, bool) and str(value).strip().lower() not in _SWITCHES
        numbers += plain_number and known == known  # noqa: PLR0124  # NaN says that there is none
        others += not plain_number
    return numbers > others


_SWITCHES: Final = frozenset(("true", "false", "on", "off", "open", "closed", "yes", "no"))


def _first(expected: str | None, leaves: Mapping[str, Sequence[Any]], fits: Any) -> str | None:
    if expected is not None:
        return expected if expected in leaves else None
    return next((path for path, values in leaves.items() if fits(path, values)), None)


def _local_times(group: _Group, path: Path) -> bool:
    """Tell whether times are written without an offset by a clock that does not show UTC."""
    apart = []
    for found in group.records.values():
        for received_s, record in found:
            value = path.find(record.fields)
            if isinstance(value, str) and not _OFFSET.search(value):
                with suppress(PayloadError):
                    apart.append(abs((unix_s(value, "auto", ZoneInfo("UTC")) or received_s) - received_s))
    return bool(apart) and statistics.median(apart) > NEAR_S


def _period_s(group: _Group) -> float | None:
    """Return the usual time between two messages of a device, seconds."""
    gaps = [
        later - earlier
        for found in group.records.values()
        for (earlier, _), (later, _) in itertools.pairwise(found)
        if later - earlier > 0.2
    ]
    return statistics.median(gaps) if gaps else None


def _confidence(
    group: _Group, found: Sequence[Guess], domain: Domain | None, settings: Mapping[str, Any]
) -> tuple[float, list[str]]:
    """Return how certain a proposal is, 0 … 1, and why: each doubt takes its share."""
    mapped, time_field, period_s = len(settings["fields"]), settings.get("time"), _period_s(group)
    confidence, reasons = (
        (0.95, [f"topics are {group.project.name}'s"]) if group.project else (0.7, ["topics of no known project"])
    )
    reasons.append(f"{group.messages} messages of {len(group.records)} devices as {group.format}")
    if group.unreadable:
        confidence *= 1 - group.unreadable / group.messages
        reasons.append(f"{group.unreadable} of them could not be read")
    if group.messages < 3 * max(len(group.records), 1):
        confidence *= 0.9
        reasons.append("few messages: look for longer")
    unsure = [guess.path for guess in found if not guess.sure]
    if unsure:
        confidence *= 1 - 0.5 * len(unsure) / len(found)
        reasons.append(f"the unit of {', '.join(unsure)} is not known")
    if domain is None:
        confidence *= 0.9
        reasons.append("no domain has these channels: a table of its own is proposed")
    elif mapped < len(found):
        reasons.append(f"{len(found) - mapped} of {len(found)} fields have no channel in {domain.name}")
    reasons.append(
        "no time in the messages: that of receipt is taken" if time_field is None else f"time is in {time_field}"
    )
    reasons.append(
        "one message a device: period unknown" if period_s is None else f"about {period_s:.3g} s between two"
    )
    return round(confidence, 2), reasons
