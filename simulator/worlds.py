"""What a simulated domain is made of: plants stepped in time, and faults that bend their parameters.

A domain module (``agriculture.py`` …) exports one :class:`World`. The fleet draws events from its table and asks it for
plants. Randomness is an argument: every device has its own generator from (fleet seed, device), so the same seed gives
the same bytes whatever else is in the fleet.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

import numpy as np

from contract.domains import Domain
from contract.topics import DeviceId
from contract.truth import Kind

P = TypeVar("P")


class Fault(Protocol[P]):
    """Bends a physical parameter from ``onset_s`` to ``end_s``, so that cause and symptoms stay coherent."""

    @property
    def onset_s(self) -> float:
        """Time at which the fault begins, Unix seconds."""

    @property
    def end_s(self) -> float:
        """Time at which the fault is mended, Unix seconds."""

    def bend(self, parameters: P, t_s: float) -> P:
        """Return the parameters as they are at ``t_s``; unchanged outside ``onset_s`` … ``end_s``."""


class Plant(Protocol):
    """Devices that share one physical world: one cow, one pump, or a corridor of detectors."""

    @property
    def devices(self) -> tuple[DeviceId, ...]:
        """The devices, in the order of the readings."""

    def step(self, t_s: float) -> Sequence[Mapping[str, float]]:
        """Advance to ``t_s`` (one period after the last call) and return what each device measures."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventType:
    """A kind of event that the fleet may draw."""

    label: str
    kind: Kind
    duration_s: tuple[float, float]
    """Shortest and longest duration, seconds."""
    make: Callable[[float, float, np.random.Generator], Fault]  # type: ignore[type-arg]  # each world has its own parameters
    """Build the fault from onset, end (Unix seconds) and a generator that draws its severity."""
    whole_site: bool = False
    """Whether the event hits every device of its site at once (weather)."""
    aftermath_s: float = 0.0
    """Time after the end in which the effect still shows, seconds; part of the truth's span."""
    hours: tuple[float, float] = (0.0, 24.0)
    """Local (UTC) hours of the day between which the event may begin: theft needs an open shop."""


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """One simulated domain."""

    domain: Domain
    events: tuple[EventType, ...]
    plants: Callable[..., list[Plant]]
    """``plants(site, names, *, seed, start_s, faults)``: ``faults`` maps device name to its faults; ``start_s`` is the
    time of the first step. Returns plants that together hold every name once."""
    warm_up_s: float = 0.0
    """Time from the start of a device in which no event may begin: the gateway is still learning what is normal."""
    affected: Callable[[Sequence[str], str], tuple[str, ...]] = field(default=lambda _names, _device: ())
    """``affected(names, device)``: further devices on which an event at ``device`` shows."""

    def event(self, label: str) -> EventType:
        """Return the event type of a label."""
        return next(event for event in self.events if event.label == label)


def generator(seed: int, *names: str) -> np.random.Generator:
    """Return the generator of one device (or other named thing) of a fleet."""
    return np.random.default_rng([seed, *(zlib.crc32(name.encode()) for name in names)])
