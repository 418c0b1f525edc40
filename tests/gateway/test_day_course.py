"""The usual day, events and cycles against pandas and definitions written out."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contract.domains import Channel, Domain
from gateway.calendars import Calendar
from gateway.day_course import CYCLE_FORGET, FORGET
from gateway.features import RANGE_FLOOR, FeatureSet
from gateway.frames import Cycle, Events, WindowSpec
from gateway.windows import Windows

DOMAIN = Domain(
    name="test",
    device="test",
    period_s=600.0,
    channels=tuple(
        Channel(name=n, unit="1", low=0.0, high=high, description="") for n, high in (("stock", 1.0), ("sales", 1e3))
    ),
)
SPEC = WindowSpec(
    length_s=3600.0,
    hop_s=1800.0,
    period_s=600.0,
    lateness_s=0.0,
    events=(
        Events(name="refill", channel="stock", above=0.5),
        Events(name="out", channel="stock", above=0.1, falling=True),
    ),
    courses=("sales",),
    cycles=(Cycle(name="sold", channel="sales", starts="refill", ends="out"),),
)
MONDAY = float(pd.Timestamp("2024-03-25", tz="UTC").timestamp())
NAMES = ("sales_today", "sales_by_hour", "sales_by_hour_3h", "out_since", "out_by_hour_3h", "sold_sofar", "sold_usual")


def compute(
    values: np.ndarray[Any, Any], *names: str, start_s: float = MONDAY, zone: str = "UTC", batches: int = 1
) -> pd.DataFrame:
    """Return features of one device that sends these rows (stock, sales), one in ten minutes, by window end."""
    calendar = Calendar(zone)
    windows, frames = Windows(DOMAIN, SPEC, calendar), []
    times_s = np.asarray(start_s + DOMAIN.period_s * np.arange(len(values)), np.float64)
    for rows in np.array_split(np.arange(len(values)), batches):
        windows.add(np.zeros(len(rows), np.int64), times_s[rows], values[rows].astype(np.float32))
        frames += windows.close()
    windows.flush()
    frames += [frame for frame in windows.close() if len(frame)]
    found = np.concatenate([FeatureSet(names, DOMAIN, SPEC, calendar).compute(frame) for frame in frames])
    return pd.DataFrame(found, index=np.concatenate([frame.end_s for frame in frames]), columns=list(names))


def days(count: int, seed: int = 0) -> np.ndarray[Any, Any]:
    """Return rows of a shelf that is refilled at 6 and empty from some time of the afternoon on."""
    rng = np.random.default_rng(seed)
    hour = np.arange(count * 144) % 144 / 6.0
    empty_from = np.repeat(rng.integers(13, 20, count), 144)
    stock = ((hour >= 6) & (hour < empty_from)).astype(np.float32)
    return np.stack([stock, stock * rng.poisson(3.0, len(hour))], axis=1)


def test_today_is_the_mean_since_local_midnight_on_the_days_clocks_change_too() -> None:
    """Berlin, the last Sunday of March: a day of 23 hours."""
    values = days(9)
    found = compute(values, "sales_today", zone="Europe/Berlin")["sales_today"]
    times = pd.to_datetime(MONDAY + 600.0 * np.arange(len(values)), unit="s", utc=True).tz_convert("Europe/Berlin")
    sales = pd.Series(values[:, 1], index=times)
    expanding = sales.groupby(times.date).expanding().mean()
    ends = pd.to_datetime(found.index - 600.0, unit="s", utc=True).tz_convert("Europe/Berlin")
    np.testing.assert_allclose(found, [expanding[end.date(), end] for end in ends], rtol=1e-5)


def test_usual_is_the_forgetting_mean_of_the_same_hour_on_earlier_days() -> None:
    """A gap of a whole day is no day; the hour that is not over yet has no say."""
    values = days(8)
    values[3 * 144 : 4 * 144] = np.nan
    found = compute(values, "sales_by_hour", "sales_by_hour_3h")
    by_day = values[:, 1].reshape(8, 24, 6).mean(axis=2)

    def usual(day: int, hour: int) -> float:
        past = by_day[: day + (hour < 0), hour % 24]
        past = past[~np.isnan(past)]
        return float(np.average(past, weights=FORGET ** np.arange(len(past))[::-1])) if len(past) else math.nan

    for day, hour in ((1, 9), (4, 9), (5, 15), (7, 20)):
        row = found.loc[MONDAY + 86400.0 * day + 3600.0 * (hour + 1)]
        assert row["sales_by_hour"] == pytest.approx(usual(day, hour), rel=1e-5)
        coming = np.mean([usual(day, hour + ahead) for ahead in (1, 2, 3)])
        assert row["sales_by_hour_3h"] == pytest.approx(coming, rel=1e-5)


def test_events_are_expected_at_their_hours_and_time_since_is_counted_in_hops() -> None:
    """Empty at 15 h on four days of five: four in five are expected from 12 to 15 h, the older days weighing less."""
    hour = np.arange(5 * 144) % 144 / 6.0
    stock = ((hour >= 6) & ((hour < 15) | (np.arange(5 * 144) // 144 == 2))).astype(np.float32)
    stock[2 * 144 + 143] = 0.0  # the third day's ends at night
    found = compute(np.stack([stock, stock], axis=1), "out_by_hour_3h", "out_since", "refill_since")
    weights = FORGET ** np.arange(4)[::-1]
    at_13 = found.loc[MONDAY + 4 * 86400.0 + 13 * 3600.0]
    assert at_13["out_by_hour_3h"] == pytest.approx(np.average([1, 1, 0, 1], weights=weights), rel=1e-5)
    assert at_13["out_since"] == pytest.approx(math.log1p(22.0), rel=1e-5)
    assert at_13["refill_since"] == pytest.approx(math.log1p(7.0), rel=1e-5)


def test_nothing_is_known_before_the_first_event() -> None:
    found = compute(np.ones((30, 2)), "out_since", "sold_usual", "sold_sofar", "sales_by_hour")
    assert found.iloc[-1].isna()[["out_since", "sold_usual", "sold_sofar"]].all()


def test_a_cycle_adds_up_from_refill_to_empty_and_forgets_older_cycles() -> None:
    values = days(6, seed=3)
    found = compute(values, "sold_sofar", "sold_usual", "sold_last", "sold_left", "sold_left_log")
    # the sample that finds the shelf empty sells nothing; units times hours
    sold = values[:, 1].reshape(6, 144).sum(axis=1) / 6.0
    usual = sold[0]
    for one in sold[1:5]:
        usual = CYCLE_FORGET * usual + (1.0 - CYCLE_FORGET) * one
    row = found.loc[MONDAY + 5 * 86400.0 + 12 * 3600.0]
    so_far = values[5 * 144 : 5 * 144 + 72, 1].sum() / 6.0
    assert row["sold_last"] == pytest.approx(sold[4], rel=1e-5)
    assert row["sold_usual"] == pytest.approx(usual, rel=1e-5)
    assert row["sold_sofar"] == pytest.approx(so_far, rel=1e-5)
    left = usual - so_far
    assert row["sold_left_log"] == pytest.approx(np.sign(left) * np.log1p(abs(left) / (RANGE_FLOOR * 1e3)), rel=1e-4)


@settings(max_examples=10, deadline=None)
@given(st.integers(2, 40), st.integers(0, 5), st.sampled_from(["UTC", "Europe/Berlin", "Asia/Kolkata"]))
def test_results_are_the_same_to_the_bit_however_samples_are_batched(batches: int, seed: int, zone: str) -> None:
    values = days(4, seed)
    values[np.random.default_rng(seed).random(values.shape) < 0.2] = np.nan
    whole, parts = (compute(values, *NAMES, zone=zone, batches=count) for count in (1, batches))
    pd.testing.assert_frame_equal(whole, parts, check_exact=True)


@settings(max_examples=10, deadline=None)
@given(st.integers(1, 500), st.integers(0, 5))
def test_nothing_is_known_of_later_samples(at: int, seed: int) -> None:
    values = days(4, seed)
    changed = values.copy()
    changed[at:] = 1.0 - changed[at:]
    before, after = compute(values, *NAMES), compute(changed, *NAMES)
    past = before.index <= MONDAY + 600.0 * at
    pd.testing.assert_frame_equal(before[past], after[past], check_exact=True)
