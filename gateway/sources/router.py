"""All sources of a gateway: which of them a topic concerns, and what the broker is asked for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from contract.domains import Domain
from gateway.sources.memory import Memory
from gateway.sources.patterns import topic_filter_matches
from gateway.sources.settings import SourceSettings
from gateway.sources.source import Found, Source
from gateway.sources.sparkplug_source import SparkplugSource

_REMEMBERED: Final = 100_000
"""Topics whose way is remembered; a hostile client that invents more makes it be found anew."""


@dataclass(frozen=True, slots=True)
class Route:
    """What to do with a topic."""

    source: Source
    parts: Mapping[str, str]
    is_state: bool

    def read(self, payload: bytes, received_s: float, memory: Memory) -> Found:
        """Return what a message on the topic holds.

        :raises PayloadError: it is not what the source says
        """
        if self.is_state:
            return self.source.state(self.parts, payload, memory)
        return self.source.read(self.parts, payload, received_s, memory)


Routes = tuple[Route, ...]
"""Ways of one topic; none where it comes by a source's filter, but nobody wants it."""


class Sources:
    """The sources, asked by topic."""

    def __init__(self, sources: Sequence[Source] = ()) -> None:
        """Take compiled sources, in order."""
        self._ways = [
            (pattern, source, is_state)
            for source in sources
            for pattern, is_state in (
                *((pattern, False) for pattern in source.patterns),
                *([(source.availability, True)] if source.availability is not None else []),
            )
        ]
        self.filters = tuple(dict.fromkeys(pattern.filter for pattern, _, _ in self._ways))
        """Topic filters to subscribe."""
        self._known: dict[str, Routes] = {}

    def known(self, topic: str) -> Routes | None:
        """Return the ways of a topic that came before; ``None`` where it did not."""
        return self._known.get(topic)

    def find(self, topic: str) -> Routes | None:
        """Return the ways of a topic; ``None`` where it has come by no source's filter."""
        found = []
        for pattern, source, is_state in self._ways:
            parts = pattern.match(topic)
            if parts is not None:
                found.append(Route(source, parts, is_state))
        if not found and not any(topic_filter_matches(each, topic) for each in self.filters):
            return None
        if len(self._known) >= _REMEMBERED:
            self._known.clear()
        routes = self._known[topic] = tuple(found)
        return routes


def compile_sources(
    settings: Mapping[str, SourceSettings], domains: Mapping[str, Domain], periods_s: Mapping[str, float], zone: str
) -> Sources:
    """Return checked settings as sources; ``periods_s`` by domain, ``zone`` is the site's."""
    return Sources(list(_compiled(settings, domains, periods_s, zone)))


def _compiled(
    settings: Mapping[str, SourceSettings], domains: Mapping[str, Domain], periods_s: Mapping[str, float], zone: str
) -> Iterable[Source]:
    for name, each in settings.items():
        kind = SparkplugSource if each.format == "sparkplug-b" else Source
        yield kind(name, each, domains[each.domain], period_s=periods_s[each.domain], zone=zone)
