"""What no single setting of a source shows: every fault, with its place, rule and remedy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from contract.domains import Domain
from gateway.sources.patterns import FIELD, TopicPattern, compile_pattern
from gateway.sources.settings import FieldSettings, SourceSettings
from gateway.sources.units import conversion, known_units


@dataclass(frozen=True, slots=True)
class SourceFault:
    """One refused setting of a source."""

    place: tuple[str, ...]
    """Keys below the source's name."""
    value: str
    rule: str
    remedy: str


def faults(source: SourceSettings, domains: Mapping[str, Domain]) -> Iterator[SourceFault]:
    """Yield everything that is wrong with a source."""
    pattern = None
    for place in ("topic", "availability"):
        text = getattr(source, place)
        if text is None:
            continue
        try:
            found = compile_pattern(text)
        except ValueError as error:
            yield SourceFault((place,), text, f"is no topic pattern: {error}.", "Write it as zigbee2mqtt/{device}.")
            continue
        pattern = found if place == "topic" else pattern
        yield from _identity_faults(source, place, found)
    if pattern is not None:
        yield from _shape_faults(source, pattern)
    domain = domains.get(source.domain)
    if domain is None:
        remedy = f"Use one of: {', '.join(domains)}; or add a folder with domain.yaml to domains_dir."
        yield SourceFault(("domain",), source.domain, "is not a domain.", remedy)
        return
    for path, field in source.fields.items():
        yield from _field_faults(path, field, domain)


def _identity_faults(source: SourceSettings, place: str, pattern: TopicPattern) -> Iterator[SourceFault]:
    for key in ("device", "site"):
        template = getattr(source, key)
        if key == "device" and source.device_field is not None and place == "topic":
            continue
        missing = [part for part in _parts(template) if part not in pattern.parts]
        if missing:
            rule = f"has no part {{{missing[0]}}}, which {key} = {template!r} needs."
            remedy = f"Write {{{missing[0]}}} where it stands in the topic, or set {key}."
            yield SourceFault((place,), pattern.text, rule, remedy)


def _parts(template: str) -> tuple[str, ...]:
    try:
        return compile_pattern(template).parts
    except ValueError:
        return ()


def _shape_faults(source: SourceSettings, pattern: TopicPattern) -> Iterator[SourceFault]:
    levels = pattern.text.split("/")
    if source.format == "sparkplug-b" and (len(levels) not in (4, 5) or levels[2] != "+" or "#" in levels):
        remedy = "Write spBv1.0/{group}/+/{node}/{device}, or without the last level for metrics of the node itself."
        yield SourceFault(("topic",), pattern.text, "is not a Sparkplug B topic.", remedy)
    if source.format == "value" and FIELD not in pattern.parts and "+" not in levels and len(source.fields) > 1:
        rule = "says nothing about which of several fields a value is."
        yield SourceFault(("topic",), pattern.text, rule, "Write {field} where the topic names it.")


def _field_faults(path: str, field: FieldSettings, domain: Domain) -> Iterator[SourceFault]:
    channel = next((each for each in domain.channels if each.name == field.channel), None)
    if channel is None:
        remedy = f"Use one of: {', '.join(domain.channel_names)}."
        yield SourceFault(("fields", path), field.channel, f"is not a channel of {domain.name}.", remedy)
    elif field.unit is not None and conversion(field.unit, channel.unit) is None:
        remedy = f"Use one of: {', '.join(known_units(channel.unit))}; or scale and offset."
        yield SourceFault(("fields", path, "unit"), field.unit, f"cannot be converted to {channel.unit}.", remedy)
