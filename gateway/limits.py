"""Limits: alerts on a channel's value, without a model. Pure.

What is judged is the channel's mean over the newest hop of a window, so that one odd sample raises nothing. It is made
into a score for the judge: 0.5 at the limit, 0.4 where the alert clears.
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
    """An alert on one channel: above or below a value, for a time."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    channel: str
    """Channel that is watched."""
    above: float | None = None
    """The alert rises at this value and over it, in the channel's unit. Set this or ``below``."""
    below: float | None = None
    """The alert rises at this value and under it."""
    clear: float | None = None
    """Value at which it clears again, on the good side of the limit. Default: the limit."""
    for_s: float = Field(0.0, ge=0)
    """How long the limit must be broken, seconds."""
    severity: Severity = "warning"
    """How urgent it is: info, warning or critical."""

    @model_validator(mode="after")
    def _sound(self) -> Self:
        if (self.above is None) == (self.below is None):
            raise ValueError("above and below are both set or both missing: set one")
        if self.clear is not None and (self.clear - self.limit) * self.sign > 0:
            raise ValueError("clear is on the wrong side: an alert above 8 clears at 7.5, not at 8.5")
        return self

    @property
    def limit(self) -> float:
        """Where it rises."""
        return self.above if self.above is not None else self.below or 0.0

    @property
    def sign(self) -> float:
        """1 where it rises above, -1 below."""
        return 1.0 if self.above is not None else -1.0


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
        """Return a score a window, shape ``(n,)``; NaN where the newest hop has no value of the channel."""
        settings = self.settings
        clear = settings.limit if settings.clear is None else settings.clear
        span = max(abs(settings.limit - clear), _LEAST)
        beyond = (self.means(frames, hop_slots) - settings.limit) * settings.sign
        return np.clip(RAISE_AT + (RAISE_AT - CLEAR_AT) * beyond / span, 0.0, 1.0).astype(np.float32)

    def means(self, frames: Frames, hop_slots: int) -> NDArray[np.float64]:
        """Return the channel's mean over the newest hop of each window, shape ``(n,)``."""
        newest = frames.values[:, -hop_slots:, self.place].astype(np.float64)
        count = np.count_nonzero(~np.isnan(newest), axis=1)
        return np.where(count > 0, np.nansum(newest, axis=1) / np.maximum(count, 1), np.nan)

    def why(self, frames: Frames, window: int, hop_slots: int) -> tuple[str, tuple[Reason, ...]]:
        """Return one sentence that says what broke the limit."""
        one = float(self.means(frames, hop_slots)[window])
        side = "above" if self.settings.sign > 0 else "below"
        for_s = f" for {self.settings.for_s:g} s" if self.settings.for_s else ""
        unit = "" if self.channel.unit == "1" else f" {self.channel.unit}"
        text = f"{self.channel.name} is {one:.4g}{unit}, {side} the limit of {self.settings.limit:g}{unit}{for_s}"
        return text, ()


def limits(stated: Mapping[str, ChannelLimit], domain: Domain) -> tuple[Limit, ...]:
    """Return checked limits of a domain."""
    names = domain.channel_names
    places = {name: names.index(limit.channel) for name, limit in stated.items()}
    return tuple(Limit(name, domain.channels[place], place, stated[name]) for name, place in places.items())
