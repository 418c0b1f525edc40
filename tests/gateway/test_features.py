# ruff: noqa: PD011 - a frame's values are an array, not pandas'
"""Features against numpy, pandas and scipy: each name means what the table in the module says."""

from __future__ import annotations

import math
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from contract.domains import Channel, Domain
from gateway.calendars import Calendar
from gateway.circular import MAX_CONCENTRATION, concentration, direction, unusual
from gateway.features import CALENDAR, WINDOW_STATISTICS, FeatureSet, fill, horizon_s
from gateway.frames import Events, Frames, WindowSpec
from gateway.window_statistics import WindowStatistics
from gateway.windows import Windows

DOMAIN = Domain(
    name="test",
    device="test",
    period_s=60.0,
    channels=tuple(Channel(name=n, unit="1", low=-1000.0, high=1000.0, description="") for n in ("a", "b", "c")),
)
SPEC = WindowSpec(
    length_s=600.0,
    hop_s=300.0,
    period_s=60.0,
    lateness_s=0.0,
    calibration_s=7200.0,
    horizons_s=(3600.0,),
    buckets=12,
    monitor=True,
    events=(Events(name="meal", channel="a", above=500.0),),
)
START = 1_700_000_400.0


def frames_of(values: np.ndarray[Any, Any], *, start: float = START, period_s: float = 60.0) -> Frames:
    """All windows of one device that sends these rows, one a period."""
    windows = Windows(DOMAIN, SPEC)
    ts = np.asarray(start + np.arange(len(values)) * period_s, np.float64)
    windows.add(np.zeros(len(ts), np.int64), ts, values.astype(np.float32))
    windows.flush()
    closed = windows.close()
    return _joined(closed)


def _joined(parts: list[Frames]) -> Frames:
    """Frames of one device, closed in several steps, as one."""
    joined = parts[0]
    for part in parts[1:]:
        joined = _concatenated(joined, part)
    return joined


def _concatenated(first: Any, second: Any) -> Any:
    if isinstance(first, dict):
        return {key: _concatenated(first[key], second[key]) for key in first}
    if first is None:
        return None
    if is_dataclass(first) and not isinstance(first, type):
        return type(first)(*(_concatenated(getattr(first, f.name), getattr(second, f.name)) for f in fields(first)))
    return np.concatenate([first, second])


def compute(frames: Frames, *names: str, calendar: Calendar | None = None) -> np.ndarray[Any, Any]:
    return FeatureSet(names, DOMAIN, SPEC, calendar).compute(frames)


ROWS = st.lists(
    st.lists(st.one_of(st.just(math.nan), st.floats(-500, 500, width=32)), min_size=3, max_size=3),
    min_size=11,
    max_size=60,
).filter(lambda rows: not all(math.isnan(x) for row in rows for x in row))


@settings(max_examples=60, deadline=None)
@given(ROWS)
def test_window_statistics_are_those_of_pandas(rows: list[list[float]]) -> None:
    """Rolling over ten samples with gaps, equal values or one sample: the same as pandas' rolling windows."""
    frames = frames_of(np.array(rows))
    got = dict(zip(WINDOW_STATISTICS, compute(frames, *(f"b_{s}" for s in WINDOW_STATISTICS)).T, strict=True))
    index = pd.to_datetime(START + np.arange(len(rows)) * 60.0, unit="s")
    series = pd.Series(np.array(rows, np.float32)[:, 1].astype(np.float64), index)
    rolling = series.rolling("600s", min_periods=1)
    at = pd.to_datetime(frames.end_s - 60.0, unit="s")
    inside = at.isin(index)
    wanted = {
        "mean": rolling.mean(),
        "std": series.rolling("600s", min_periods=1).apply(lambda x: float(np.nanstd(x)), raw=True),
        "min": rolling.min(),
        "max": rolling.max(),
        "q10": rolling.quantile(0.1),
        "q50": rolling.median(),
        "q90": rolling.quantile(0.9),
        "rms": np.sqrt((series**2).rolling("600s", min_periods=1).mean()),
        "last": series.ffill(limit=9),
        "missing": 1.0 - series.rolling("600s", min_periods=0).count() / 10,
    }
    for name, column in wanted.items():
        np.testing.assert_allclose(got[name][inside], column[at[inside]], rtol=1e-4, atol=2e-4, err_msg=name)
    np.testing.assert_allclose(got["range"], got["max"] - got["min"], atol=1e-3)


@settings(max_examples=40, deadline=None)
@given(ROWS)
def test_slope_is_the_least_squares_line(rows: list[list[float]]) -> None:
    """Per hour; undefined below two samples, and 0 for equal values."""
    frames = frames_of(np.array(rows))
    got = compute(frames, "a_slope")[:, 0]
    for i in range(len(frames)):
        valid = ~np.isnan(frames.values[i, :, 0])
        if valid.sum() < 2:
            assert np.isnan(got[i])
        else:
            wanted = stats.linregress(np.arange(10)[valid] / 60.0, frames.values[i, valid, 0].astype(np.float64)).slope
            assert got[i] == pytest.approx(wanted, rel=1e-3, abs=0.05)


@settings(max_examples=30, deadline=None)
@given(ROWS)
def test_history_features_are_relative_to_their_base(rows: list[list[float]]) -> None:
    """``delta`` and ``z`` compare the window's mean with the last hour's, ``life_z`` with every sample's so far."""
    values = np.array(rows, np.float32)
    frames = frames_of(values)
    got = compute(
        frames, "a_mean", "a_mean_1h", "a_std_1h", "a_delta_1h", "a_z_1h", "a_life_mean", "a_life_std", "a_life_z"
    )
    for i, end in enumerate(frames.end_s):
        past = values[: round((end - START) / 60), 0].astype(np.float64)
        hour, life = past[-60:], past
        if np.isnan(hour).all() or np.isnan(got[i, 0]):
            continue
        mean = float(np.nanmean(frames.values[i, :, 0].astype(np.float64)))
        for base, columns in ((hour, got[i, [1, 2, 4]]), (life, got[i, 5:])):
            centre, spread = float(np.nanmean(base)), float(np.nanstd(base))
            floor = max(spread, 1e-3 * abs(centre), 1e-6 * 2000)
            wanted = (centre, spread, np.clip((mean - centre) / floor, -50, 50))
            np.testing.assert_allclose(columns, wanted, rtol=2e-3, atol=2e-3)
        assert got[i, 3] == pytest.approx(mean - np.nanmean(hour), abs=1e-2)


def test_calibration_features_tell_how_far_from_normal() -> None:
    """Undefined while warming; then the shift in calibrated deviations, and the logarithm of the spreads' ratio."""
    generator = np.random.default_rng(4)
    values = generator.normal(10.0, 2.0, (400, 3))
    values[200:, 0] = 20.0 + 3.0 * (values[200:, 0] - 10.0)
    frames = frames_of(values)
    got = compute(frames, "a_cal_z", "a_cal_zstd")
    assert np.isnan(got[frames.warming]).all()
    z = got[:, 0].astype(np.float64)
    shrunk = compute(frames, "a_cal_zlog")[:, 0]
    np.testing.assert_allclose(shrunk, np.where(z < 0, -1.0, 1.0) * np.log(1.0 + abs(z)), rtol=1e-5, atol=1e-6)
    normal = values[:120, 0].astype(np.float32).astype(np.float64)
    last = frames.values[-1, :, 0].astype(np.float64)
    wanted = ((last.mean() - normal.mean()) / normal.std(), math.log(last.std() / normal.std()))
    np.testing.assert_allclose(got[-1], wanted, rtol=1e-4)


def test_cal_unrest_holds_a_mean_against_the_means_of_the_calibrations_hops() -> None:
    """Means of white noise hardly move, those of a wandering channel do: the same shift counts more in the first."""
    generator = np.random.default_rng(6)
    white, slow = generator.normal(10.0, 2.0, 400), 10.0 + 2.8 * np.sin(np.arange(400) / 25.0)
    values = np.stack([white, slow, np.where(np.arange(400) < 120, np.nan, white)], axis=1)
    values[300:, :2] += 3.0
    frames = frames_of(values)
    got = compute(frames, "a_cal_unrest", "b_cal_unrest", "c_cal_unrest", "a_cal_unrest_1h", "a_mean_1h")
    assert np.isnan(got[frames.warming, :4]).all()
    assert np.isnan(got[:, 2]).all()
    normal = values[:120, :2].astype(np.float32).astype(np.float64)
    means = normal.reshape(24, 5, 2).mean(axis=1)
    away = (frames.values[-1, :, :2].astype(np.float64).mean(axis=0) - normal.mean(axis=0)) / means.std(axis=0)
    np.testing.assert_allclose(got[-1, :2], np.sign(away) * np.log(1.0 + abs(away)), rtol=1e-4)
    assert got[-1, 0] > got[-1, 1] + 0.3
    of_hour = (got[-1, 4] - normal[:, 0].mean()) / means[:, 0].std()
    np.testing.assert_allclose(got[-1, 3], np.sign(of_hour) * np.log(1.0 + abs(of_hour)), rtol=1e-4)


def test_a_channel_at_rest_does_not_explode() -> None:
    """A calibration without any spread has a floor, and scores a ceiling."""
    values = np.full((300, 3), 7.0)
    values[250:] = 900.0
    got = compute(frames_of(values), "a_cal_z", "a_cal_zstd", "a_life_z", "t2", "q", "a_cal_unrest")
    assert np.nanmax(np.abs(got[:, [0, 1, 2, 5]])) <= 50.0
    assert np.isfinite(got[-1]).all()


def test_t2_and_q_are_distances_in_and_off_the_usual_plane() -> None:
    """Against scipy-free textbook formulae: T² on the kept components, q on the rest, of standardised values."""
    generator = np.random.default_rng(5)
    hidden = generator.normal(size=(400, 1))
    values = hidden * [1.0, 2.0, -1.0] + generator.normal(scale=0.1, size=(400, 3)) + 50
    values[300:, 1] -= 3.0
    frames = frames_of(values)
    got = compute(frames, "t2", "q", "t2_last", "q_last")
    np.testing.assert_allclose(compute(frames, "t2_log", "q_log"), np.log1p(got[:, :2].astype(np.float64)), rtol=1e-5)
    normal = values[:120].astype(np.float32).astype(np.float64)
    variances, vectors = np.linalg.eigh(np.corrcoef(normal.T))
    for columns, sample in ((got[-1, :2], frames.values[-1].mean(axis=0)), (got[-1, 2:], frames.values[-1, -1])):
        away = (sample - normal.mean(axis=0)) / np.maximum(normal.std(axis=0), 1e-3 * 50)
        scores = (away @ vectors) ** 2
        np.testing.assert_allclose(columns, (scores[-1] / variances[-1], scores[:-1].sum()), rtol=1e-3)
    assert got[-1, 1] > 20 * np.nanmedian(got[:50, 1][~frames.warming[:50]])


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "UTC"]),
    st.lists(st.integers(0, 4_000_000_000), min_size=1, max_size=20),
)
def test_civil_time_is_that_of_pandas(zone: str, moments: list[int]) -> None:
    """Any zone, any moment of a century, daylight saving included."""
    civil = Calendar(zone).civil(np.array(moments, np.float64))
    local = pd.DatetimeIndex(pd.to_datetime(moments, unit="s", utc=True)).tz_convert(zone)
    for name, wanted in {
        "hour": local.hour,
        "minute_of_day": local.hour * 60 + local.minute,
        "weekday": local.day_of_week,
        "day": local.day,
        "month": local.month,
        "weekend": local.day_of_week >= 5,
        "part_of_day": local.hour // 6,
    }.items():
        np.testing.assert_array_equal(civil.named(name), np.asarray(wanted, np.float64), err_msg=name)
    np.testing.assert_allclose(civil.named("month_sin"), np.sin(2 * np.pi * (local.month - 1) / 12), atol=1e-12)
    np.testing.assert_allclose(
        civil.named("day_cos"), np.cos(2 * np.pi * (local.day - 1) / local.days_in_month), atol=1e-12
    )


def test_daylight_saving_days_have_their_hours() -> None:
    """On 31 March 2024 Berlin goes from 1:59 to 3:00; on 27 October two hours are 2."""
    spring = pd.Timestamp("2024-03-31 00:00", tz="Europe/Berlin").timestamp()
    autumn = pd.Timestamp("2024-10-27 00:00", tz="Europe/Berlin").timestamp()
    calendar = Calendar("Europe/Berlin")
    hours = [
        calendar.civil(np.asarray(start + np.arange(5) * 3600.0, np.float64)).named("hour").tolist()
        for start in (spring, autumn)
    ]
    assert hours == [[0, 1, 3, 4, 5], [0, 1, 2, 2, 3]]


def test_holidays_follow_the_country_and_the_local_day() -> None:
    """German unity is a holiday in Germany from Berlin's midnight, and nowhere else."""
    eve = pd.Timestamp("2024-10-02 23:59", tz="Europe/Berlin").timestamp()
    moments = np.array([eve, eve + 60.0])
    assert Calendar("Europe/Berlin", "DE").civil(moments).named("holiday").tolist() == [0, 1]
    assert Calendar("Europe/Berlin", "US").civil(moments).named("holiday").tolist() == [0, 0]


@pytest.mark.parametrize(("zone", "country"), [("Mars/Olympus", None), ("UTC", "ZZ")])
def test_unknown_places_are_refused(zone: str, country: str | None) -> None:
    with pytest.raises(ValueError, match="unknown"):
        Calendar(zone, country)


def sums(angles: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return np.array([len(angles), np.cos(angles).sum(), np.sin(angles).sum()])


@settings(max_examples=60, deadline=None)
@given(st.floats(0, 2 * math.pi), st.floats(0.3, 200.0), st.integers(0, 2**31), st.floats(0, 2 * math.pi))
def test_von_mises_is_that_of_scipy(mean: float, kappa: float, seed: int, now: float) -> None:
    """Mean direction, concentration and the share of events nearer to the mean agree with scipy's fit."""
    angles = stats.vonmises(kappa, loc=mean).rvs(200, random_state=np.random.default_rng(seed))
    held = sums(angles)
    fitted_kappa, fitted_mean, _ = stats.vonmises.fit(angles, fscale=1)
    assert concentration(held) == pytest.approx(fitted_kappa, rel=1e-3)
    assert math.cos(float(direction(held)) - stats.circmean(angles)) == pytest.approx(1.0)
    assert math.cos(float(direction(held)) - fitted_mean) == pytest.approx(1.0)
    away = abs((now - fitted_mean + math.pi) % (2 * math.pi) - math.pi)
    share = 2 * stats.vonmises.cdf(away, fitted_kappa) - 1
    assert unusual(held, np.array(now)) == pytest.approx(share, abs=2e-4)


def test_few_events_do_not_make_sure() -> None:
    """No event is undefined; one has no preferred time; equal times are as concentrated as the limit allows."""
    assert np.isnan(concentration(sums(np.zeros(0))))
    assert concentration(sums(np.ones(1))) == 0
    assert concentration(sums(np.ones(50))) == pytest.approx(MAX_CONCENTRATION)


def test_events_are_upward_crossings_at_their_local_time() -> None:
    """Meals at 7:10 each day for a week, two long: one event a day, around 7:10; noon is unusual, 7:10 is not."""
    start = float(pd.Timestamp("2024-01-08", tz="Europe/Berlin").timestamp())
    minutes = np.arange(7 * 1440)
    values = np.zeros((len(minutes), 3))
    values[(minutes % 1440 >= 430) & (minutes % 1440 < 450), 0] = 600.0
    windows = Windows(DOMAIN, SPEC, Calendar("Europe/Berlin"))
    windows.add(
        np.zeros(len(minutes), np.int64), np.asarray(start + minutes * 60.0, np.float64), values.astype(np.float32)
    )
    frames = windows.close()[0]
    names = ("meal_count", "meal_direction_sin", "meal_direction_cos", "meal_unusual", "minute_of_day")
    got = compute(frames, *names, calendar=Calendar("Europe/Berlin"))
    angle = 2 * math.pi * 430 / 1440
    np.testing.assert_allclose(got[-1, :3], (7, math.sin(angle), math.cos(angle)), atol=1e-6)
    last_day = got[-280:]
    assert last_day[last_day[:, 4] == 720, 3].item() > 0.99
    assert last_day[last_day[:, 4] == 430, 3].item() < 0.01


def test_unknown_features_are_all_named() -> None:
    """One error lists every name that is none, a horizon that is not held included."""
    with pytest.raises(ValueError, match=r"d_mean, a_mode, a_mean_2h, nap_count"):
        FeatureSet(["a_mean", "d_mean", "a_mode", "a_mean_2h", "nap_count"], DOMAIN, SPEC)


def test_every_calendar_feature_is_defined_at_any_time() -> None:
    """Calendar features are never NaN, and directions lie in -1…1."""
    got = compute(frames_of(np.ones((40, 3))), *CALENDAR)
    assert np.isfinite(got).all()


def test_fill_replaces_only_what_is_undefined() -> None:
    """By one value, or by one for each column."""
    features = np.array([[1.0, np.nan], [np.nan, 2.0]], np.float32)
    assert fill(features).tolist() == [[1.0, 0.0], [0.0, 2.0]]
    assert fill(features, np.array([5.0, 6.0], np.float32)).tolist() == [[1.0, 6.0], [5.0, 2.0]]


def test_features_do_not_depend_on_the_other_windows() -> None:
    """Computed for all windows at once or for the first ones alone, they are equal to the bit."""
    generator = np.random.default_rng(6)
    values = generator.normal(size=(300, 3))
    names = [f"{c}_{s}" for c in "abc" for s in (*WINDOW_STATISTICS, "cal_z", "z_1h", "life_std")]
    whole, part = compute(frames_of(values), *names), compute(frames_of(values[:200]), *names)
    np.testing.assert_array_equal(whole[: len(part)], part)


def test_a_window_alone_has_the_features_it_has_in_company() -> None:
    """One window of one channel, computed alone or among others, gives the same bits."""
    values = np.random.default_rng(7).normal(size=(20, 60, 1)).astype(np.float32)
    values[3:, 5] = np.nan
    whole = WindowStatistics(values, 1.0)
    for i in range(20):
        alone = WindowStatistics(values[i : i + 1], 1.0)
        for name in WINDOW_STATISTICS:
            np.testing.assert_array_equal(alone.named(name)[0], whole.named(name)[i], err_msg=name)


def test_horizons_are_written_with_a_unit() -> None:
    assert [horizon_s(t) for t in ("30s", "15min", "24h", "7d")] == [30.0, 900.0, 86_400.0, 604_800.0]
    with pytest.raises(ValueError, match="horizon"):
        horizon_s("1 fortnight")


def test_windows_mean_the_same_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many windows are worked on a block at a time: the last one is smaller, and each finds its own history."""
    values = np.random.default_rng(1).normal(0, 100, (600, 3))
    frames = frames_of(values)
    names = ("a_mean", "b_std", "c_q90", "a_z_1h", "b_life_z", "t2", "meal_count", "hour")
    whole = compute(frames, *names)
    monkeypatch.setattr("gateway.features._BLOCK_VALUES", 7 * frames.values[0].size)
    assert len(frames) % 7
    np.testing.assert_array_equal(compute(frames, *names), whole)
