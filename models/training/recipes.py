"""One recipe a domain: the world, the window, the inputs, the label, the net. Everything else is the same for all."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Final

import numpy as np

from contract.messages import Severity
from gateway.frames import WindowSpec
from gateway.inference.manifest import Window
from models.training.augment import Augmentation
from models.training.dataset import Labeller
from models.training.network import Net
from models.training.recorded import Folder
from models.training.simulate import FIRST_SEED, Fleet, Recording
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
MAKE_SEED: Final = 50_000
"""Offset of the seeds of drawn recordings of another make."""
RAISE_AT: Final = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
"""Scores at which an alert may be raised, where a recipe names no others."""
CLEAR_SHARE: Final = 0.5
"""``clear_at`` as a share of ``raise_at``: wide enough that a score on the edge does not flap."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NaiveRule:
    """A feature taken as the score: what one reaches without a model."""

    name: str
    feature: str
    sign: float = 1.0
    """-1 where low values are the alarming ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Make:
    """Recordings of another make beside the fleets of the world, so that the model does not learn one make by heart.

    They are trained on and validated against; alerts are asked of the world's fleets alone.
    """

    name: str
    """Name of its validation set."""
    words: str
    """What they are, for the card."""
    labeller: Labeller
    share: float
    """Share of the training's weight, 0 … 1; what the makes leave is the fleets'."""
    positives: float = 0.5
    """Part of that share which positive rows have. More than half lifts the scores of these devices, so that faults
    too small to be sure of still reach a threshold that the fleets ask for; and more that is none does too."""
    period_s: float
    """Time between two samples, seconds."""
    min_coverage: float | None = None
    """Share of a window's samples that is enough here, as a site would set it; the window's own where none is given."""

    def spec(self, window: Window) -> WindowSpec:
        """Return the shelf's windows as a site with such devices would cut them."""
        spec = window.spec.at_period(self.period_s)
        return spec if self.min_coverage is None else replace(spec, min_coverage=self.min_coverage)


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn(Make):
    """Devices that are known by their statistics alone, and drawn."""

    make: Callable[[Fleet], Recording]
    fleets: dict[str, int]
    """Fleets of the parts ``train`` and ``validation``, no more than the recipe has."""
    devices: int
    life_s: float
    """Length of a device's life, seconds."""

    def fleet(self, planned: Fleet) -> Fleet:
        """Return the fleet that stands beside a planned one: its time, a seed and a site of its own."""
        return replace(
            planned,
            seed=planned.seed + MAKE_SEED,
            length_s=self.life_s,
            live_s=0.5 * self.life_s,
            devices=self.devices,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded(Make):
    """Recorded public data under a licence that permits it, read from the user's folder.

    Of the devices and of the time, the last share is held out for validation, an embargo in between.
    """

    read: Callable[[Folder, float], Recording]
    """``read(folder, until_s)``: what the devices sent before a time; nothing later may show in anything."""
    files: tuple[str, ...]
    """Patterns of the files below the folder."""
    licence: str
    """As the source states it."""
    attribution: str
    """Who made the data and where it is to be had."""
    scored_from_s: float
    """Rows from here on are what evaluation scores, Unix seconds."""
    embargo_s: float
    """This much before the scored rows, and between training and validation, is left out; longer than a label looks
    ahead, seconds."""
    held_out: float = 0.2

    @property
    def until_s(self) -> float:
        """Time before which samples may be learned from, Unix seconds."""
        return self.scored_from_s - self.embargo_s


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
    makes: tuple[Drawn | Recorded, ...] = ()
    """Recordings of another make, drawn or recorded."""
    augmentations: tuple[Augmentation, ...] = ()
    """How training fleets are bent and taken again."""
    dwell_hops: tuple[int, ...] = (0, 1, 2, 3)
    raise_at: tuple[float, ...] = RAISE_AT
    """Scores at which an alert may be raised: the candidates."""
    clear_share: float = CLEAR_SHARE
    """Higher where a score may stay well above 0 on a healthy device, and an alert must end all the same."""
    cooldown_s: float
    naive: tuple[NaiveRule, ...] = ()

    @property
    def margin_s(self) -> float:
        """A fault that begins less than this before the end of the data is not asked for, seconds."""
        spec = self.window.spec
        shortest_s = min(event.duration_s[0] for event in self.world().events if event.kind == "fault")
        return max(spec.length_s + spec.lateness_s, shortest_s / 2.0)

    @property
    def recorded(self) -> tuple[Recorded, ...]:
        """The makes that are read from the user's folder."""
        return tuple(make for make in self.makes if isinstance(make, Recorded))

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
