"""Fleets for training: the demo's own draw of events, many devices, no broker in between."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from contract.domains import Domain
from contract.messages import Sample
from contract.topics import DeviceId
from contract.truth import Truth
from simulator.device_faults import Device
from simulator.events import Draw, Shares, Span
from simulator.worlds import Plant, World

FIRST_SEED: Final = 1_000_000
"""Seeds from here on belong to training, so that no seed that a person types was ever trained on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """One simulated site: when, how many devices, and the seed of everything drawn."""

    seed: int
    start_s: float
    """First sample, Unix seconds."""
    length_s: float
    live_s: float
    """The last part of it, in which the demo lets faults begin that somebody watches, seconds."""
    devices: int

    @property
    def site(self) -> str:
        """Name of the site; no two fleets share one."""
        return f"site-{self.seed}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """What the devices of a fleet sent, and what was done to them."""

    domain: Domain
    devices: tuple[DeviceId, ...]
    times: tuple[NDArray[np.float64], ...]
    """By device, in the order of sending: the samples' own times, shape ``(m,)``."""
    values: tuple[NDArray[np.float32], ...]
    """By device: shape ``(m, channels)``, NaN where missing."""
    sent_s: tuple[NDArray[np.float64], ...]
    """By device: when each sample was sent, true time."""
    physical: NDArray[np.float32]
    """What the healthy sensors would show: ``(devices, steps, channels)``, one step a period from ``start_s``."""
    start_s: float
    truths: tuple[Truth, ...]

    @property
    def end_s(self) -> float:
        """Time of the last step, Unix seconds."""
        steps: int = self.physical.shape[1]
        return self.start_s + (steps - 1) * self.domain.period_s

    @property
    def device_days(self) -> float:
        """Time watched, devices times days."""
        steps: int = self.physical.shape[1]
        return len(self.devices) * steps * self.domain.period_s / 86400.0


def simulate(world: World, fleet: Fleet, shares: Shares | None = None) -> Recording:
    """Run a fleet from its first to its last sample."""
    end_s = fleet.start_s + fleet.length_s
    names = tuple(f"{world.domain.name[0]}-{number:03d}" for number in range(fleet.devices))
    span = Span(start_s=fleet.start_s, live_s=end_s - fleet.live_s, end_s=end_s)
    drawn = Draw(world, fleet.site, names, span, fleet.seed).events(shares or Shares(), fleet.seed)
    plants = world.plants(fleet.site, names, seed=fleet.seed, start_s=fleet.start_s, faults=drawn.faults)
    count = int(fleet.length_s / world.domain.period_s)
    steps = np.asarray(fleet.start_s + world.domain.period_s * np.arange(count), np.float64)
    logs = [log for plant in plants for log in _log(plant, steps, world.domain, drawn.device_faults)]
    return Recording(
        domain=world.domain,
        devices=tuple(log.device for log in logs),
        times=tuple(log.times for log in logs),
        values=tuple(log.values for log in logs),
        sent_s=tuple(log.sent_s for log in logs),
        physical=np.stack([log.physical for log in logs]),
        start_s=fleet.start_s,
        truths=tuple(drawn.truths),
    )


@dataclass(frozen=True, slots=True)
class _Log:
    device: DeviceId
    times: NDArray[np.float64]
    values: NDArray[np.float32]
    sent_s: NDArray[np.float64]
    physical: NDArray[np.float32]


def _log(
    plant: Plant, steps: NDArray[np.float64], domain: Domain, device_faults: Mapping[str, Sequence[Any]]
) -> list[_Log]:
    measured = [plant.step(t_s) for t_s in steps.tolist()]
    return [
        _sent(device, [step[index] for step in measured], steps, domain, device_faults.get(device.device, ()))
        for index, device in enumerate(plant.devices)
    ]


def _sent(
    device: DeviceId,
    measured: Sequence[Mapping[str, float]],
    steps: NDArray[np.float64],
    domain: Domain,
    faults: Sequence[Any],
) -> _Log:
    hardware = Device(faults)
    sent: list[tuple[float, Sample]] = [
        (t_s, sample)
        for t_s, values in zip(steps.tolist(), measured, strict=True)
        for sample in hardware.emit(t_s, values)
    ]
    return _Log(
        device,
        np.array([sample.ts for _, sample in sent]),
        _table([sample.values for _, sample in sent], domain),
        np.array([t_s for t_s, _ in sent]),
        _table(measured, domain),
    )


def _table(rows: Sequence[Mapping[str, float]], domain: Domain) -> NDArray[np.float32]:
    names = domain.channel_names
    nan = float("nan")
    return np.array([[row.get(name, nan) for name in names] for row in rows], np.float32).reshape(-1, len(names))
