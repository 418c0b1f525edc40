"""A Sparkplug B source: births give aliases a name, data may use them, deaths end what was born."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from contract.domains import Domain
from contract.errors import PayloadError
from contract.messages import DeviceState
from contract.topics import DeviceId
from gateway.sources.formats import sparkplug
from gateway.sources.formats.sparkplug import Metric, Payload
from gateway.sources.memory import REMEMBERED, Birth, Memory, Node
from gateway.sources.patterns import TopicPattern, compile_pattern
from gateway.sources.records import Record
from gateway.sources.settings import SourceSettings
from gateway.sources.source import Found, Source

_KIND: Final = "kind"
_KINDS: Final = ("NBIRTH", "NDATA", "NDEATH", "DBIRTH", "DDATA", "DDEATH")
_SESSION: Final = "bdSeq"


class SparkplugSource(Source):
    """Reads one level of a Sparkplug B name space: devices, or edge nodes."""

    def __init__(self, name: str, settings: SourceSettings, domain: Domain, *, period_s: float, zone: str) -> None:
        """Compile checked settings, whose third level is the message type."""
        levels = settings.topic.split("/")
        typed = [*levels[:2], f"{{{_KIND}}}", *levels[3:]]
        super().__init__(
            name, settings.model_copy(update={"topic": "/".join(typed)}), domain, period_s=period_s, zone=zone
        )
        self._node = compile_pattern("/".join(typed[:4]))
        self._of_nodes = len(levels) == 4

    @property
    def patterns(self) -> tuple[TopicPattern, ...]:
        """Patterns of messages of devices and of their nodes."""
        return (self.pattern,) if self._of_nodes else (self.pattern, self._node)

    def read(self, parts: Mapping[str, str], payload: bytes, received_s: float, memory: Memory) -> Found:
        """Return what a message holds; births, and deaths of nodes, change the memory.

        :raises PayloadError: it is not Sparkplug B, or uses an alias that no birth explained
        """
        kind = parts[_KIND]
        if kind not in _KINDS:
            return Found()  # commands, and states of hosts
        message = sparkplug.decode(payload)
        node = self._node_of(parts, memory)
        if kind == "NDEATH":
            return self._death(node, message)
        if kind == "DDEATH":
            return Found(states=[(self.identity(parts, None, memory), DeviceState.OFFLINE)])
        if kind == "NBIRTH":
            node.session, node.births = _session(message), {}
        found = Found()
        if self._of_nodes == kind.startswith("N"):
            birth = node.births.setdefault("/".join(value for key, value in parts.items() if key != _KIND), Birth())
            if kind.endswith("BIRTH"):
                self._remember(birth, message)
            for record in self._records(message, birth):
                self.take(record, parts, received_s, memory, found)
            _note(found, node, born=kind.endswith("BIRTH"))
        return found

    def _node_of(self, parts: Mapping[str, str], memory: Memory) -> Node:
        named = [value for key, value in parts.items() if key != _KIND and key in self._node.parts]
        key = "/".join([self.name, *named])
        if key not in memory.nodes and len(memory.nodes) >= REMEMBERED:
            raise PayloadError(f"there are {REMEMBERED} nodes already, which is the limit")
        return memory.nodes.setdefault(key, Node())

    def _death(self, node: Node, message: Payload) -> Found:
        """Return all devices of a node as offline, unless the death is of a session before the present one."""
        session = _session(message)
        if session is not None and node.session is not None and session != node.session:
            return Found()
        return Found(
            states=[(DeviceId(site, self.domain.name, name), DeviceState.OFFLINE) for site, name in node.devices]
        )

    def _remember(self, birth: Birth, message: Payload) -> None:
        """Keep alias and datatype of the wanted metrics; a later birth replaces an earlier one."""
        birth.names, birth.types = {}, {}
        for metric in message.metrics:
            if metric.name is None:
                continue
            if metric.alias is not None:
                birth.names[metric.alias] = metric.name if metric.name in self.wanted else ""
            if metric.datatype is not None and metric.name in self.wanted:
                birth.types[metric.name] = metric.datatype

    def _records(self, message: Payload, birth: Birth) -> list[Record]:
        """Return a record for every time at which metrics were measured; historical ones have an earlier time."""
        by_time: dict[int | None, dict[str, object]] = {}
        for metric in message.metrics:
            name = _name(metric, birth)
            if name in self.wanted:
                time_ms = message.time_ms if metric.time_ms is None else metric.time_ms
                value = metric.measured(metric.datatype or birth.types.get(name))
                by_time.setdefault(time_ms, {})[name] = value
        ordered = sorted(by_time.items(), key=lambda item: item[0] or 0)
        return [Record(fields, None if time_ms is None else time_ms / 1000) for time_ms, fields in ordered]


def _name(metric: Metric, birth: Birth) -> str:
    if metric.name:
        return metric.name
    name = birth.names.get(metric.alias) if metric.alias is not None else None
    if name is None:
        raise PayloadError(f"alias {metric.alias} has no name: the birth of its node was not seen; ask for a rebirth")
    return name


def _session(message: Payload) -> int | None:
    return next((int(m.value) for m in message.metrics if m.name == _SESSION and m.whole), None)


def _note(found: Found, node: Node, *, born: bool) -> None:
    """Keep which devices a node has; one that is born is online."""
    for device in found.rows:
        if (device.site, device.device) not in node.devices:
            node.devices.append((device.site, device.device))
        if born:
            found.states.append((device, DeviceState.ONLINE))
