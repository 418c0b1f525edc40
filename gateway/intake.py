"""From messages to columns: decodes a batch, checks it, and gives every device a small number.

Pure: the clock is the batch's. Bytes come from anyone, so everything that is not as the wire contract says ends as a
quarantined message with a reason, and what one device may cost is bounded (payload size, message rate, device count).
A reason begins with its kind: ``topic``, ``domain``, ``devices``, ``size``, ``rate``, ``json``, ``state``, ``range``,
``future``, ``clock`` or ``source``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from contract import codec, topics
from contract.domains import Domain
from contract.errors import PayloadError, TopicError
from contract.messages import DeviceState
from contract.topics import DeviceId
from gateway.clocks import STEP_S
from gateway.lane import OLDEST_S, Columns, IntakeLimits, Lane, Refusals
from gateway.ports import Batch, Quarantined
from gateway.sources.memory import Memory
from gateway.sources.router import Route, Routes, Sources

__all__ = ["Columns", "Intake", "IntakeLimits", "Refusals", "StateChange", "Taken"]


@dataclass(frozen=True, slots=True)
class StateChange:
    """A device, or the broker in its name, said how it is."""

    device: DeviceId
    index: int
    """Index of the device in its domain."""
    state: DeviceState


@dataclass(frozen=True, slots=True)
class Taken:
    """What one batch held."""

    columns: dict[str, Columns]
    """By domain; only domains that have samples."""
    refusals: dict[str, Refusals]
    """By domain; only domains that have some."""
    states: list[StateChange]
    quarantined: list[Quarantined]


class _State(msgspec.Struct, frozen=True, array_like=True):
    listening_s: float
    received_s: float | None
    lanes: dict[str, tuple[list[tuple[str, str]], bytes]]
    memory: Memory = msgspec.field(default_factory=Memory)
    newest_s: float = 0.0


class Intake:
    """Decodes batches and keeps the register of devices."""

    def __init__(self, domains: Mapping[str, Domain], limits: IntakeLimits, sources: Sources | None = None) -> None:
        """Prepare for the devices of these domains; none is known yet. ``sources`` read what is not of the contract."""
        self._limits = limits
        self._sources = sources or Sources()
        self._memory = Memory()
        self._lanes = {name: Lane(domain, limits) for name, domain in domains.items()}
        self._telemetry: dict[str, tuple[Lane, int]] = {}
        self._indices: dict[DeviceId, int] = {}
        self._listening_s = 0.0
        self._received_s: float | None = None
        self._newest_s = 0.0
        self._in_doubt = False
        self._reasons: dict[int, str] = {}
        self._states: list[StateChange] = []

    @property
    def listening_s(self) -> float:
        """Time the gateway has listened, seconds.

        Silence is measured on it: it neither jumps with the gateway's clock nor runs while the gateway was away.
        """
        return self._listening_s

    @property
    def in_doubt(self) -> bool:
        """Whether the gateway's clock was never set, or is behind what it said before, at the batch at hand.

        Then nothing is refused for lying in its future.
        """
        return self._in_doubt

    def take(self, batch: Batch) -> Taken:
        """Decode and check one batch; never raises for what a message holds."""
        self._begin(batch.received_s)
        known = self._telemetry.get
        for place, (topic, payload) in enumerate(batch.messages):
            source = known(topic) or self._unfamiliar(place, topic, payload, batch.received_s)
            if source is not None:
                lane, index = source
                lane.place.append(place)
                lane.index.append(index)
                lane.payloads.append(payload)
        return self._taken(batch)

    def devices(self, domain: str) -> list[DeviceId]:
        """Return the devices of a domain; the position is the index used everywhere else. Do not change it."""
        return self._lanes[domain].devices

    def heard_s(self, domain: str) -> NDArray[np.float64]:
        """Return when each device of a domain last sent telemetry, on :attr:`listening_s`, shape ``(devices,)``."""
        return self._lanes[domain].heard_s()

    def dump(self) -> bytes:
        """Return the state."""
        lanes = {name: lane.dump() for name, lane in self._lanes.items()}
        return msgspec.msgpack.encode(_State(self._listening_s, self._received_s, lanes, self._memory, self._newest_s))

    def load(self, state: bytes) -> None:
        """Take over a state that :meth:`dump` returned; devices of a domain that is gone are forgotten."""
        loaded = msgspec.msgpack.decode(state, type=_State)
        self._listening_s, self._received_s, self._memory = loaded.listening_s, loaded.received_s, loaded.memory
        self._newest_s = loaded.newest_s
        self._telemetry, self._indices = {}, {}
        for name, lane in self._lanes.items():
            if name in loaded.lanes:
                lane.load(*loaded.lanes[name])
            for index, device in enumerate(lane.devices):
                self._remember(lane, device, index)

    def _begin(self, received_s: float) -> None:
        if self._received_s is not None:
            self._listening_s += min(max(received_s - self._received_s, 0.0), self._limits.max_pause_s)
        self._received_s = received_s
        self._in_doubt = received_s < max(self._newest_s - STEP_S, OLDEST_S)
        self._newest_s = max(self._newest_s, received_s)
        self._reasons, self._states = {}, []
        for lane in self._lanes.values():
            lane.begin()

    def _taken(self, batch: Batch) -> Taken:
        columns, refusals, reasons = {}, {}, self._reasons
        for name, lane in self._lanes.items():
            found = lane.finish(self._listening_s, 0.0 if self._in_doubt else batch.received_s)
            if found is not None:
                columns[name] = found
            refused = lane.refusals()
            if refused is not None:
                refusals[name] = refused
            reasons |= lane.reasons
        return Taken(columns, refusals, self._states, [self._quarantined(batch, place) for place in sorted(reasons)])

    def _quarantined(self, batch: Batch, place: int) -> Quarantined:
        topic, payload = batch.messages[place]
        kept = bytes(payload[: self._limits.max_payload_bytes])
        return Quarantined(batch.position, place, batch.received_s, topic, self._reasons[place], kept)

    def _unfamiliar(self, place: int, topic: str, payload: bytes, received_s: float) -> tuple[Lane, int] | None:
        """Deal with a topic that is not telemetry of a known device; return lane and index if it is of a new one."""
        routes = self._sources.known(topic)
        if routes is not None:
            self._foreign(place, routes, payload, received_s)
            return None
        try:
            device, leaf = topics.parse_device_topic(topic)
        except TopicError as error:
            routes = self._sources.find(topic)
            if routes is None:
                self._reasons[place] = f"topic: {error}"
            else:
                self._foreign(place, routes, payload, received_s)
            return None
        if leaf == "alert":
            self._reasons[place] = "topic: alerts are written by the gateway, not read by it"
            return None
        source = self._register(place, device, received_s)
        if source is None or leaf == "telemetry":
            return source
        self._state(place, device, source[1], payload)
        return None

    def _foreign(self, place: int, routes: Routes, payload: bytes, received_s: float) -> None:
        """Read a message that comes by the filter of a source; of what nobody wants nothing is said."""
        longest = self._limits.max_payload_bytes
        if routes and len(payload) > longest:
            self._reasons[place] = f"size: {len(payload)} bytes, the limit is {longest}"
            return
        for route in routes:
            try:
                self._take_foreign(place, route, payload, received_s)
            except PayloadError as error:
                self._reasons[place] = f"source: {route.source.name}: {error}"

    def _take_foreign(self, place: int, route: Route, payload: bytes, received_s: float) -> None:
        found = route.read(payload, received_s, self._memory)
        for device, rows in found.rows.items():
            registered = self._register(place, device, received_s)
            if registered is None:
                continue
            lane, index = registered
            lane.take_rows(place, index, rows)
        for device, state in found.states:
            known = self._indices.get(device)
            if known is not None:  # who has sent nothing yet may be anything: a lamp, say
                self._states.append(StateChange(device, known, state))

    def _register(self, place: int, device: DeviceId, received_s: float) -> tuple[Lane, int] | None:
        lane, index = self._lanes.get(device.domain), self._indices.get(device)
        if lane is None:
            self._reasons[place] = f"domain: {device.domain!r} is none of {', '.join(self._lanes)}"
            return None
        if index is None:
            if len(self._indices) >= self._limits.max_devices:
                self._reasons[place] = f"devices: there are {len(self._indices)} already, which is the limit"
                return None
            index = lane.add(device, self._listening_s, received_s)
            self._remember(lane, device, index)
        return lane, index

    def _remember(self, lane: Lane, device: DeviceId, index: int) -> None:
        self._indices[device] = index
        self._telemetry[topics.telemetry(device)] = (lane, index)

    def _state(self, place: int, device: DeviceId, index: int, payload: bytes) -> None:
        if not payload:  # somebody cleared the retained state of a device that is gone
            return
        try:
            self._states.append(StateChange(device, index, codec.decode_state(payload)))
        except PayloadError as error:
            self._reasons[place] = f"state: {error}"
