"""A small world for the tests of the fleet: every device measures noise about a level that a fault raises."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from contract.domains import INDUSTRIAL
from contract.topics import DeviceId
from simulator.worlds import EventType, Fault, Plant, World, generator


@dataclass(frozen=True)
class Raise:
    """Raises the level by ten."""

    onset_s: float
    end_s: float

    def bend(self, parameters: float, t_s: float) -> float:
        """Return the level at ``t_s``."""
        return parameters + 10.0 if self.onset_s <= t_s < self.end_s else parameters


class Level:
    """One device around 5, or several that share a plant."""

    def __init__(self, devices: Sequence[DeviceId], seed: int, faults: Mapping[str, Sequence[Fault[Any]]]) -> None:
        """Give each device a generator of its own."""
        self.devices = tuple(devices)
        self._rngs = [generator(seed, device.site, device.device) for device in devices]
        self._faults = [faults.get(device.device, ()) for device in devices]

    def step(self, t_s: float) -> list[dict[str, float]]:
        """Measure two channels."""
        rows = []
        for rng, faults in zip(self._rngs, self._faults, strict=True):
            level = 5.0
            for fault in faults:
                level = fault.bend(level, t_s)
            rows.append({"current_a": level + rng.normal(), "voltage_v": 230.0 + rng.normal()})
        return rows


def _plants(
    site: str, names: Sequence[str], *, seed: int, start_s: float, faults: Mapping[str, Sequence[Fault[Any]]]
) -> list[Plant]:
    del start_s
    devices = [DeviceId(site, "industrial", name) for name in names]
    return [Level([device], seed, faults) for device in devices]


def _make(onset_s: float, end_s: float, _rng: np.random.Generator) -> Raise:
    return Raise(onset_s, end_s)


def _neighbour(names: Sequence[str], device: str) -> tuple[str, ...]:
    place = list(names).index(device)
    return tuple(names[place - 1 : place])


@pytest.fixture
def world() -> World:
    """Return a world of the industrial channels: two faults, a look-alike by day only, and weather."""
    return World(
        domain=INDUSTRIAL,
        plants=_plants,
        warm_up_s=600.0,
        affected=_neighbour,
        events=(
            EventType(label="high", kind="fault", duration_s=(120.0, 300.0), make=_make, aftermath_s=30.0),
            EventType(label="higher", kind="fault", duration_s=(200.0, 400.0), make=_make),
            EventType(label="busy", kind="look_alike", duration_s=(100.0, 200.0), make=_make, hours=(8.0, 18.0)),
            EventType(label="heat", kind="look_alike", duration_s=(600.0, 900.0), make=_make, whole_site=True),
        ),
    )
