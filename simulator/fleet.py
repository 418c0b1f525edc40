"""A fleet: devices of several domains on their plants, with the events that will meet them.

Building is pure: the same settings and times give the same samples, byte for byte, whatever else is in the fleet.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from contract.domains import Domain
from contract.messages import Sample
from contract.topics import DeviceId, device_id
from contract.truth import Truth
from simulator.device_faults import Device
from simulator.errors import UnknownWorldError
from simulator.events import Draw, Shares, Span
from simulator.settings import FleetSettings, GroupSettings
from simulator.turns import in_turn
from simulator.worlds import Plant, World

OPEN_END_S: Final = 7 * 86400.0
"""Events of a fleet without an end are drawn for this long; afterwards it stays healthy."""

WorldOf = Callable[[str], World]


class Line(Protocol):
    """A source of samples in time order, of one device or of several that share a plant."""

    @property
    def devices(self) -> tuple[DeviceId, ...]:
        """The devices, in the order of the samples."""

    @property
    def next_s(self) -> float:
        """Time of the next step, Unix seconds; infinite at the end."""

    def advance(self) -> Sequence[Sequence[Sample]]:
        """Take one step; return what leaves each device, usually one sample."""

    def dead(self, index: int) -> bool:
        """Tell whether a device is without power as of the last step."""


class PlantLine:
    """A plant stepped in time, and the devices on it."""

    def __init__(self, plant: Plant, devices: Sequence[Device], start_s: float, period_s: float) -> None:
        """Take a plant whose first step is at ``start_s``, with one device for each of its readings."""
        self._plant = plant
        self._devices = tuple(devices)
        self._start_s = start_s
        self._period_s = period_s
        self._steps = 0

    @property
    def devices(self) -> tuple[DeviceId, ...]:
        """The devices, in the order of the samples."""
        return self._plant.devices

    @property
    def next_s(self) -> float:
        """Time of the next step, Unix seconds; a product, not a sum, so that it never drifts."""
        return self._start_s + self._steps * self._period_s

    def advance(self) -> Sequence[Sequence[Sample]]:
        """Step the plant and return what leaves each device."""
        t_s = self.next_s
        self._steps += 1
        readings = self._plant.step(t_s)
        return [device.emit(t_s, reading) for device, reading in zip(self._devices, readings, strict=True)]

    def dead(self, index: int) -> bool:
        """Tell whether a device is without power as of the last step."""
        return self._devices[index].dead(self._start_s + (self._steps - 1) * self._period_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """The devices of one domain on one site."""

    site: str
    domain: Domain
    span: Span
    speed: float
    """How many times faster than the wall clock the live part runs."""
    lines: tuple[Line, ...]

    @property
    def devices(self) -> tuple[DeviceId, ...]:
        """All devices of the group."""
        return tuple(device for line in self.lines for device in line.devices)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """Everything that will publish, and what will be wrong with it."""

    groups: tuple[Group, ...]
    truths: tuple[Truth, ...]

    @property
    def devices(self) -> tuple[DeviceId, ...]:
        """All devices."""
        return tuple(device for group in self.groups for device in group.devices)


def load_world(domain: str) -> World:
    """Return the simulated world of a domain: ``WORLD`` of the module of the same name.

    :raises UnknownWorldError: there is no such module
    """
    name = f"simulator.{domain}"
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        raise UnknownWorldError(domain) from error
    world: World = module.WORLD
    return world


def build_fleet(settings: FleetSettings, *, now_s: float, world_of: WorldOf = load_world) -> Fleet:
    """Build the devices and draw their events; nothing is published yet.

    ``now_s`` (Unix seconds) is where the live part begins; with a ``run_s`` and a ``speed`` above 1 a device's own time
    begins further back, so that it reaches the present when the run ends.

    :raises UnknownWorldError: a domain has no simulated world
    """
    groups, truths = [], []
    for number, group in enumerate(settings.groups):
        built, events = _build_group(group, settings, span_of(group, settings.run_s, now_s), world_of, number)
        groups.append(built)
        truths.extend(events)
    return Fleet(groups=tuple(groups), truths=tuple(truths))


def span_of(group: GroupSettings, run_s: float | None, now_s: float) -> Span:
    """Return a group's own time, on whole periods of an hour-aligned grid where the period divides the hour."""
    period_s = group.period_s
    watched_s = (run_s or OPEN_END_S) * group.speed
    end_s = now_s + (run_s or OPEN_END_S)
    live_s = math.floor((end_s - watched_s) / period_s) * period_s
    start_s = live_s - math.floor(group.history_s / period_s) * period_s
    return Span(start_s=start_s, live_s=live_s, end_s=end_s)


def device_names(domain: Domain, count: int) -> tuple[str, ...]:
    """Return names such as ``pump-07``, as wide as the largest number."""
    width = max(2, len(str(count)))
    return tuple(f"{domain.device.split()[0]}-{number:0{width}}" for number in range(1, count + 1))


def _build_group(
    group: GroupSettings, settings: FleetSettings, span: Span, world_of: WorldOf, number: int
) -> tuple[Group, list[Truth]]:
    world = world_of(group.domain)
    names = device_names(world.domain, group.devices)
    draw = Draw(world, group.site, names, span, settings.seed)
    shares = Shares(faults=settings.faults, look_alikes=settings.look_alikes, device_faults=settings.device_faults)
    # each group begins elsewhere in the list of device faults, so that a small fleet shows all of them
    events = draw.events(shares, first_device_fault=number * math.ceil(settings.device_faults * group.devices))
    faults = {name: in_turn(events.faults[name]) for name in names}
    plants = world.plants(group.site, names, seed=settings.seed, start_s=span.start_s, faults=faults)
    lines = tuple(
        PlantLine(
            plant,
            [Device(events.device_faults[device.device]) for device in plant.devices],
            span.start_s,
            world.domain.period_s,
        )
        for plant in plants
    )
    for device in (device for line in lines for device in line.devices):
        device_id(device.site, device.domain, device.device)
    return Group(site=group.site, domain=world.domain, span=span, speed=group.speed, lines=lines), events.truths
