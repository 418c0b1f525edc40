"""Faults of the device rather than of what it watches: sensor, clock, link and battery.

Each wraps the samples of one device on their way out. Sensor faults bend what is measured, before a sample gets its
number; link faults disturb numbered samples on their way. So nothing here is loss: a sample that was numbered is sent.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Final

import numpy as np

from contract.domains import Channel, Domain
from contract.messages import Sample

Values = Mapping[str, float]


@dataclass(slots=True, kw_only=True)
class DeviceFault:
    """Does nothing from ``onset_s`` to ``end_s`` (Unix seconds); each subclass disturbs one thing."""

    label: ClassVar[str]
    onset_s: float
    end_s: float
    rng: np.random.Generator

    def measure(self, _t_s: float, values: Values) -> Values:
        """Return what the sensor measures at ``t_s``; empty where it measures nothing."""
        return values

    def clock(self, t_s: float) -> float:
        """Return what the device's clock shows at ``t_s``."""
        return t_s

    def send(self, _t_s: float, samples: Sequence[Sample]) -> Sequence[Sample]:
        """Return the samples that leave the device at ``t_s``, given those that should."""
        return samples

    def dead(self, _t_s: float) -> bool:
        """Tell whether the device is without power at ``t_s``."""
        return False

    def active(self, t_s: float) -> bool:
        """Tell whether the fault is there at ``t_s``."""
        return self.onset_s <= t_s < self.end_s


@dataclass(slots=True, kw_only=True)
class DropOut(DeviceFault):
    """A loose contact: most samples are not measured."""

    label: ClassVar[str] = "drop_out"
    share: float = 0.7

    def measure(self, t_s: float, values: Values) -> Values:
        """Return nothing, most of the time."""
        return {} if self.active(t_s) and self.rng.random() < self.share else values


@dataclass(slots=True, kw_only=True)
class StuckValue(DeviceFault):
    """One channel repeats the value that it had at the onset."""

    label: ClassVar[str] = "stuck_value"
    channel: str
    _held: float | None = field(default=None, init=False)

    def measure(self, t_s: float, values: Values) -> Values:
        """Return the values with one of them frozen."""
        if not self.active(t_s) or self.channel not in values:
            return values
        if self._held is None:
            self._held = values[self.channel]
        return {**values, self.channel: self._held}


@dataclass(slots=True, kw_only=True)
class Drift(DeviceFault):
    """One channel wanders off, up to ``sigmas`` of its own standard deviations before the onset."""

    label: ClassVar[str] = "drift"
    channel: Channel
    sigmas: float = 2.0
    _count: int = field(default=0, init=False)
    _mean: float = field(default=0.0, init=False)
    _square: float = field(default=0.0, init=False)

    def measure(self, t_s: float, values: Values) -> Values:
        """Learn the channel's spread until the onset (Welford); bend it from then on."""
        value = values.get(self.channel.name)
        if value is None:
            return values
        if t_s < self.onset_s:
            self._learn(value)
        if not self.active(t_s) or self._count < 2:
            return values
        share = (t_s - self.onset_s) / (self.end_s - self.onset_s)
        bent = value + share * self.sigmas * (self._square / (self._count - 1)) ** 0.5
        return {**values, self.channel.name: min(bent, self.channel.high)}

    def _learn(self, value: float) -> None:
        self._count += 1
        away = value - self._mean
        self._mean += away / self._count
        self._square += away * (value - self._mean)


@dataclass(slots=True, kw_only=True)
class ClockSkew(DeviceFault):
    """The clock is wrong by ``offset_s`` until it is set; a slow clock (negative) then leaves a gap."""

    label: ClassVar[str] = "clock_skew"
    offset_s: float

    def clock(self, t_s: float) -> float:
        """Return the wrong time."""
        return t_s + self.offset_s if self.active(t_s) else t_s


@dataclass(slots=True, kw_only=True)
class Duplicate(DeviceFault):
    """Some samples are sent twice, with the same number and time."""

    label: ClassVar[str] = "duplicate"
    share: float = 0.3

    def send(self, t_s: float, samples: Sequence[Sample]) -> Sequence[Sample]:
        """Return the samples, some of them twice."""
        if not self.active(t_s):
            return samples
        return [twin for sample in samples for twin in (sample,) * (1 + (self.rng.random() < self.share))]


@dataclass(slots=True, kw_only=True)
class Reorder(DeviceFault):
    """Some samples are overtaken by the next one; all of them arrive."""

    label: ClassVar[str] = "reorder"
    share: float = 0.3
    _late: tuple[Sample, ...] = field(default=(), init=False)

    def send(self, t_s: float, samples: Sequence[Sample]) -> Sequence[Sample]:
        """Hold a sample back now and then, and send it behind its successor."""
        out = (*samples, *self._late)
        self._late = ()
        if len(out) == 1 and self.active(t_s) and self.rng.random() < self.share:
            self._late, out = out, ()
        return out


@dataclass(slots=True, kw_only=True)
class BatteryDeath(DeviceFault):
    """The battery is flat until it is changed: no samples, and the connection ends without a goodbye."""

    label: ClassVar[str] = "battery_death"

    def dead(self, t_s: float) -> bool:
        """Tell whether the battery is flat."""
        return self.active(t_s)


class Device:
    """From what the physics says to what leaves the device: faults, clock, numbering."""

    def __init__(self, faults: Sequence[DeviceFault] = ()) -> None:
        """Take the faults in the order in which a sample meets them."""
        self._faults = tuple(faults)
        self._seq = 0

    def dead(self, t_s: float) -> bool:
        """Tell whether the device is without power at ``t_s``."""
        return any(fault.dead(t_s) for fault in self._faults)

    def emit(self, t_s: float, values: Values) -> Sequence[Sample]:
        """Return the samples that leave the device at ``t_s``; none where it is dead or measured nothing."""
        if not self._faults:
            return self._number(t_s, values)
        if self.dead(t_s):
            return ()
        shown_s = t_s
        for fault in self._faults:
            values = fault.measure(t_s, values)
            shown_s = fault.clock(shown_s)
        samples = self._number(shown_s, values)
        for fault in self._faults:
            samples = fault.send(t_s, samples)
        return samples

    def _number(self, ts: float, values: Values) -> Sequence[Sample]:
        # x == x leaves NaN out: a channel that was not measured is absent on the wire
        shown = {name: round(float(value), DECIMALS) for name, value in values.items() if value == value}  # noqa: PLR0124
        if not shown:
            return ()
        seq, self._seq = self._seq, self._seq + 1
        return (Sample(ts=ts, seq=seq, values=shown),)


DECIMALS: Final = 5
"""Digits behind the point on the wire: finer than any of the sensors, and half the bytes of a full float."""

Make = Callable[[float, float, np.random.Generator, Domain], DeviceFault]


def _stuck(onset_s: float, end_s: float, rng: np.random.Generator, domain: Domain) -> DeviceFault:
    """Freeze a channel that never rests when healthy, if the domain has one: elsewhere nobody could tell."""
    restless = [channel.name for channel in domain.channels if channel.flat_line_s is not None]
    channel = str(rng.choice(restless or list(domain.channel_names)))
    return StuckValue(onset_s=onset_s, end_s=end_s, rng=rng, channel=channel)


def _drift(onset_s: float, end_s: float, rng: np.random.Generator, domain: Domain) -> DeviceFault:
    channel = domain.channels[int(rng.integers(len(domain.channels)))]
    return Drift(onset_s=onset_s, end_s=end_s, rng=rng, channel=channel, sigmas=float(rng.uniform(1.0, 2.0)))


def _skew(onset_s: float, end_s: float, rng: np.random.Generator, domain: Domain) -> DeviceFault:
    """Set the clock slow by whole periods, so that no two samples share a slot before or after it is set right."""
    offset_s = -float(rng.integers(2, 10)) * domain.period_s
    return ClockSkew(onset_s=onset_s, end_s=end_s, rng=rng, offset_s=offset_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceFaultType:
    """A kind of device fault that the fleet may draw."""

    label: str
    make: Make
    duration_periods: tuple[float, float]
    """Shortest and longest duration, in sample periods; longer where it takes longer to be seen."""
    from_start: bool = False
    """Whether it begins with the device's first sample: a clock that was never set."""
    shown_live: bool = False
    """Whether only somebody who watches sees it whole: the broker speaks up at once, not in the history."""


DEVICE_FAULTS: Final = (
    DeviceFaultType(label="battery_death", duration_periods=(40, 80), shown_live=True,
                    make=lambda on, end, rng, _: BatteryDeath(onset_s=on, end_s=end, rng=rng)),
    DeviceFaultType(label="stuck_value", duration_periods=(180, 240), make=_stuck),
    DeviceFaultType(label="drop_out", duration_periods=(60, 120),
                    make=lambda on, end, rng, _: DropOut(onset_s=on, end_s=end, rng=rng)),
    DeviceFaultType(label="drift", duration_periods=(180, 300), make=_drift),
    DeviceFaultType(label="duplicate", duration_periods=(60, 120),
                    make=lambda on, end, rng, _: Duplicate(onset_s=on, end_s=end, rng=rng)),
    DeviceFaultType(label="reorder", duration_periods=(60, 120),
                    make=lambda on, end, rng, _: Reorder(onset_s=on, end_s=end, rng=rng)),
    DeviceFaultType(label="clock_skew", duration_periods=(120, 240), from_start=True, make=_skew),
)  # fmt: skip
"""What can be wrong with a device in every domain."""
