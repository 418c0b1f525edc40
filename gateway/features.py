"""Features of windows, computed by name: in training and on the gateway by this one function.

Of one channel, ``{channel}_`` before each:

- ``mean std min max range slope last rms q10 q50 q90 missing``: over the model window (slope per hour, missing a share)
- ``{mean|std|min|max|range}_{horizon}``: over a long horizon up to the window's end, e.g. ``mean_24h``
- ``{delta|z}_{horizon}``: window mean less the horizon's; the same in the horizon's standard deviations
- ``today``: mean since local midnight; ``by_hour``: what the hour of the day just past is like on other days;
  ``by_hour_{n}h``: the same of the ``n`` hours to come (:mod:`gateway.day_course`)
- any of these that is in the channel's unit, with ``_log``: ``sign(x) log(1 + |x| / floor)``, the floor that of
  z-scores at rest, for quantities that span decades; so ``{cycle}_…_log``
- ``life_{mean|std|z}``: over the device's whole life; window mean in its deviations
- ``cal_z``: window mean in deviations of the calibration; ``cal_zlog``: the same as ``sign(z) log(1 + |z|)``, so that
  int8 tells one deviation from two and still reaches fifty; ``cal_zstd``: logarithm of the window's deviation over its
- ``cal_unrest``: as ``cal_zlog``, in deviations that the means of the calibration's hops had among each other;
  ``cal_unrest_{horizon}``: the same of the horizon's mean
- ``usual usual_next unusual``: what is usual at this hour of the week and at the next; how far the newest hop and the
  last half day lie from it, in deviations (:mod:`gateway.usual`)

Of the device:

- ``t2 q t2_last q_last``: Hotelling's T² and squared prediction error of the window's means, or of its last values,
  against the principal components of the calibration; ``t2_log q_log``: ``log(1 + …)`` of the first two
- ``{event}_{count|concentration|direction_sin|direction_cos|unusual}``: how often an event of the spec happened, at
  which time of day and how regularly, and how unusual the present time is for it (0…1)
- ``{event}_since``: ``log(1 + hours)`` since it last happened; ``{event}_by_hour_{n}h``: how often it happens in
  the ``n`` hours to come
- ``{cycle}_{sofar|usual|last|left}``: a channel added up since the cycle's start, in its unit times hours; what it
  usually came to at the cycle's end and what it did last time; what is usually left

Of the local civil time of the window's end:

- ``hour minute_of_day weekday day month part_of_day`` (Monday 0; night from 0 h, morning from 6, afternoon from 12,
  evening from 18: 0…3), and each of these with ``_sin`` and ``_cos`` as a direction
- ``weekend holiday``: 1 on Saturdays and Sundays; 1 on public holidays of the country

A horizon is written ``30s``, ``15min``, ``24h`` or ``7d`` and must be one of ``WindowSpec.horizons_s``. Standard
deviations are the population's. A z-score's deviation has a floor (see :data:`RELATIVE_FLOOR`) and the score a ceiling.
Undefined values are NaN; :func:`fill` replaces them.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Sequence
from functools import cached_property
from operator import itemgetter
from typing import Final

import numpy as np

from contract.domains import Domain
from gateway.calendars import DAY_S, Calendar, Civil
from gateway.circular import concentration, direction, unusual
from gateway.frames import HOURS, DayHistory, Doubles, Frames, Horizon, Moments, Singles, WindowSpec, picked
from gateway.window_statistics import WindowStatistics

RELATIVE_FLOOR: Final = 1e-3
"""Least standard deviation a z-score divides by, as a share of the mean: a channel at rest must not explode."""
RANGE_FLOOR: Final = 1e-6
"""The same as a share of the channel's physical range, for a mean near 0."""
Z_LIMIT: Final = 50.0
"""z-scores are cut to ± this."""
KEPT_VARIANCE: Final = 0.9
"""T² is over the strongest components that hold this share of the calibration's variance; q is over the others."""
LEAST_UNREST: Final = 0.1
"""Least deviation of hop means that is divided by, as a share of the samples': forty hops know it roughly."""
_BLOCK_VALUES: Final = 120_000
"""Values of the windows that are worked on at once: arrays of a megabyte at most stay in the processor's cache, and in
memory that is kept (:mod:`gateway.tuning`)."""
FILL: Final = 0.0
"""What a model sees for an undefined feature, unless the caller knows better (its training mean)."""

WINDOW_STATISTICS: Final = (
    "mean",
    "std",
    "min",
    "max",
    "range",
    "slope",
    "last",
    "rms",
    "q10",
    "q50",
    "q90",
    "missing",
)
HORIZON_STATISTICS: Final = ("mean", "std", "min", "max", "range", "delta", "z", "cal_unrest")
CYCLIC: Final = ("hour", "minute_of_day", "weekday", "day", "month", "part_of_day")
CALENDAR: Final = (*CYCLIC, *(f"{unit}_{part}" for unit in CYCLIC for part in ("sin", "cos")), "weekend", "holiday")
MONITORING: Final = ("t2", "q", "t2_last", "q_last", "t2_log", "q_log")
EVENT_STATISTICS: Final = ("count", "concentration", "direction_sin", "direction_cos", "unusual")
CYCLE_STATISTICS: Final = ("sofar", "usual", "last", "left")
_UNITS_S: Final = {"s": 1.0, "min": 60.0, "h": 3600.0, "d": 86_400.0}

Feature = Callable[["_Frames"], Doubles]


class FeatureSet:
    """Named features, parsed once."""

    def __init__(
        self, names: Sequence[str], domain: Domain, spec: WindowSpec, calendar: Calendar | None = None
    ) -> None:
        """Parse names; the calendar is UTC without one.

        :raises ValueError: names that are no feature of this domain and spec, all of them at once
        """
        self.names = tuple(names)
        self._spec, self._calendar = spec, calendar or Calendar()
        self._span = np.array([channel.high - channel.low for channel in domain.channels])
        found = {name: _parse(name, domain.channel_names, spec) for name in names}
        unknown = [name for name, feature in found.items() if feature is None]
        if unknown:
            raise ValueError(f"{domain.name}: no such features with these windows: {', '.join(unknown)}.")
        self._features = [feature for name in names if (feature := found[name]) is not None]

    def compute(self, frames: Frames) -> Singles:
        """Return the features of ``n`` windows, shape ``(n, len(names))``; NaN where one is undefined."""
        features = np.empty((len(frames), len(self._features)), np.float32, order="F")  # it is filled by columns
        step = max(1, _BLOCK_VALUES // max(1, frames.values[:1].size))
        for start in range(0, len(frames), step):
            block = slice(start, start + step)
            source = _Frames(picked(frames, itemgetter(block)), self._spec, self._calendar, self._span)
            with np.errstate(over="ignore"):
                for column, feature in enumerate(self._features):
                    features[block, column] = feature(source)
        return features


def fill(features: Singles, value: float | Singles = FILL) -> Singles:
    """Return features with undefined ones replaced: by one value, or by one for each column."""
    return np.where(np.isnan(features), np.asarray(value, np.float32), features)


def horizon_s(text: str) -> float:
    """Return the seconds of a horizon such as ``24h``.

    :raises ValueError: it is not written like one
    """
    match = re.fullmatch(r"(\d+)(s|min|h|d)", text)
    if match is None:
        raise ValueError(f"horizon {text!r}: write a whole number with s, min, h or d.")
    return int(match[1]) * _UNITS_S[match[2]]


class _Frames:
    """What features are made of, each computed when first asked for, for all channels at once."""

    def __init__(self, frames: Frames, spec: WindowSpec, calendar: Calendar, span: Doubles) -> None:
        self.history = frames.history
        self._over: dict[tuple[str, float], Doubles] = {}
        self.window = WindowStatistics(frames.values, spec.period_s)
        self._end_s, self._calendar, self._span = frames.end_s, calendar, span

    @cached_property
    def civil(self) -> Civil:
        return self._calendar.civil(self._end_s)

    @cached_property
    def angle(self) -> Doubles:
        """Local time of day of the windows' ends, radians, shape ``(n, 1)``."""
        return np.mod(self._calendar.local_s(self._end_s), DAY_S)[:, None] * (2 * np.pi / DAY_S)

    def floored(self, base: Moments) -> Doubles:
        """Return deviations that may be divided by."""
        least = np.maximum(RELATIVE_FLOOR * np.abs(base.mean), RANGE_FLOOR * self._span)
        return np.maximum(base.std, least)

    def logged(self, values: Doubles, c: int) -> Doubles:
        """Return the logarithm of values in the unit of channel ``c``, of either sign."""
        found: Doubles = np.sign(values) * np.log1p(np.abs(values) / (RANGE_FLOOR * self._span[c]))
        return found

    def z(self, base: Moments) -> Doubles:
        return np.clip((self.window.mean - base.mean) / self.floored(base), -Z_LIMIT, Z_LIMIT)

    @cached_property
    def life_z(self) -> Doubles:
        return self.z(self.history.life)

    @cached_property
    def cal_z(self) -> Doubles:
        return self.z(self.history.calibration)

    @cached_property
    def cal_zlog(self) -> Doubles:
        return _shrunk(self.cal_z)

    @cached_property
    def cal_unrest(self) -> Doubles:
        return self.unrest(self.window.mean)

    def unrest(self, mean: Doubles) -> Doubles:
        normal, unrest = self.history.calibration, self.history.unrest
        assert unrest is not None  # the parser refused otherwise
        away = (mean - normal.mean) / np.maximum(unrest, LEAST_UNREST * self.floored(normal))
        return _shrunk(np.clip(away, -Z_LIMIT, Z_LIMIT))

    def over(self, statistic: str, horizon_s: float) -> Doubles:
        """Return a statistic over a horizon."""
        if (statistic, horizon_s) not in self._over:
            self._over[statistic, horizon_s] = self._of_horizon(statistic, self.history.horizons[horizon_s])
        return self._over[statistic, horizon_s]

    def _of_horizon(self, statistic: str, horizon: Horizon) -> Doubles:
        match statistic:
            case "z":
                return self.z(horizon)
            case "delta":
                return self.window.mean - horizon.mean
            case "range":
                return (horizon.max - horizon.min).astype(np.float64)
            case "cal_unrest":
                return self.unrest(horizon.mean)
            case _:
                found: Doubles = getattr(horizon, statistic)
                return found

    @cached_property
    def cal_zstd(self) -> Doubles:
        normal = self.history.calibration
        least = np.maximum(RELATIVE_FLOOR * np.abs(normal.mean), RANGE_FLOOR * self._span)
        return np.log(np.maximum(self.window.std, least) / self.floored(normal))

    @property
    def day(self) -> DayHistory:
        known = self.history.day
        assert known is not None  # the parser refused otherwise
        return known

    @property
    def usual(self) -> dict[str, Doubles]:
        known = self.history.usual
        assert known is not None  # the parser refused otherwise
        return {"usual": known.now, "usual_next": known.following, "unusual": known.unusual}

    @cached_property
    def monitoring(self) -> dict[str, Doubles]:
        t2, q = self._distances(self.window.mean)
        t2_last, q_last = self._distances(self.window.last)
        last = {"t2_last": t2_last, "q_last": q_last}
        return {"t2": t2, "q": q, **last, "t2_log": np.log1p(t2), "q_log": np.log1p(q)}

    def _distances(self, values: Doubles) -> tuple[Doubles, Doubles]:
        components, normal = self.history.components, self.history.calibration
        assert components is not None  # the parser refused otherwise
        away = np.clip((values - normal.mean) / self.floored(normal), -Z_LIMIT, Z_LIMIT)
        scores = np.square(np.einsum("nc,nci->ni", away, components.vectors))
        before = np.cumsum(components.variances, axis=1, dtype=np.float64) - components.variances
        kept = before < KEPT_VARIANCE * components.variances.sum(axis=1, keepdims=True)
        t2 = np.where(kept, scores / np.maximum(components.variances, 1e-6), 0.0).sum(axis=1)
        q = np.where(kept, 0.0, scores).sum(axis=1)
        undefined = np.isnan(scores[:, 0])
        return np.where(undefined, np.nan, t2), np.where(undefined, np.nan, q)


def _shrunk(away: Doubles) -> Doubles:
    """Return values drawn together, sign kept: near 0 as they are, far from it their logarithm."""
    return np.sign(away) * np.log1p(np.abs(away))


def _parse(name: str, channels: Sequence[str], spec: WindowSpec) -> Feature | None:
    if name in CALENDAR:
        return lambda source: source.civil.named(name)
    if name in MONITORING:
        return (lambda source: source.monitoring[name]) if spec.monitor else None
    for number, event in enumerate(spec.events):
        if name.startswith(f"{event.name}_") and (
            found := _of_event(number, name.removeprefix(f"{event.name}_"), spec)
        ):
            return found
    for number, cycle in enumerate(spec.cycles):
        rest = name.removeprefix(f"{cycle.name}_")
        if rest.removesuffix("_log") in CYCLE_STATISTICS and name.startswith(f"{cycle.name}_"):
            return _logged(channels.index(cycle.channel), rest, functools.partial(_of_cycle, number))
    for number, channel in enumerate(channels):
        if name.startswith(f"{channel}_"):
            rest = name.removeprefix(f"{channel}_")
            return _logged(number, rest, functools.partial(_plain, number, channel, spec))
    return None


def _plain(c: int, channel: str, spec: WindowSpec, rest: str) -> Feature | None:
    return _of_day(channel, rest, spec) or _of_channel(c, rest, spec)


def _logged(c: int, rest: str, parse: Callable[[str], Feature | None]) -> Feature | None:
    """Return a feature that is in the unit of channel ``c``, its logarithm where the name asks for it."""
    plain = rest.removesuffix("_log")
    feature = parse(plain)
    if feature is None or plain == rest:
        return feature
    return lambda source: source.logged(feature(source), c)


def _of_event(e: int, rest: str, spec: WindowSpec) -> Feature | None:
    if rest in EVENT_STATISTICS:
        return _event(e, rest)
    if rest == "since":
        return lambda source: np.log1p(source.day.since_h[:, e])
    if hours := _hours_ahead(rest):
        column = len(spec.courses) + e
        return lambda source: source.day.ahead[:, column, :hours].sum(axis=1)
    return None


def _of_cycle(c: int, statistic: str) -> Feature:
    if statistic == "left":
        return lambda source: source.day.cycles[:, c, 1] - source.day.cycles[:, c, 0]
    place = CYCLE_STATISTICS.index(statistic)
    return lambda source: source.day.cycles[:, c, place]


def _of_day(channel: str, rest: str, spec: WindowSpec) -> Feature | None:
    if channel not in spec.courses:
        return None
    column = spec.courses.index(channel)
    if rest == "today":
        return lambda source: source.day.today[:, column]
    if rest == "by_hour":
        return lambda source: source.day.now[:, column]
    if hours := _hours_ahead(rest):
        return lambda source: source.day.ahead[:, column, :hours].mean(axis=1)
    return None


def _hours_ahead(rest: str) -> int:
    """Return the hours of ``by_hour_3h``, 1 … 24; 0 of anything else."""
    match = re.fullmatch(r"by_hour_(\d+)h", rest)
    return int(match[1]) if match and 1 <= int(match[1]) <= HOURS else 0


def _of_channel(c: int, rest: str, spec: WindowSpec) -> Feature | None:
    if rest in WINDOW_STATISTICS:
        return lambda source: source.window.named(rest)[:, c]
    match rest:
        case "life_mean" | "life_std":
            return lambda source: getattr(source.history.life, rest.removeprefix("life_"))[:, c]
        case "life_z":
            return lambda source: source.life_z[:, c]
        case "cal_z" | "cal_zlog" | "cal_zstd" | "cal_unrest":
            held = spec.calibration_s and (spec.monitor or rest != "cal_unrest")
            return (lambda source: getattr(source, rest)[:, c]) if held else None
        case "usual" | "usual_next" | "unusual":
            return (lambda source: source.usual[rest][:, c]) if spec.usual else None
    return _over_horizon(c, rest, spec)


def _over_horizon(c: int, rest: str, spec: WindowSpec) -> Feature | None:
    match = re.fullmatch(r"([a-z_]+)_(\d+(?:s|min|h|d))", rest)
    if match is None or match[1] not in HORIZON_STATISTICS or (key := horizon_s(match[2])) not in spec.horizons_s:
        return None
    if (statistic := match[1]) == "cal_unrest" and not (spec.calibration_s and spec.monitor):
        return None
    return lambda source: source.over(statistic, key)[:, c]


def _event(e: int, statistic: str) -> Feature:
    def feature(source: _Frames) -> Doubles:
        sums = source.history.events[:, e : e + 1]
        match statistic:
            case "count":
                return sums[:, 0, 0]
            case "concentration":
                return concentration(sums)[:, 0]
            case "direction_sin":
                return np.sin(direction(sums))[:, 0]
            case "direction_cos":
                return np.cos(direction(sums))[:, 0]
            case _:
                return unusual(sums, source.angle)[:, 0]

    return feature
