"""Vehicle counts without any label: one PeMS detector every five minutes, and Metro I-94 every hour.

Nothing says when traffic was congested, so what can be asked is: do the gateway's windows take gaps, repeated times and
impossible rows; how good is what it calls usual at the next hour, beside naive forecasts; and how often would it alert.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gateway.inference.shelf import Shelf
from models.training.recorded import Folder
from models.training.recorded.course import course, firings
from models.training.recorded.rows import Row
from models.training.recorded.watch import Watched, watch

PEMS: Final = "traffic_pems_flow/train.csv"
METRO: Final = "traffic_metro_i94/metro_until_2016.csv"
FIVE_MIN_S: Final = 300.0
HOUR_S: Final = 3600.0
DAY_S: Final = 86400.0
WEEK_S: Final = 7.0 * DAY_S
LAST: Final = 0.75
"""What is usual is asked of the time after this share of it."""
MOST_VEHICLES_H: Final = 12_000.0

Doubles = NDArray[np.float64]


def rows(folder: Folder, shelf: Shelf) -> list[Row]:
    """Return the figures of the sets that the folder holds."""
    found: list[Row] = []
    if folder.holds(PEMS):
        found += pems(folder, shelf)
    if folder.holds(METRO):
        found += metro(folder)
    return found


def pems(folder: Folder, shelf: Shelf) -> list[Row]:
    """Replay a detector that counts vehicles and nothing else: working days, weekends missing."""
    table = pd.read_csv(io.BytesIO(folder.read(PEMS)), encoding="utf-8-sig")
    times_s, vehicles = _seconds(table["5 Minutes"], "%d/%m/%Y %H:%M"), table.iloc[:, 1].to_numpy(np.float64)
    days = len(np.unique(times_s // DAY_S))
    found = course(shelf, times_s, {"flow_veh_h": 12.0 * vehicles}, period_s=FIVE_MIN_S)
    seen = watch(times_s, vehicles, period_s=FIVE_MIN_S, high=MOST_VEHICLES_H / 12.0)
    usual, actual, past = _ahead(seen, times_s, vehicles, FIVE_MIN_S, after_s=times_s[0] + WEEK_S)
    note = f"{len(vehicles):,} rows, {days} days, {_longest_gap_h(times_s):.0f} h the longest gap"
    return [
        Row(
            data="PeMS flow",
            metric="congestion alerts a day, flow alone",
            int8=len(firings(shelf, found)) / days,
            better="lower",
            note=f"{note}; nobody knows which of them were right",
        ),
        _odd("PeMS flow", seen, days),
        Row(
            data="PeMS flow",
            metric="MAE of the usual hour, vehicles in the next 5 min",
            int8=float(np.abs(actual - usual).mean()),
            better="lower",
            naive={"persistence": float(np.abs(actual - past).mean())},
            note=f"{len(actual):,} rows after a week; a mean by the hour, no forecast (an LSTM is said to reach 7.2)",
        ),
    ]


def metro(folder: Folder) -> list[Row]:
    """Replay hourly counts with repeated times and gaps; compare what is usual with the hour that follows."""
    table = pd.read_csv(io.BytesIO(folder.read(METRO)), keep_default_na=False)
    times_s, vehicles = _seconds(table["date_time"], "%Y-%m-%d %H:%M"), table["traffic_volume"].to_numpy(np.float64)
    repeated = len(times_s) - len(np.unique(times_s))
    impossible = int(((table["temp"] < 200.0) | (table["rain_1h"] > 500.0)).sum())
    seen = watch(times_s, vehicles, period_s=HOUR_S, high=MOST_VEHICLES_H)
    asked_s = float(times_s[0] + LAST * (times_s[-1] - times_s[0]))
    usual, actual, past = _ahead(seen, times_s, vehicles, HOUR_S, after_s=asked_s)
    first = int(np.searchsorted(times_s, asked_s))
    whole = _table(times_s[:first], vehicles[:first])
    by_table = np.array([whole.get(int(at_s // HOUR_S) % 168, np.nan) for at_s in times_s[first:].tolist()])
    note = (
        f"last quarter of the time, {len(actual):,} rows; of {len(times_s):,} rows "
        f"{repeated:,} repeat a time and count once, {impossible} give 0 K or metres of rain "
        "and are taken for their count alone; "
        f"{_longest_gap_h(times_s) / 24.0:.0f} days the longest gap"
    )
    return [
        Row(
            data="Metro I-94",
            metric="R² of the usual hour",
            int8=_r2(actual, usual),
            naive={"persistence": _r2(actual, past), "hour-of-week table": _r2(vehicles[first:], by_table)},
            note=note,
        ),
        _odd("Metro I-94", seen, len(np.unique(times_s // DAY_S))),
    ]


def _odd(data: str, seen: Watched, days: int) -> Row:
    return Row(
        data=data,
        metric="unusual alerts a week",
        int8=7.0 * len(seen.fired_s) / days,
        better="lower",
        note=f"{days} days with rows; nothing is labelled, holidays and storms are among them",
    )


def _seconds(stamps: pd.Series[str], written: str) -> Doubles:
    """Return local time read as UTC, so that hours are the road's own."""
    moments = pd.to_datetime(stamps, format=written)
    return np.asarray((moments - pd.Timestamp(0)) / pd.Timedelta(seconds=1), np.float64)


def _longest_gap_h(times_s: Doubles) -> float:
    return float(np.diff(times_s).max() / HOUR_S)


def _ahead(
    seen: Watched, times_s: Doubles, values: Doubles, period_s: float, *, after_s: float
) -> tuple[Doubles, Doubles, Doubles]:
    """Return what was usual, what came and what had come last, of rows from a time on that have a row just before."""
    newest = dict(zip(times_s.tolist(), values.tolist(), strict=True))
    usual = dict(zip(seen.end_s.tolist(), seen.usual.tolist(), strict=True))
    triples = [
        (usual[at_s], newest[at_s], newest[at_s - period_s])
        for at_s in sorted(newest)
        if at_s >= after_s and at_s - period_s in newest and not np.isnan(usual.get(at_s, np.nan))
    ]
    first, second, third = np.array(triples).T
    return first, second, third


def _table(times_s: Doubles, values: Doubles) -> Mapping[int, float]:
    """Return the mean of each hour of the week."""
    hour = (times_s // HOUR_S).astype(np.int64) % 168
    return {int(each): float(values[hour == each].mean()) for each in np.unique(hour)}


def _r2(actual: Doubles, said: Doubles) -> float:
    known = ~np.isnan(said)
    away = float(np.square(actual[known] - said[known]).sum())
    return 1.0 - away / float(np.square(actual[known] - actual[known].mean()).sum())
