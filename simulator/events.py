"""Which event meets which device, and when: drawn from the world's table, so that no two meet on one device.

About half of the devices get faults, and a few more get their first one about the beginning of the live part, so that
somebody who watches sees alerts arise. Half as many get look-alikes, the rest stays clean. Weather hits a whole site
once, whatever else goes on there. Some of the devices without faults get a device fault.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import cycle
from typing import Any, Final

from contract.truth import Kind, Truth
from simulator.device_faults import DEVICE_FAULTS, DeviceFault, DeviceFaultType
from simulator.worlds import EventType, Fault, World, generator

DAY_S: Final = 86400.0
RECOVERY_PERIODS: Final = 60
"""Least calm time between two events of one device, in sample periods: a window must see it healthy again."""

REDRAWS: Final = 20
"""Tries to hit the hours of an event by chance; moved there instead, events would pile up at the opening."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """The devices' own time, Unix seconds: history from ``start_s``, watched from ``live_s``, over at ``end_s``."""

    start_s: float
    live_s: float
    end_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Shares:
    """How many devices meet what, 0 … 1."""

    faults: float = 0.5
    """Devices with faults that a model must find; where somebody watches, a quarter as many again have theirs then."""
    look_alikes: float = 0.25
    """Devices with harmless events that look like faults."""
    device_faults: float = 0.2
    """Devices whose own hardware fails; taken from those without faults first."""


@dataclass(slots=True)
class Events:
    """What was drawn for one group of devices."""

    faults: dict[str, list[Fault[Any]]] = field(default_factory=dict)
    device_faults: dict[str, list[DeviceFault]] = field(default_factory=dict)
    truths: list[Truth] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Slot:
    """A time for an event: ``[onset_s, end_s)``, its effect gone at ``over_s``."""

    onset_s: float
    end_s: float
    over_s: float


@dataclass(frozen=True, slots=True)
class _Timing:
    """What a time must satisfy."""

    duration_s: tuple[float, float]
    aftermath_s: float = 0.0
    hours: tuple[float, float] = (0.0, 24.0)


class Draw:
    """Draws the events of one group; the same arguments give the same events."""

    def __init__(self, world: World, site: str, names: Sequence[str], span: Span, seed: int) -> None:
        """Prepare; nothing is drawn yet."""
        self._world = world
        self._site = site
        self._names = tuple(names)
        self._span = span
        self._seed = seed
        self._period_s = world.domain.period_s
        self._recovery_s = RECOVERY_PERIODS * self._period_s
        self._rng = generator(seed, site, world.domain.name, "events")
        self._taken: dict[str, list[tuple[float, float]]] = {name: [] for name in names}
        self._events = Events(faults={name: [] for name in names}, device_faults={name: [] for name in names})

    def events(self, shares: Shares, first_device_fault: int = 0) -> Events:
        """Draw everything; ``first_device_fault`` says where in the list of device faults to begin."""
        order = [self._names[i] for i in self._rng.permutation(len(self._names))]
        faulty = math.ceil(shares.faults * len(order))
        alike = math.ceil(shares.look_alikes * len(order))
        self._weather()
        broken = order[::-1][: math.ceil(shares.device_faults * len(order))]
        self._hardware(broken, first_device_fault)
        watched = self._span.end_s > self._span.live_s
        live = max(1, faulty // 4) if faulty and watched else 0
        if live:
            self._fill(order[faulty : faulty + live], "fault", live=True)
        self._fill(order[:faulty], "fault", live=False)
        self._fill(order[faulty + live : faulty + live + alike], "look_alike", live=False)
        self._events.truths.sort(key=lambda truth: (truth.onset_s, truth.device))
        return self._events

    def _weather(self) -> None:
        for event in self._world.events:
            if event.whole_site:
                slot = self._slot(
                    _timing(event), self._names, self._first_onset_s(_timing(event), live=False), may_outlast=True
                )
                if slot is not None:
                    self._inject(event, self._names, slot)

    def _fill(self, names: Sequence[str], kind: Kind, *, live: bool) -> None:
        """Give each device one event after another until its time is over, the kinds in turn."""
        types = [event for event in self._world.events if event.kind == kind and not event.whole_site]
        if not types:
            return
        turn = cycle([types[i] for i in self._rng.permutation(len(types))])
        for name in names:
            for event, slot in self._sequence(name, turn, live=live):
                self._inject(event, (name,), slot)

    def _sequence(self, name: str, turn: Iterator[EventType], *, live: bool) -> Iterator[tuple[EventType, _Slot]]:
        event, reach = next(turn), self._reach(name)
        slot = self._slot(_timing(event), reach, self._first_onset_s(_timing(event), live=live), may_outlast=live)
        while slot is not None:
            yield event, slot
            event = next(turn)
            calm_s = self._recovery_s * self._rng.uniform(1.0, 3.0)
            slot = self._slot(_timing(event), reach, slot.over_s + calm_s, again=False)

    def _reach(self, name: str) -> tuple[str, ...]:
        return (name, *self._world.affected(self._names, name))

    def _first_onset_s(self, timing: _Timing, *, live: bool) -> float:
        """Return where to look first: anywhere, or so that the event is under way in the live part."""
        low, shortest_s, span = self._earliest_s, timing.duration_s[0], self._span
        high = span.end_s - shortest_s
        if live:
            low = max(low, span.live_s - shortest_s / 2)
            high = span.live_s + (span.end_s - span.live_s) / 3
        for _ in range(REDRAWS):
            wanted_s = float(self._rng.uniform(low, max(low, high)))
            if _within_hours(wanted_s, timing.hours) == wanted_s:
                break
        return wanted_s

    @property
    def _earliest_s(self) -> float:
        return self._span.start_s + self._world.warm_up_s

    def _slot(
        self, timing: _Timing, names: Sequence[str], wanted_s: float, *, may_outlast: bool = False, again: bool = True
    ) -> _Slot | None:
        """Find the first free time from ``wanted_s`` on, else (``again``) from the earliest; ``None`` if there is none.

        The data holds at least as much of it as the shortest event lasts; with ``may_outlast`` it may have just begun.
        """
        duration_s = float(self._rng.uniform(*timing.duration_s))
        slot = self._free(timing, names, wanted_s, duration_s, may_outlast=may_outlast)
        if slot is None and again:
            slot = self._free(timing, names, self._earliest_s, duration_s, may_outlast=may_outlast)
        return slot

    def _free(
        self, timing: _Timing, names: Sequence[str], from_s: float, duration_s: float, *, may_outlast: bool
    ) -> _Slot | None:
        needed_s = 0.0 if may_outlast else timing.duration_s[0]
        onset_s = _within_hours(from_s, timing.hours)
        while onset_s + needed_s < self._span.end_s:
            slot = _Slot(onset_s, onset_s + duration_s, onset_s + duration_s + timing.aftermath_s)
            blocked_s = self._blocked_until(names, slot)
            if blocked_s is None:
                return slot
            onset_s = _within_hours(blocked_s, timing.hours)
        return None

    def _blocked_until(self, names: Sequence[str], slot: _Slot) -> float | None:
        """Return the end of the last calm time that ``slot`` would break, or ``None`` if it breaks none."""
        ends = [
            end_s + self._recovery_s
            for name in names
            for start_s, end_s in self._taken[name]
            if start_s < slot.over_s + self._recovery_s and slot.onset_s < end_s + self._recovery_s
        ]
        return max(ends, default=None)

    def _inject(self, event: EventType, names: Sequence[str], slot: _Slot) -> None:
        rng = generator(self._seed, self._site, self._world.domain.name, names[0], event.label, str(slot.onset_s))
        fault = event.make(slot.onset_s, slot.end_s, rng)
        for name in names:
            self._events.faults[name].append(fault)
            self._record(event.label, event.kind, name, slot)
            if not event.whole_site:
                self._take(name, slot)

    def _take(self, name: str, slot: _Slot) -> None:
        for other in self._reach(name):
            self._taken[other].append((slot.onset_s, slot.over_s))

    def _record(self, label: str, kind: Kind, name: str, slot: _Slot) -> None:
        affected = self._world.affected(self._names, name) if kind != "device_fault" else ()
        self._events.truths.append(
            Truth(
                fault=label,
                kind=kind,
                site=self._site,
                domain=self._world.domain.name,
                device=name,
                onset_s=slot.onset_s,
                end_s=slot.over_s,
                affected=affected,
            )
        )

    def _hardware(self, names: Sequence[str], first: int) -> None:
        for number, name in enumerate(names):
            kind = DEVICE_FAULTS[(first + number) % len(DEVICE_FAULTS)]
            slot = self._hardware_slot(kind, name)
            if slot is None:
                continue
            rng = generator(self._seed, self._site, self._world.domain.name, name, kind.label)
            fault = kind.make(slot.onset_s, slot.end_s, rng, self._world.domain)
            self._events.device_faults[name].append(fault)
            self._record(kind.label, "device_fault", name, slot)
            self._taken[name].append((slot.onset_s, slot.over_s))

    def _hardware_slot(self, kind: DeviceFaultType, name: str) -> _Slot | None:
        shortest, longest = kind.duration_periods
        timing = _Timing((shortest * self._period_s, longest * self._period_s))
        if kind.from_start:
            end_s = self._span.start_s + float(self._rng.uniform(*timing.duration_s))
            return _Slot(self._span.start_s, end_s, end_s)
        wanted_s = self._span.live_s if kind.shown_live else self._first_onset_s(timing, live=False)
        return self._slot(timing, (name,), wanted_s, may_outlast=kind.shown_live)


def _timing(event: EventType) -> _Timing:
    return _Timing(event.duration_s, event.aftermath_s, event.hours)


def _within_hours(at_s: float, hours: tuple[float, float]) -> float:
    """Return the first moment from ``at_s`` on whose hour of the day (UTC) lies in ``hours``."""
    midnight_s = math.floor(at_s / DAY_S) * DAY_S
    hour = (at_s - midnight_s) / 3600.0
    if hour < hours[0]:
        return midnight_s + hours[0] * 3600.0
    if hour < hours[1]:
        return at_s
    return midnight_s + DAY_S + hours[0] * 3600.0
