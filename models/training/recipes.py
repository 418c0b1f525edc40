"""One recipe a domain: the world, the window, the inputs, the label, the net. Everything else is the same for all."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

import numpy as np

from contract.messages import Severity
from gateway.inference.manifest import Window
from models.training.dataset import Labeller
from models.training.network import Net
from models.training.simulate import FIRST_SEED, Fleet
from simulator.events import Shares
from simulator.worlds import World

HOUR_S: Final = 3600.0
DAY_S: Final = 86400.0

ORDINARY: Final = Shares()
"""The demo's own mix."""
MOSTLY_HARMLESS: Final = Shares(faults=0.25, look_alikes=0.65, device_faults=0.2)
"""Many events that only look like faults: a model that calls everything unusual a fault fails here."""

YEARS: Final = {"train": 2023, "validation": 2024, "test": 2025}
"""Calendar years of the parts: each part has its own, so no two meet in time."""
FIRST: Final = {"train": 0, "validation": 100_000, "test": 200_000}
"""Offsets of the parts' seeds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NaiveRule:
    """A feature taken as the score: what one reaches without a model."""

    name: str
    feature: str
    sign: float = 1.0
    """-1 where low values are the alarming ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How one shelf is made."""

    world: Callable[[], World]
    rule: str
    severity: Severity
    meaning: str
    version: str
    window: Window
    features: tuple[str, ...]
    labeller: Callable[[World], Labeller]
    label_words: str
    """What a positive row is, for the card."""
    net: Net = field(default_factory=Net)
    clip: float = 6.0
    devices: int = 20
    """Devices of a fleet."""
    life_s: float
    """Length of a device's life in training, seconds."""
    shown_s: tuple[float, float]
    """History and live part of a device in the demo, seconds; validation and test are cut like it."""
    fleets: dict[str, int]
    """Fleets of each part."""
    dwell_hops: tuple[int, ...] = (0, 1, 2, 3)
    cooldown_s: float
    naive: tuple[NaiveRule, ...] = ()

    @property
    def margin_s(self) -> float:
        """A fault that begins less than this before the end of the data is not asked for, seconds."""
        spec = self.window.spec
        shortest_s = min(event.duration_s[0] for event in self.world().events if event.kind == "fault")
        return max(spec.length_s + spec.lateness_s, shortest_s / 2.0)

    def plan(self, part: str) -> list[Fleet]:
        """Return the fleets of a part: seeds and times of their own, spread over seasons, weekdays and hours."""
        rng = np.random.default_rng([FIRST_SEED, FIRST[part]])
        year_s = datetime(YEARS[part], 1, 2, tzinfo=UTC).timestamp()
        count = self.fleets[part]
        # seasons in turn, so that few fleets still see all of them; hours at random
        days = (np.arange(count) + rng.uniform(0.0, 1.0, count)) * 350.0 / count
        return [
            Fleet(
                seed=FIRST_SEED + FIRST[part] + number,
                start_s=year_s + math.floor(day * 24.0) * HOUR_S,
                length_s=self.life_s if part == "train" else sum(self.shown_s),
                live_s=0.5 * self.life_s if part == "train" else self.shown_s[1],
                devices=self.devices,
            )
            for number, day in enumerate(days)
        ]
