"""Shelves: goods are neither made nor lost, faults empty a shelf, and what only looks like one does not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from statistics import mean, stdev

import pytest

from contract.domains import RETAIL
from simulator.retail import WORLD
from simulator.shelf import CLOSE_H, HOUR_S, OPEN_H, Moved, Shelf, ShelfPlant
from simulator.worlds import EventType, Fault, generator

MONDAY_S = 1_700_438_400.0  # 2023-11-20 00:00 UTC
MINUTE_S = 60.0
HOURS_OF_NIGHT = 9
EMPTY = 0.02
FAULTS = [event for event in WORLD.events if event.kind == "fault"]
LOOK_ALIKES = [event for event in WORLD.events if event.kind == "look_alike"]


class Watched:
    """A shelf that was run, with what it measured and what really stood on it."""

    def __init__(self, seed: int, hours: float, faults: Sequence[Fault[Shelf]] = (), start_s: float = MONDAY_S) -> None:
        """Run it at once, minute by minute."""
        (plant,) = WORLD.plants("shop", ["milk"], seed=seed, start_s=start_s, faults={"milk": faults})
        assert isinstance(plant, ShelfPlant)
        self.shelf = plant.shelf
        self.times_s: list[float] = []
        self.readings: list[Mapping[str, float]] = []
        self.moved: list[Moved] = []
        self.stock_units = [plant.stock_units]
        for minute in range(int(hours * 60)):
            self.times_s.append(start_s + minute * MINUTE_S)
            self.readings += plant.step(self.times_s[-1])
            self.moved.append(plant.moved)
            self.stock_units.append(plant.stock_units)

    def stock_between(self, from_s: float, to_s: float) -> list[float]:
        """Return the share of the shelf that really stood there after each minute of a span."""
        after = zip(self.times_s, self.stock_units[1:], strict=True)
        return [units / self.shelf.capacity_units for t_s, units in after if from_s <= t_s < to_s]

    def brought(self, from_s: float, to_s: float) -> int:
        """Return the units that staff brought within a span."""
        return sum(moved.refilled for t_s, moved in zip(self.times_s, self.moved, strict=True) if from_s <= t_s < to_s)

    def total(self, channel: str, from_s: float, to_s: float) -> float:
        """Return the sum of a channel over a span."""
        pairs = zip(self.times_s, self.readings, strict=True)
        return sum(reading[channel] for t_s, reading in pairs if from_s <= t_s < to_s)


def drawn(event: EventType, seed: int) -> Fault[Shelf]:
    """Draw an event of a type as a fleet does, somewhere in its hours on one of the days of a week."""
    rng = generator(seed, "test", event.label)
    onset_s = MONDAY_S + 86400.0 * (seed % 7) + HOUR_S * float(rng.uniform(*event.hours))
    return event.make(onset_s, onset_s + float(rng.uniform(*event.duration_s)), rng)


def watched_with(fault: Fault[Shelf], seed: int, aftermath_s: float = 0.0) -> Watched:
    """Run a shelf over the day of a fault until its effect is gone."""
    start_s = fault.onset_s - fault.onset_s % 86400.0
    return Watched(seed, (fault.end_s + aftermath_s - start_s) / HOUR_S, [fault], start_s)


@pytest.fixture(scope="module")
def week() -> Watched:
    """Run a week of normal life."""
    return Watched(3, 7 * 24)


def test_same_seed_gives_the_same_readings() -> None:
    """Nothing but the seed decides; another seed gives another shelf."""
    assert Watched(5, 12).readings == Watched(5, 12).readings
    assert Watched(5, 12).readings != Watched(6, 12).readings


def test_shelf_does_not_depend_on_its_neighbours() -> None:
    """The same device measures the same whether it stands alone, last of three, or beside a faulty one."""
    surge = drawn(WORLD.event("demand_surge"), seed=0)

    def run(names: Sequence[str]) -> list[Mapping[str, float]]:
        plants = WORLD.plants("shop", names, seed=1, start_s=MONDAY_S, faults={"bread": [surge]})
        readings: list[Mapping[str, float]] = []
        for minute in range(18 * 60):
            by_name = {plant.devices[0].device: plant.step(MONDAY_S + minute * MINUTE_S)[0] for plant in plants}
            readings.append(by_name["milk"])
        return readings

    assert run(["milk"]) == run(["eggs", "bread", "milk"])


@pytest.mark.parametrize("event", WORLD.events, ids=lambda event: event.label)
def test_goods_are_neither_made_nor_lost(event: EventType) -> None:
    """Stock after a minute is stock before, less what was sold and stolen, plus what was brought."""
    watched = watched_with(drawn(event, seed=2), seed=2)

    for (before, after), moved in zip(pairwise(watched.stock_units), watched.moved, strict=True):
        assert after == before - moved.sold - moved.stolen + moved.refilled
        assert 0 <= after <= watched.shelf.capacity_units
        assert moved.sold <= before


def test_reported_sales_are_the_units_sold(week: Watched) -> None:
    """The till and the shelf agree."""
    assert [reading["sales_per_min"] for reading in week.readings] == [moved.sold for moved in week.moved]


def test_closed_shop_sells_nothing(week: Watched) -> None:
    """Nobody passes and nothing is sold outside opening hours; in them both happen."""
    for t_s, reading in zip(week.times_s, week.readings, strict=True):
        if not OPEN_H * HOUR_S <= t_s % 86400.0 < CLOSE_H * HOUR_S:
            assert reading["sales_per_min"] == reading["footfall_per_min"] == 0.0
    assert week.total("sales_per_min", MONDAY_S, MONDAY_S + 86400.0) > week.shelf.capacity_units


def test_night_begins_and_ends_full(week: Watched) -> None:
    """Staff fill the shelf after closing, so that the morning is not short of goods."""
    for day in range(6):
        close_s = MONDAY_S + day * 86400.0 + CLOSE_H * HOUR_S
        night = week.stock_between(close_s + HOUR_S, close_s + HOURS_OF_NIGHT * HOUR_S)
        assert min(night) == 1.0


def test_load_cell_is_never_at_rest(week: Watched) -> None:
    """Even on a full shelf at night the cell trembles by its noise: an exact flat line means a broken sensor."""
    night = [reading["stock_fraction"] for reading in week.readings[: int(OPEN_H * 60)]]
    assert all(before != after for before, after in pairwise(night))
    # neighbours differ by two independent errors of at least 0.4 %; creep and temperature are far slower
    assert stdev(after - before for before, after in pairwise(night)) > 0.004


@pytest.mark.parametrize("seed", range(14))
def test_normal_shelf_stays_a_quarter_full(seed: int) -> None:
    """Rounds follow the plan closely enough that normal days, promotions among them, never come near a stock-out."""
    start_s = MONDAY_S + 86400.0 * (seed % 7)
    watched = Watched(seed, 24, start_s=start_s)
    assert min(watched.stock_between(start_s, start_s + 86400.0)) > 0.25


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("event", FAULTS, ids=lambda event: event.label)
def test_fault_empties_the_shelf_and_its_aftermath_fills_it(event: EventType, seed: int) -> None:
    """Unless somebody steps in, the shelf runs empty before the fault ends; within the aftermath it is filled."""
    fault = drawn(event, seed)
    watched = watched_with(fault, seed, event.aftermath_s)

    assert min(watched.stock_between(fault.onset_s, fault.end_s)) <= EMPTY
    assert max(watched.stock_between(fault.end_s, fault.end_s + event.aftermath_s)) > 0.9


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("event", LOOK_ALIKES, ids=lambda event: event.label)
def test_look_alike_never_empties_the_shelf(event: EventType, seed: int) -> None:
    """What only looks like a fault leaves at least a quarter on the shelf, until its effect is gone."""
    alike = drawn(event, seed)
    watched = watched_with(alike, seed, event.aftermath_s)
    assert min(watched.stock_between(alike.onset_s, alike.end_s + event.aftermath_s)) > 0.25


def test_surge_sells_more_than_the_same_day_without_it() -> None:
    """In the first half hour, before the shelf is empty, sales and passers both rise well above the normal day's."""
    ratios = []
    for seed in range(5):
        surge = drawn(WORLD.event("demand_surge"), seed)
        span = (surge.onset_s, surge.onset_s + 0.5 * HOUR_S)
        start_s = surge.onset_s - surge.onset_s % 86400.0
        bent, normal = watched_with(surge, seed), Watched(seed, 24, start_s=start_s)
        assert bent.total("footfall_per_min", *span) > normal.total("footfall_per_min", *span)
        ratios.append(bent.total("sales_per_min", *span) / normal.total("sales_per_min", *span))
    assert mean(ratios) > 2.0


def test_missed_replenishment_brings_nothing_until_its_end() -> None:
    """The same day without the fault has rounds in that span; with it the first goods come at the end."""
    fault = drawn(WORLD.event("missed_replenishment"), seed=4)
    watched = watched_with(fault, 4, HOUR_S)
    normal = Watched(4, 24, start_s=fault.onset_s - fault.onset_s % 86400.0)

    assert watched.brought(fault.onset_s, fault.end_s) == 0
    assert normal.brought(fault.onset_s, fault.end_s) > 0
    assert watched.brought(fault.end_s, fault.end_s + HOUR_S) > 0.9 * watched.shelf.capacity_units


def test_theft_takes_what_was_not_sold() -> None:
    """Stock falls by more than the sales of the span; without a theft nothing ever vanishes."""
    theft = drawn(WORLD.event("theft"), seed=1)
    watched = watched_with(theft, 1)
    stolen = [moved.stolen for moved in watched.moved]

    assert sum(stolen) >= 0.3 * watched.shelf.capacity_units
    assert sum(stolen[: int((theft.onset_s % 86400.0) // MINUTE_S)]) == 0


def test_promotion_is_visible_and_matched() -> None:
    """A promotion shows its discount, sells more than the plain day and is brought more."""
    compared = 0
    for seed in range(5):
        promotion = drawn(WORLD.event("promotion"), seed)
        span = (promotion.onset_s, promotion.end_s)
        promoted = watched_with(promotion, seed)
        plain = Watched(seed, 24, start_s=promotion.onset_s - promotion.onset_s % 86400.0)
        if plain.total("discount_fraction", *span) > 0.0:
            continue  # a day with a promotion of its own has nothing to compare with
        compared += 1
        assert promoted.total("discount_fraction", *span) > 0.0
        assert promoted.total("sales_per_min", *span) > plain.total("sales_per_min", *span)
        assert promoted.brought(*span) > plain.brought(*span)
    assert compared > 0


@pytest.mark.parametrize("event", WORLD.events, ids=lambda event: event.label)
def test_readings_stay_within_the_channels_ranges(event: EventType) -> None:
    """No event makes a shelf measure what its channel table calls impossible."""
    for seed in range(3):
        for reading in watched_with(drawn(event, seed), seed, event.aftermath_s).readings:
            assert list(reading) == list(RETAIL.channel_names)
            assert all(channel.low <= reading[channel.name] <= channel.high for channel in RETAIL.channels)


@pytest.mark.parametrize("event", WORLD.events, ids=lambda event: event.label)
def test_fault_bends_nothing_outside_its_span(event: EventType) -> None:
    """Before its onset and from its end on, a fault returns the parameters as they were."""
    fault = drawn(event, seed=8)
    shelf = Watched(8, 0).shelf
    assert fault.bend(shelf, fault.onset_s - 1.0) == shelf
    assert fault.bend(shelf, fault.end_s) == shelf
    assert fault.bend(shelf, fault.onset_s + 1.0) != shelf
