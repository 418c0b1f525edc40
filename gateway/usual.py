"""What is usual of a device at each hour of the week, and how unusual the present is.

Every channel has one mean for each hour of the week on the site's wall clock; a public holiday counts as a Sunday. What
is usual at an hour is the mean over all days at that hour, the same weekday counting most (:data:`WEIGHTS`): so the
second day of a device already has something to be compared with, and the second week something better.

A hop's residual ``r`` is its mean less what is usual at its hour, known from earlier hours alone. With ``m`` the
exponentially forgetting mean of ``r`` (time constant :data:`LATELY_S`) and deviations over all hops before this one::

    unusual = sqrt(z(r)² + z(m)²),    z(x) = (x - mean of x) / standard deviation of x

so that both a wild hop and a half day that is a little off are seen (the second as in Roberts 1959, control charts by
an exponentially weighted moving average).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from contract.domains import Domain
from gateway.calendars import Calendar
from gateway.frames import Doubles, Integers, Usual, WindowSpec
from gateway.table import Column, Table

if TYPE_CHECKING:
    from gateway.aggregates import Hops

HOUR_S: Final = 3600.0
LATELY_S: Final = 12.0 * HOUR_S
"""Time constant of the residuals' forgetting mean."""
LEAST_HOPS: Final = 50
"""Residuals below which nothing is called unusual."""
MOST_WEEKS: Final = 16
"""An hour's mean is one over this many weeks at most; from then on the oldest fade."""
RELATIVE_FLOOR: Final = 1e-3
"""Least deviation that a residual is divided by, as a share of what is usual: what stands still must not explode."""
RANGE_FLOOR: Final = 1e-6
"""The same as a share of the channel's physical range."""
WISE: Final = 3.75
"""Deviations from which a limit is wise to raise an alert: the least quarter at which a healthy device with a rhythm of
days and weeks and Gaussian noise, a sample every five minutes, raises less than one a week."""
_NONE: Final = -(2**62)
_HOURS: Final = 24
_DAYS: Final = 7
_SUNDAY: Final = 6
_THURSDAY: Final = 3
"""1 January 1970."""


def _weights() -> Doubles:
    weights = np.full((_DAYS, _DAYS), 1.0 / 32.0)
    weights[:5, :5] = weights[5:, 5:] = 1.0
    np.fill_diagonal(weights, 8.0)
    return weights


WEIGHTS: Final = _weights()
"""How much an hour of one weekday (column) says of the same hour of another (row): the same day 8, a day of the same
kind (working day, weekend) 1, any other 1/32."""


class Profile:
    """The hours of the week of every device of one domain."""

    def __init__(self, domain: Domain, spec: WindowSpec, calendar: Calendar) -> None:
        """Start with no device."""
        channels = len(domain.channels)
        self._spec, self._calendar = spec, calendar
        self._least = RANGE_FLOOR * np.array([channel.high - channel.low for channel in domain.channels])
        self._fade = 1.0 - np.exp(-spec.hop_s / LATELY_S)
        self.table = Table(
            {
                "mean": Column((_DAYS * _HOURS, channels), np.float32, 0),
                "weeks": Column((_DAYS * _HOURS, channels), np.uint8, 0),
                "hour": Column((), np.int64, _NONE),
                "place": Column((), np.int64, 0),
                "open": Column((2, channels), np.float64, 0),
                "lately": Column((channels,), np.float64, 0),
                "residual": Column((3, channels), np.float64, 0),
                "slow": Column((3, channels), np.float64, 0),
            }
        )

    def advance(self, hops: Hops, mean: Doubles) -> Usual:
        """Take closed hops of ``G`` devices; return what was usual at the end of each, shapes ``(G, K, channels)``.

        :param mean: mean of each hop, NaN where it holds nothing, shape ``(G, K, channels)``
        """
        now, following, unusual = (np.empty(mean.shape) for _ in range(3))
        start_s = np.asarray(hops.index * self._spec.hop_s, np.float64)
        end_s = start_s + self._spec.hop_s
        hour = self._hour(np.stack([start_s, end_s, end_s + HOUR_S]))
        place = self._place(hour)
        for k in range(mean.shape[1]):
            self._turn(hops.device, hour[0, :, k], place[0, :, k])
            usual, now[:, k], following[:, k] = self._at(hops.device, place[:, :, k])
            unusual[:, k] = self._judge(hops.device, mean[:, k], usual)
            self._gather(hops.device, mean[:, k])
        return Usual(now, following, unusual)

    def _hour(self, ts: Doubles) -> Integers:
        """Return the hours since 1970 on the wall clock."""
        local_s = self._calendar.local_s(ts.ravel()).reshape(ts.shape)
        return np.floor(local_s / HOUR_S).astype(np.int64)

    def _place(self, hour: Integers) -> Integers:
        """Return the hours of the week; Monday 0 h is 0."""
        day = hour // _HOURS
        free = self._calendar.holiday(day.ravel()).reshape(day.shape)
        return np.where(free, _SUNDAY, (day + _THURSDAY) % _DAYS) * _HOURS + hour % _HOURS

    def _turn(self, device: Integers, hour: Integers, to: Integers) -> None:
        """Enter the hour that was open into its place in the week, on devices where another one begins."""
        table = self.table
        turning = hour != table.of("hour", device)
        if not turning.any():
            return
        old = device[turning & (table.of("hour", device) != _NONE)]
        place = table["place"][old]
        count, total = table["open"][old, 0], table["open"][old, 1]
        weeks = np.minimum(table["weeks"][old, place] + (count > 0), MOST_WEEKS).astype(np.uint8)
        mean = table["mean"][old, place].astype(np.float64)
        step = np.where(count > 0, total / np.maximum(count, 1.0) - mean, 0.0)
        table["mean"][old, place] = mean + step / np.maximum(weeks, 1)
        table["weeks"][old, place] = weeks
        table["open"][device[turning]] = 0.0
        table["hour"][device], table["place"][device] = hour, to

    def _at(self, device: Integers, place: Integers) -> Doubles:
        """Return what is usual at hours of the week ``(m, G)``; ``(m, G, channels)``, NaN where no day knows it."""
        hours = place[..., None] % _HOURS + _HOURS * np.arange(_DAYS)
        weight = WEIGHTS[place // _HOURS][..., None] * self.table["weeks"][device[:, None], hours]
        total = weight.sum(axis=2)
        known = (weight * self.table["mean"][device[:, None], hours]).sum(axis=2)
        return np.where(total > 0, known / np.maximum(total, 1e-9), np.nan)

    def _judge(self, device: Integers, mean: Doubles, usual: Doubles) -> Doubles:
        """Return how unusual a hop is, and remember it; shape ``(G, channels)``."""
        table, least = self.table, np.fmax(RELATIVE_FLOOR * np.abs(usual), self._least)
        residual = mean - usual
        known = ~np.isnan(residual)
        lately = table.of("lately", device)
        lately = np.where(known, lately + self._fade * (residual - lately), lately)
        table["lately"][device] = lately
        enough = table["residual"][device, 0] >= LEAST_HOPS
        squares = np.zeros(mean.shape)
        for name, values in (("residual", residual), ("slow", lately)):
            count, total, square = (table[name][device, part] for part in range(3))
            n = np.maximum(count, 1.0)
            std = np.sqrt(np.maximum(square / n - np.square(total / n), 0.0))
            squares += np.square((values - total / n) / np.fmax(std, least))
            added = np.stack([np.ones_like(values), values, np.square(values)], axis=1)
            table[name][device] += np.where(known[:, None], added, 0.0)
        return np.where(enough & known, np.sqrt(squares), np.nan)

    def _gather(self, device: Integers, mean: Doubles) -> None:
        """Add hops to the hours that are open."""
        known = ~np.isnan(mean)
        self.table["open"][device, 0] += known
        self.table["open"][device, 1] += np.where(known, mean, 0.0)
