"""What is on a broker: messages that were seen become proposals of ``sources:``, with confidence and reasons. Pure."""

from __future__ import annotations

import itertools
import re
import statistics
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Final
from zoneinfo import ZoneInfo

from contract.domains import Domain
from contract.errors import PayloadError
from edgefleet.sniffed_fields import Guess, guesses, is_counter, is_time
from edgefleet.sniffed_groups import Group, Seen, grouped
from gateway.sources.records import Path, Record, number
from gateway.sources.source import slug
from gateway.sources.times import unix_s

NEAR_S: Final = 300.0
"""A time that is further from its receipt, and names no zone, is not UTC."""
_OFFSET: Final = re.compile(r"(Z|[+-]\d\d:?\d\d)$")


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


def propose(seen: Sequence[Seen], domains: Mapping[str, Domain]) -> list[Proposal]:
    """Return a proposal for every group of topics that carry numbers, the most certain first."""
    proposals = [proposal for group in grouped(seen) if (proposal := _proposal(group, domains)) is not None]
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


def _proposal(group: Group, domains: Mapping[str, Domain]) -> Proposal | None:
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


def _local_times(group: Group, path: Path) -> bool:
    """Tell whether times are written without an offset by a clock that does not show UTC."""
    apart = []
    for found in group.records.values():
        for received_s, record in found:
            value = path.find(record.fields)
            if isinstance(value, str) and not _OFFSET.search(value):
                with suppress(PayloadError):
                    apart.append(abs((unix_s(value, "auto", ZoneInfo("UTC")) or received_s) - received_s))
    return bool(apart) and statistics.median(apart) > NEAR_S


def _period_s(group: Group) -> float | None:
    """Return the usual time between two messages of a device, seconds."""
    gaps = [
        later - earlier
        for found in group.records.values()
        for (earlier, _), (later, _) in itertools.pairwise(found)
        if later - earlier > 0.2
    ]
    return statistics.median(gaps) if gaps else None


def _confidence(
    group: Group, found: Sequence[Guess], domain: Domain | None, settings: Mapping[str, Any]
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
