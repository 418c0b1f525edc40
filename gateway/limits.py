"""Limits: alerts on a channel without a model, on its value or on how unusual it is for the device. Pure.

What is judged is the channel's mean over the newest hop of a window, so that one odd sample raises nothing, or its
distance from what is usual at this hour of the week (:mod:`gateway.usual`). It is made into a score for the judge: 0.5
at the limit, 0.4 where the alert clears.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from contract.domains import Channel, Domain
from contract.messages import Reason, Severity
from gateway.alerts import Rule
from gateway.frames import Frames

RAISE_AT: Final = 0.5
CLEAR_AT: Final = 0.4
_LEAST: Final = 1e-9
"""Hysteresis where none is wanted."""


class ChannelLimit(BaseModel):
    """An alert on one channel: above or below a value, or far from what is usual for the device, for a time."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    channel: str
    """Channel that is watched."""
    above: float | None = None
    """The alert rises at this value and over it, in the channel's unit. Set this, ``below`` or ``unusual``."""
    below: float | None = None
    """The alert rises at this value and under it."""
    unusual: float | None = Field(None, gt=0)
    """The alert rises at this distance from what is usual for the device at this hour of the week, in standard
    deviations. At 3.75 a healthy device raises less than one a week; the first days say nothing."""
    clear: float | None = None
    """Value at which it clears again, on the good side of the limit. Default: the limit; half of ``unusual``."""
    for_s: float = Field(0.0, ge=0)
    """How long the limit must be broken, seconds."""
    severity: Severity = "warning"
    """How urgent it is: info, warning or critical."""

    @model_validator(mode="after")
    def _sound(self) -> Self:
        if [self.above, self.below, self.unusual].count(None) != 2:
            raise ValueError("set one of above, below and unusual, and no two of them")
        if self.clear is not None and (self.clear - self.limit) * self.sign > 0:
            raise ValueError("clear is on the wrong side: an alert above 8 clears at 7.5, not at 8.5")
        return self

    @property
    def limit(self) -> float:
        """Where it rises."""
        return next(value for value in (self.above, self.below, self.unusual) if value is not None)

    @property
    def clears(self) -> float:
        """Where it clears."""
        if self.clear is not None:
            return self.clear
        return self.limit if self.unusual is None else 0.5 * self.unusual

    @property
    def sign(self) -> float:
        """1 where it rises above, -1 below."""
        return 1.0 if self.below is None else -1.0


@dataclass(frozen=True, slots=True)
class Limit:
    """A limit, ready to be judged."""

    name: str
    channel: Channel
    place: int
    """Place of the channel in the domain."""
    settings: ChannelLimit

    def rule(self, domain: Domain) -> Rule:
        """Return how the judge treats the score."""
        return Rule(
            name=self.name,
            domain=domain.name,
            kind="limit",
            severity=self.settings.severity,
            raise_at=RAISE_AT,
            clear_at=CLEAR_AT,
            raise_dwell_s=self.settings.for_s,
        )

    def scores(self, frames: Frames, hop_slots: int) -> NDArray[np.float32]:
        """Return a score a window, shape ``(n,)``; NaN where the newest hop has no value, or nothing is usual yet."""
        settings = self.settings
        span = max(abs(settings.limit - settings.clears), _LEAST)
        beyond = (self._judged(frames, hop_slots) - settings.limit) * settings.sign
        return np.clip(RAISE_AT + (RAISE_AT - CLEAR_AT) * beyond / span, 0.0, 1.0).astype(np.float32)

    def _judged(self, frames: Frames, hop_slots: int) -> NDArray[np.float64]:
        """Return what the limit is held against, shape ``(n,)``."""
        if self.settings.unusual is None:
            return self.means(frames, hop_slots)
        assert frames.history.usual is not None  # the plan's windows hold it where a limit asks for it
        return frames.history.usual.unusual[:, self.place]

    def means(self, frames: Frames, hop_slots: int) -> NDArray[np.float64]:
        """Return the channel's mean over the newest hop of each window, shape ``(n,)``."""
        newest = frames.values[:, -hop_slots:, self.place].astype(np.float64)
        count = np.count_nonzero(~np.isnan(newest), axis=1)
        return np.where(count > 0, np.nansum(newest, axis=1) / np.maximum(count, 1), np.nan)

    def why(self, frames: Frames, window: int, hop_slots: int) -> tuple[str, tuple[Reason, ...]]:
        """Return one sentence that says what broke the limit."""
        one = float(self.means(frames, hop_slots)[window])
        unit = "" if self.channel.unit == "1" else f" {self.channel.unit}"
        if self.settings.unusual is None:
            side = "above" if self.settings.sign > 0 else "below"
            held = f"{side} the limit of {self.settings.limit:g}{unit}"
        else:
            away = float(self._judged(frames, hop_slots)[window])
            held = f"{away:.1f} deviations from what is usual here at this hour, now and over the last half day"
        for_s = f" for {self.settings.for_s:g} s" if self.settings.for_s else ""
        return f"{self.channel.name} is {one:.4g}{unit}, {held}{for_s}", ()


def limits(stated: Mapping[str, ChannelLimit], domain: Domain) -> tuple[Limit, ...]:
    """Return checked limits of a domain."""
    names = domain.channel_names
    places = {name: names.index(limit.channel) for name, limit in stated.items()}
    return tuple(Limit(name, domain.channels[place], place, stated[name]) for name, place in places.items())
