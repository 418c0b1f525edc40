"""What a device usually does at each hour of its day, and what it did since something happened: O(1) a device.

Each local hour of the day has a level and a weight; when such an hour is over, both are multiplied by :data:`FORGET`
and the hour is added: an exponentially weighted mean over days (Roberts 1959) that does not begin at zero. All of it
goes hop by hop in one order, so results are the same to the bit however the samples were batched.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from contract.domains import Domain
from gateway.calendars import Calendar
from gateway.frames import HOURS, DayHistory, Doubles, Integers, WindowSpec
from gateway.sums import total
from gateway.table import Column, Table

if TYPE_CHECKING:
    from gateway.aggregates import Hops

FORGET: Final = 0.9
"""Weight of a day against the next one, at each hour of the day."""
CYCLE_FORGET: Final = 0.7
"""Weight of what was usual against the newest cycle."""
HOUR_S: Final = 3600.0
_NEVER: Final = -(2**62)

_State = dict[str, NDArray[Any]]


class DayCourse:
    """The usual day, the events and the cycles of every device of one domain."""

    def __init__(self, domain: Domain, spec: WindowSpec, calendar: Calendar) -> None:
        """Start with no device."""
        names, events = domain.channel_names, [event.name for event in spec.events]
        self._spec, self._calendar = spec, calendar
        self._channels = [names.index(name) for name in spec.courses]
        self._summed = [names.index(cycle.channel) for cycle in spec.cycles]
        self._starts = [events.index(cycle.starts) for cycle in spec.cycles]
        self._ends = [events.index(cycle.ends) for cycle in spec.cycles]
        channels, columns, cycles = len(spec.courses), len(spec.courses) + len(events), len(spec.cycles)
        self.table = Table(
            {
                "level": Column((columns, HOURS), np.float64, 0),
                "weight": Column((columns, HOURS), np.float64, 0),
                "hour": Column((), np.int64, _NEVER),
                "sum": Column((columns,), np.float64, 0),
                "count": Column((columns,), np.float64, 0),
                "day_sum": Column((channels,), np.float64, 0),
                "day_count": Column((channels,), np.float64, 0),
                "happened": Column((len(events),), np.int64, _NEVER),
                "so_far": Column((cycles,), np.float64, np.nan),
                "cycle_usual": Column((cycles,), np.float64, np.nan),
                "cycle_last": Column((cycles,), np.float64, np.nan),
            }
        )

    def advance(self, hops: Hops, happened: Doubles) -> DayHistory:
        """Take closed hops and how often each event happened in them, ``(G, K, events)``; return what is known then."""
        start_s = np.asarray(hops.index * self._spec.hop_s, np.float64)
        hour, coming = self._hours(start_s), self._hours(start_s + self._spec.hop_s)
        added = total(np.where(hops.valid, hops.values, 0.0).astype(np.float64))
        count = np.add.reduce(hops.valid, axis=0, dtype=np.float64)
        state = {name: array[hops.device] for name, array in self.table.columns()}
        shown = []
        for step in range(hops.index.shape[1]):
            _turn(state, hour[:, step])
            self._take(state, added[:, step], count[:, step], happened[:, step])
            state["happened"] = np.where(happened[:, step] > 0, hops.index[:, step, None], state["happened"])
            self._cycle(state, added[:, step] * (self._spec.period_s / HOUR_S), happened[:, step] > 0)
            shown.append(self._shown(state, hops.index[:, step], hour[:, step], coming[:, step]))
        for name, column in state.items():
            self.table[name][hops.device] = column
        return DayHistory(*(np.stack(parts, axis=1) for parts in zip(*shown, strict=True)))

    def _hours(self, times_s: Doubles) -> Integers:
        """Return local hours since 1970."""
        local_s = self._calendar.local_s(times_s.ravel()).reshape(times_s.shape)
        return np.floor(local_s / HOUR_S).astype(np.int64)

    def _take(self, state: _State, added: Doubles, count: Doubles, happened: Doubles) -> None:
        """Add a hop to its hour and day."""
        channels = len(self._channels)
        reported = count.max(axis=1, keepdims=True, initial=0.0) > 0
        state["sum"] = state["sum"] + np.concatenate([added[:, self._channels], happened], axis=1)
        # an hour's events are counted, not averaged: such an hour is one, as soon as anything was sent in it
        events = np.maximum(state["count"][:, channels:], reported)
        state["count"] = np.concatenate([state["count"][:, :channels] + count[:, self._channels], events], axis=1)
        state["day_sum"] = state["day_sum"] + added[:, self._channels]
        state["day_count"] = state["day_count"] + count[:, self._channels]

    def _cycle(self, state: _State, amount: Doubles, happened: NDArray[np.bool_]) -> None:
        """Add a hop's amount to the cycles that run; a cycle is counted from its start to its end."""
        started, ended = happened[:, self._starts], happened[:, self._ends]
        so_far = np.where(started, 0.0, state["so_far"]) + amount[:, self._summed]
        usual = CYCLE_FORGET * state["cycle_usual"] + (1.0 - CYCLE_FORGET) * so_far
        closed = ended & ~np.isnan(so_far)
        state["so_far"] = so_far
        state["cycle_last"] = np.where(closed, so_far, state["cycle_last"])
        state["cycle_usual"] = np.where(
            closed, np.where(np.isnan(state["cycle_usual"]), so_far, usual), state["cycle_usual"]
        )

    def _shown(self, state: _State, index: Integers, hour: Integers, coming: Integers) -> tuple[Doubles, ...]:
        """Return the fields of :class:`DayHistory` at a hop's end."""
        usual = state["level"] / np.where(state["weight"] > 0, state["weight"], np.nan)
        ahead = (coming[:, None] + np.arange(HOURS)) % HOURS
        now = np.take_along_axis(usual, (hour % HOURS)[:, None, None], axis=2)[:, :, 0]
        known = state["happened"] != _NEVER
        since_s = (index[:, None] + 1 - np.where(known, state["happened"], 0)) * self._spec.hop_s
        return (
            now,
            np.take_along_axis(usual, ahead[:, None, :], axis=2),
            state["day_sum"] / np.where(state["day_count"] > 0, state["day_count"], np.nan),
            np.where(known, since_s / HOUR_S, np.nan),
            np.stack([state["so_far"], state["cycle_usual"], state["cycle_last"]], axis=2),
        )


def _turn(state: _State, hour: Integers) -> None:
    """Fold the hours that are over into the usual day, and begin new ones."""
    over = hour != state["hour"]
    place = np.arange(HOURS) == (state["hour"] % HOURS)[:, None]
    filled = (over & (state["hour"] != _NEVER))[:, None] & (state["count"] > 0)
    folded = filled[:, :, None] & place[:, None, :]
    mean = state["sum"] / np.where(state["count"] > 0, state["count"], 1.0)
    state["level"] = np.where(folded, FORGET * state["level"] + mean[:, :, None], state["level"])
    state["weight"] = np.where(folded, FORGET * state["weight"] + 1.0, state["weight"])
    day_over = (hour // HOURS) != (state["hour"] // HOURS)
    for name, ended in (("sum", over), ("count", over), ("day_sum", day_over), ("day_count", day_over)):
        state[name] = np.where(ended[:, None], 0.0, state[name])
    state["hour"] = hour
