"""Shelves of a shop: what empties them before the next round of staff, and what only looks like it.

The alert to be learned is "stock-out within 3 h". Each fault therefore empties the shelf within its span if nobody
steps in; normal life and the look-alikes never do. The physics stands in ``simulator/shelf.py``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Final, Self

import numpy as np

from contract.domains import RETAIL
from contract.topics import device_id
from simulator.shelf import HOUR_S, Shelf, ShelfPlant, draw_discount
from simulator.weather import Weather
from simulator.worlds import EventType, Fault, Plant, World


@dataclass(frozen=True, slots=True, kw_only=True)
class _Span:
    onset_s: float
    end_s: float

    def holds(self, t_s: float) -> bool:
        return self.onset_s <= t_s < self.end_s


@dataclass(frozen=True, slots=True, kw_only=True)
class DemandSurge(_Span):
    """More people come, and more of them buy, than the plan expects: rounds are too few."""

    label: ClassVar[str] = "demand_surge"
    crowd: float
    appetite: float

    @classmethod
    def draw(cls, onset_s: float, end_s: float, rng: np.random.Generator) -> Self:
        """Draw a surge of about three to five times the planned sales."""
        crowd, appetite = float(rng.uniform(1.3, 1.7)), float(rng.uniform(2.4, 3.0))
        return cls(onset_s=onset_s, end_s=end_s, crowd=crowd, appetite=appetite)

    def bend(self, parameters: Shelf, t_s: float) -> Shelf:
        """Raise passers and conversion."""
        return replace(parameters, crowd=self.crowd, appetite=self.appetite) if self.holds(t_s) else parameters


@dataclass(frozen=True, slots=True, kw_only=True)
class MissedReplenishment(_Span):
    """No goods in the store room: rounds come with nothing until the delivery arrives at the end."""

    label: ClassVar[str] = "missed_replenishment"

    @classmethod
    def draw(cls, onset_s: float, end_s: float, _rng: np.random.Generator) -> Self:
        """Nothing to draw: there are goods, or there are none."""
        return cls(onset_s=onset_s, end_s=end_s)

    def bend(self, parameters: Shelf, t_s: float) -> Shelf:
        """Take the supply away."""
        return replace(parameters, supplied=False) if self.holds(t_s) else parameters


@dataclass(frozen=True, slots=True, kw_only=True)
class Theft(_Span):
    """Goods leave without a sale; the books still count them, so none are sent until someone counts at the end."""

    label: ClassVar[str] = "theft"
    lasting_s: float
    share: float
    """Share of the full shelf that is taken within ``lasting_s``."""

    @classmethod
    def draw(cls, onset_s: float, end_s: float, rng: np.random.Generator) -> Self:
        """Draw a theft of a third to half of the shelf within five minutes to an hour."""
        lasting_s = float(rng.uniform(300.0, 3600.0))
        return cls(onset_s=onset_s, end_s=end_s, lasting_s=lasting_s, share=float(rng.uniform(0.35, 0.5)))

    def bend(self, parameters: Shelf, t_s: float) -> Shelf:
        """Let goods vanish for a while, and keep the store room shut until the end."""
        if not self.holds(t_s):
            return parameters
        per_min = self.share * 60.0 / self.lasting_s if t_s < self.onset_s + self.lasting_s else 0.0
        return replace(parameters, stolen_per_min=per_min, supplied=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedRestock(_Span):
    """Staff take goods down to clean and sort, then fill the shelf: the weight jumps, and nothing is wrong."""

    label: ClassVar[str] = "planned_restock"
    cleared_to: float

    @classmethod
    def draw(cls, onset_s: float, end_s: float, rng: np.random.Generator) -> Self:
        """Draw how far the shelf is cleared."""
        return cls(onset_s=onset_s, end_s=end_s, cleared_to=float(rng.uniform(0.4, 0.6)))

    def bend(self, parameters: Shelf, t_s: float) -> Shelf:
        """Clear the shelf down to a level."""
        return replace(parameters, cleared_to=self.cleared_to) if self.holds(t_s) else parameters


@dataclass(frozen=True, slots=True, kw_only=True)
class Promotion(_Span):
    """A discount that the plan knows: more sales, and as many more rounds."""

    label: ClassVar[str] = "promotion"
    discount_fraction: float

    @classmethod
    def draw(cls, onset_s: float, end_s: float, rng: np.random.Generator) -> Self:
        """Draw the discount."""
        return cls(onset_s=onset_s, end_s=end_s, discount_fraction=draw_discount(rng))

    def bend(self, parameters: Shelf, t_s: float) -> Shelf:
        """Lower the price."""
        if not self.holds(t_s):
            return parameters
        return replace(parameters, discount_fraction=self.discount_fraction)


def plants(
    site: str,
    names: Sequence[str],
    *,
    seed: int,
    start_s: float,
    faults: Mapping[str, Sequence[Fault[Shelf]]],
) -> list[Plant]:
    """Return one plant a facing; those of a site share its weather."""
    weather = Weather(site, seed)
    return [
        ShelfPlant(device_id(site, RETAIL.name, name), weather, seed=seed, start_s=start_s, faults=faults.get(name, ()))
        for name in names
    ]


WORLD: Final = World(
    domain=RETAIL,
    warm_up_s=3.0 * HOUR_S,
    plants=plants,
    events=(
        EventType(
            label=DemandSurge.label,
            kind="fault",
            duration_s=(3.5 * HOUR_S, 5.0 * HOUR_S),
            make=DemandSurge.draw,
            aftermath_s=2.5 * HOUR_S,
            hours=(9.5, 16.5),
        ),
        EventType(
            label=MissedReplenishment.label,
            kind="fault",
            duration_s=(5.5 * HOUR_S, 7.0 * HOUR_S),
            make=MissedReplenishment.draw,
            aftermath_s=HOUR_S,
            hours=(9.0, 14.5),
        ),
        EventType(
            label=Theft.label,
            kind="fault",
            duration_s=(4.5 * HOUR_S, 6.0 * HOUR_S),
            make=Theft.draw,
            aftermath_s=HOUR_S,
            hours=(9.5, 15.5),
        ),
        EventType(
            label=PlannedRestock.label,
            kind="look_alike",
            duration_s=(600.0, 2400.0),
            make=PlannedRestock.draw,
            aftermath_s=1800.0,
            hours=(7.5, 20.5),
        ),
        EventType(
            label=Promotion.label,
            kind="look_alike",
            duration_s=(4.0 * HOUR_S, 8.0 * HOUR_S),
            make=Promotion.draw,
            hours=(7.0, 14.0),
        ),
    ),
)
"""Stock-out: events, plants and warm-up."""
