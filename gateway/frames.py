"""What event-time windows are made to, and what comes out of them: types of :mod:`gateway.windows`."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import Any, Final, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

Doubles = NDArray[np.float64]
Singles = NDArray[np.float32]
Integers = NDArray[np.int64]
Flags = NDArray[np.bool_]
Pick = Callable[[NDArray[Any]], NDArray[Any]]
"""Chooses of the first axes of an array."""
T = TypeVar("T")

HOURS: Final = 24
"""Hours of a usual day."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Events:
    """Something that happens on a device whenever a channel crosses a threshold: feeding, a sale, an empty shelf."""

    name: str
    """Name of the event, first part of its features' names."""
    channel: str
    """Channel that is watched."""
    above: float
    """Threshold; an event is the first sample above it after one that is not."""
    falling: bool = False
    """Whether it is the other way round: the first sample that is not above it after one that is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cycle:
    """From one event to another: how much of a channel there was, as from a delivery to an empty shelf."""

    name: str
    """First part of its features' names."""
    channel: str
    """Channel that is added up: its unit times hours."""
    starts: str
    """Event with which it begins, at zero."""
    ends: str
    """Event with which it ends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowSpec:
    """How the windows of one domain are cut."""

    length_s: float
    """Length of a window, seconds; a whole number of periods, at least two."""
    hop_s: float
    """Time between two window ends, seconds; a whole number of periods. Ends are its multiples on the epoch."""
    period_s: float
    """Width of a slot: nominal time between two samples, seconds."""
    lateness_s: float
    """How far a sample may lie behind the device's newest and still find its place, seconds, 0 or more."""
    min_coverage: float = 0.5
    """Share of a window's slots that must hold a sample for it to be scored, 0…1."""
    calibration_s: float = 0.0
    """First stretch of a device's data that fixes what is normal for it, seconds; windows in it are warming.
    0 is none: nothing is warming, and features against the calibration are undefined."""
    horizons_s: tuple[float, ...] = ()
    """Long horizons that are held as buckets, seconds, each at least one hop."""
    buckets: int = 8
    """Buckets of a horizon, the newest of which is filling: a horizon reaches back ``(buckets - 1) / buckets`` … 1 of
    its length. More are finer and cost 28 bytes a channel each."""
    monitor: bool = False
    """Whether principal components and unrest of the calibration are held, for ``t2``, ``q`` and ``cal_unrest``."""
    events: tuple[Events, ...] = ()
    """Events whose times of day are learned, for circular features."""
    usual: bool = False
    """Whether every hour of the week is held, for the features ``usual``, ``usual_next`` and ``unusual``: 1 KiB a
    channel."""
    courses: tuple[str, ...] = ()
    """Channels whose usual course over the day is learned, hour by hour."""
    cycles: tuple[Cycle, ...] = ()
    """What is added up from event to event."""

    def __post_init__(self) -> None:
        """Refuse what cannot be cut.

        :raises ValueError: a length is not a whole number of periods, or outside its range
        """
        for name, least in (("length_s", 2), ("hop_s", 1)):
            slots = getattr(self, name) / self.period_s
            if slots < least or abs(slots - round(slots)) > 1e-9:
                rule = f"must be {least} or more whole periods of {self.period_s} s"
                raise ValueError(f"windows: {name} = {getattr(self, name)} {rule}.")
        if self.lateness_s < 0 or not 0 <= self.min_coverage <= 1 or self.buckets < 2:
            raise ValueError("windows: lateness_s must be 0 or more, min_coverage 0…1, buckets 2 or more.")
        if any(horizon < self.hop_s for horizon in self.horizons_s):
            raise ValueError(f"windows: each of horizons_s must be at least one hop of {self.hop_s} s.")

    def at_period(self, period_s: float) -> WindowSpec:
        """Return the same windows for devices that report every ``period_s``, seconds.

        Where a window or hop would hold too few samples or part of one, it grows to the next whole number of them;
        horizons shorter than a hop cannot be held, and are refused as ever.

        :raises ValueError: windows cannot be cut so
        """
        slots = max(2, math.ceil(self.length_s / period_s - 1e-9))
        hops = max(1, math.ceil(self.hop_s / period_s - 1e-9))
        lateness_s = self.lateness_s if period_s == self.period_s else max(self.lateness_s, 2.0 * period_s)
        return replace(self, length_s=slots * period_s, hop_s=hops * period_s, period_s=period_s, lateness_s=lateness_s)

    @property
    def window_slots(self) -> int:
        """Slots of a window."""
        return round(self.length_s / self.period_s)

    @property
    def hop_slots(self) -> int:
        """Slots between two window ends."""
        return round(self.hop_s / self.period_s)


@dataclass(frozen=True, slots=True)
class Moments:
    """Count, mean and standard deviation of ``n`` windows' channels, shape ``(n, channels)``; NaN where count is 0."""

    count: Integers
    mean: Doubles
    std: Doubles
    """Population standard deviation."""


@dataclass(frozen=True, slots=True)
class Horizon(Moments):
    """Moments over a horizon, with extremes."""

    min: Singles
    max: Singles


@dataclass(frozen=True, slots=True)
class Components:
    """Principal components of the calibration, in units of its standard deviations; NaN while warming."""

    vectors: Singles
    """Shape ``(n, channels, channels)``; column ``i`` is component ``i``, strongest first."""
    variances: Singles
    """Shape ``(n, channels)``."""


@dataclass(frozen=True, slots=True)
class Usual:
    """What is usual at an hour of the week, and how unusual the present is; ``(n, channels)``, NaN: unknown."""

    now: Doubles
    """At the hour in which the window ends."""
    following: Doubles
    """An hour later."""
    unusual: Doubles
    """See :mod:`gateway.usual`; 0 or more, in standard deviations."""


@dataclass(frozen=True, slots=True)
class DayHistory:
    """What is usual for a device, and since when; ``n`` windows.

    A column is a channel of the spec's ``courses``, then an event; NaN where nothing is known yet.
    """

    now: Doubles
    """Usual level of the local hour in which the window's last hop lies, shape ``(n, columns)``: a channel's mean, an
    event's number."""
    ahead: Doubles
    """The same of the 24 hours that begin with the one of the window's end, shape ``(n, columns, 24)``."""
    today: Doubles
    """Mean of the channels of ``courses`` since local midnight, shape ``(n, channels)``."""
    since_h: Doubles
    """Hours since the beginning of the hop in which each event last happened, shape ``(n, events)``."""
    cycles: Doubles
    """So far, usually and last time, shape ``(n, cycles, 3)``."""


@dataclass(frozen=True, slots=True)
class History:
    """What is known of each window's device up to the window's end; nothing after it."""

    life: Moments
    """Over every sample since the device was first seen."""
    calibration: Moments
    """Over the calibration; count 0 and NaN while it is not complete."""
    horizons: Mapping[float, Horizon]
    """By horizon, seconds."""
    components: Components | None = None
    """Where ``WindowSpec.monitor`` is set."""
    events: Doubles = field(default_factory=lambda: np.zeros((0, 0, 3)))
    """Shape ``(n, events, 3)``: count, sum of cosines and of sines of the local times of day of events so far."""
    usual: Usual | None = None
    """Where ``WindowSpec.usual`` is set."""
    unrest: Doubles | None = None
    """Where ``WindowSpec.monitor`` is set: standard deviation of the means of the calibration's hops, shape
    ``(n, channels)``; NaN while warming."""
    day: DayHistory | None = None
    """Where ``WindowSpec.courses`` or ``events`` are set."""


@dataclass(frozen=True, slots=True)
class Frames:
    """Windows that closed together, of one domain; ``n`` rows, each device's in order of their ends."""

    device: Integers
    end_s: Doubles
    """End of the window, Unix seconds; the window is ``[end - length, end)``."""
    values: Singles
    """Shape ``(n, slots, channels)``, NaN where missing; slot ``k`` covers the period that starts at
    ``end_s - (slots - k) * period_s``."""
    coverage: Singles
    """Share of slots with any valid channel, above 0 (an empty window is not reported) … 1."""
    trigger_s: Doubles
    """Measurement time of the sample that closed the window, Unix seconds."""
    warming: Flags
    """Whether the device's calibration is not complete yet."""
    history: History

    def __len__(self) -> int:
        """Return the number of windows."""
        return len(self.device)


@dataclass(frozen=True, slots=True)
class Added:
    """What became of the rows of one :meth:`Windows.add`: boolean masks over them."""

    duplicate: Flags
    """The device's slot already held a sample of this very time; the two are merged, newest valid value wins."""
    late: Flags
    """The sample's hop had closed before; it is stray, no window holds it."""
    crowded: Flags
    """The slot already held a sample of another time; that one was pushed out and is stray now."""


@dataclass(frozen=True, slots=True)
class Blocks:
    """Raw samples of hops that closed: ``b`` blocks, one a device and hop that has any, of ``m`` samples in all."""

    device: Integers
    """Shape ``(b,)``."""
    start_s: Doubles
    """Start of the hop, Unix seconds, shape ``(b,)``."""
    offset: Integers
    """Block ``i`` is ``times[offset[i]:offset[i + 1]]``; shape ``(b + 1,)``."""
    times: Doubles
    """Shape ``(m,)``, ascending in a block."""
    values: Singles
    """Shape ``(m, channels)``."""


@dataclass(frozen=True, slots=True)
class Strays:
    """Samples that no window holds and no block will: late or pushed out of their slot. Store each under its own time.

    (A block of several strays would be overwritten by another one with the same first sample.)
    """

    device: Integers
    times: Doubles
    values: Singles


def picked(part: T, pick: Pick) -> T:
    """Return frames, or what is known of them, with ``pick`` applied to every array."""
    found: Any = part
    if isinstance(part, np.ndarray):
        found = pick(part)
    elif isinstance(part, Mapping):
        found = {key: picked(value, pick) for key, value in part.items()}
    elif is_dataclass(part):
        found = replace(found, **{one.name: picked(getattr(part, one.name), pick) for one in fields(part)})
    return cast("T", found)
