"""The protocols of recorded data, on series made up here: lead-ins, causality, NAB's score, counts without labels."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gateway.inference.shelf import load
from models.training.domains import TRAFFIC_RECIPE
from models.training.recorded import Folder, flow, nab, skab, traffic
from models.training.recorded.course import course
from models.training.recorded.watch import watch

SHELVES = Path(__file__).parents[2] / "models"


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """Return a folder with one file in SKAB's form: 1000 rows, each of its own value."""
    (tmp_path / "skab" / "valve1").mkdir(parents=True)
    rows = [
        f"2020-03-09 10:{row // 60 % 60:02d}:{row % 60:02d};" + ";".join([str(float(row))] * 8) + f";{int(row > 500)};0"
        for row in range(1000)
    ]
    head = "datetime;" + ";".join(skab.CHANNELS) + ";anomaly;changepoint"
    (tmp_path / "skab" / "valve1" / "0.csv").write_text("\n".join([head, *rows]))
    return Folder(tmp_path, unchecked=True)


def test_lead_in_is_drawn_in_blocks_from_the_files_own_first_rows(folder: Folder) -> None:
    """Whole blocks of 60 successive rows, all of the first 400, none of them scored; the file follows as it is."""
    stream = skab.stream(folder, "skab/valve1/0.csv")
    flow = stream.channels["flow_l_min"]
    lead, file = flow[:-1000], flow[-1000:]
    assert len(lead) % 60 == 0
    assert len(lead) <= 3600
    assert lead.max(initial=0.0) < 400
    assert (np.diff(lead.reshape(-1, 60), axis=1) == 1.0).all()
    assert file.tolist() == list(range(1000))
    assert np.flatnonzero(stream.counted).tolist() == list(range(len(lead) + 400, len(flow)))
    assert (np.diff(stream.times_s) == 1.0).all()


def test_a_decision_knows_nothing_of_later_rows() -> None:
    """Whatever comes after a row, its newest score stays what it was."""
    shelf = load(SHELVES / "industrial")
    rng = np.random.default_rng(1)
    times_s = np.arange(1200.0)
    values = {"flow_l_min": 30.0 + rng.normal(size=1200), "vibration_1_g": 0.1 + 0.001 * rng.normal(size=1200)}
    changed = {name: np.where(times_s < 800.0, column, 3.0 * column) for name, column in values.items()}
    before, after = (course(shelf, times_s, each) for each in (values, changed))
    asked = times_s[:800]
    np.testing.assert_array_equal(before.newest(asked, before.score), after.newest(asked, after.score))
    assert not np.array_equal(before.score, after.score)


def series(length: int = 1000) -> nab.Series:
    """Return a series with one labelled window."""
    return nab.Series(
        name="x", times_s=np.arange(length, dtype=np.float64), level=np.zeros(length), windows=((500, 599),)
    )


def flags(*rows: int) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Return flags with some rows raised."""
    raised = np.zeros(1000, np.bool_)
    raised[list(rows)] = True
    return raised


def test_nab_score_of_nothing_is_0_and_of_the_first_row_of_the_window_100() -> None:
    """By definition of its scale; probation is not scored, and a second detection adds nothing."""
    assert nab.score([series()], [flags()]) == 0.0
    assert nab.score([series()], [flags(500)]) == pytest.approx(100.0)
    assert nab.score([series()], [flags(10, 149, 500, 550)]) == pytest.approx(100.0)


def test_nab_false_detection_costs_its_weight() -> None:
    """Far before the window: 0.11 of a window; right after it: next to nothing."""
    assert nab.score([series()], [flags(300)]) == pytest.approx(-100.0 * 0.11 / 2.0)
    at_99 = 2.0 / (1.0 + math.exp(5.0 / 99.0)) - 1.0
    assert nab.score([series()], [flags(600)]) == pytest.approx(100.0 * 0.11 * at_99 / 2.0)


def days(
    count: int,
) -> tuple[np.ndarray[tuple[int], np.dtype[np.float64]], np.ndarray[tuple[int], np.dtype[np.float64]]]:
    """Return times and values of a series with the same course every day and a little noise, every half hour."""
    times_s = 1_600_041_600.0 + 1800.0 * np.arange(48.0 * count)
    rng = np.random.default_rng(5)
    return times_s, 50.0 + 20.0 * np.sin(times_s * 2 * np.pi / 86400.0) + rng.normal(size=len(times_s))


def test_a_watched_series_alerts_at_the_hour_at_which_it_is_odd() -> None:
    """A value of the afternoon at night is odd though the day has many such; the sample after next has closed it."""
    times_s, values = days(14)
    odd = 48 * 10 + 4
    values[odd] = values[odd - 12 : odd + 24].max()
    seen = watch(times_s, values, period_s=1800.0, high=1000.0)
    assert times_s[odd] < seen.fired_s[-1] <= times_s[odd] + 3 * 1800.0
    assert len(seen.fired_s) <= 3  # less than one a week besides


def test_a_watched_series_knows_nothing_of_later_rows() -> None:
    """What is usual, and every alert, comes of earlier rows: those after a time change nothing before it."""
    times_s, values = days(14)
    cut_s = times_s[48 * 9]
    before, after = (
        watch(times_s, np.where(times_s < cut_s, values, factor * values), period_s=1800.0, high=1000.0)
        for factor in (1.0, 2.0)
    )
    known = before.end_s <= cut_s
    np.testing.assert_array_equal(before.usual[known], after.usual[known])
    first, second = (each.fired_s[each.fired_s < cut_s] for each in (before, after))
    assert first.tolist() == second.tolist()
    assert len(after.fired_s) > len(second)


def test_hourly_counts_with_repeated_times_and_gaps_are_compared_with_the_hour_that_follows(tmp_path: Path) -> None:
    """The same course every day: the usual hour is right where no sample is repeated; rows after a gap are left out."""
    times_s, values = days(28)
    times_s, values = times_s[::2], np.round(values[::2] - np.random.default_rng(5).normal(size=len(values))[::2])
    kept = (times_s < times_s[24 * 15]) | (times_s > times_s[24 * 18])
    order = np.repeat(np.flatnonzero(kept), np.where(np.arange(int(kept.sum())) % 50 == 0, 2, 1))
    stamps = np.array(times_s[order], "datetime64[s]").astype(str)
    rows = [
        f"None,{temp},0,0,1,x,y,{stamp.replace('T', ' ')[:16]},{value:.0f}"
        for stamp, value, temp in zip(stamps, values[order], np.where(order == 30, 0.0, 280.0), strict=True)
    ]
    folder = tmp_path / "traffic_metro_i94"
    folder.mkdir()
    head = "holiday,temp,rain_1h,snow_1h,clouds_all,weather_main,weather_description,date_time,traffic_volume"
    (folder / "metro_until_2016.csv").write_text("\n".join([head, *rows]))
    usual, odd = flow.metro(Folder(tmp_path, unchecked=True))
    assert usual.int8 > 0.999
    assert usual.naive["persistence"] < 0.95
    repeated = len(order) - int(kept.sum())
    assert f"of {len(order)} rows {repeated} repeat a time" in usual.note
    assert "1 give 0 K" in usual.note
    assert "3 days the longest gap" in usual.note
    assert odd.int8 >= 0.0


def test_what_is_learned_of_a_loop_ends_in_time_and_looks_15_minutes_ahead(tmp_path: Path) -> None:
    """Samples end before the given time; a window is positive if any of the next three rows is slow, itself or not."""
    mph = np.full((40, 2), 60.0)
    mph[20, 1] = 39.0
    (tmp_path / "traffic_tgcn").mkdir()
    rows = [",".join(f"{value:g}" for value in row) for row in mph.tolist()]
    (tmp_path / traffic.LOOPS).write_text("\n".join(["1,2", *rows]))
    folder = Folder(tmp_path, unchecked=True)
    until_s = traffic.START_S + 30 * traffic.PERIOD_S
    learned = traffic.recording(folder, until_s)
    assert {len(times) for times in learned.times} == {30}
    assert max(float(times[-1]) for times in learned.times) < until_s
    assert np.isnan(np.delete(learned.physical, traffic.SPEED, axis=2)).all()

    row = np.tile(np.arange(30), 2)
    device, end_s = np.repeat([0, 1], 30), np.asarray(traffic.START_S + traffic.PERIOD_S * (row + 1), np.float64)
    spec = TRAFFIC_RECIPE.window.spec.at_period(traffic.PERIOD_S)
    label, weight = traffic.congesting(learned, spec, device, end_s)
    assert list(zip(device[label].tolist(), row[label].tolist(), strict=True)) == [(1, 17), (1, 18), (1, 19)]
    assert set(row[weight == 0.0].tolist()) == {27, 28, 29}


def test_pems_counts_are_read_day_first_and_replayed(tmp_path: Path) -> None:
    """4 January comes before 13 January; a detector without speed raises nothing, and three weekdays are named so."""
    stamps = pd.date_range("2016-01-04", periods=3 * 288, freq="5min")
    stamps = stamps.where(stamps.day < 6, stamps + pd.Timedelta(days=7))
    rows = [f"{stamp:%d/%m/%Y} {stamp.hour}:{stamp:%M},{place % 7},1,100" for place, stamp in enumerate(stamps)]
    (tmp_path / "traffic_pems_flow").mkdir()
    head = "\ufeff5 Minutes,Lane 1 Flow (Veh/5 Minutes),# Lane Points,% Observed"
    (tmp_path / flow.PEMS).write_text("\n".join([head, *rows]), encoding="utf-8")
    alerts, odd, usual = flow.pems(Folder(tmp_path, unchecked=True), load(SHELVES / "traffic"))
    assert alerts.note.startswith("864 rows, 3 days, 168 h the longest gap")
    assert (alerts.int8, odd.int8) == (0.0, 0.0)
    assert usual.int8 == pytest.approx(12 / 7, rel=0.1)  # of 0 … 6 in turn, the mean by the hour is 3
