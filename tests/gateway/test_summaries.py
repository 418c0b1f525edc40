"""Hourly, daily and monthly summaries against pandas' groupby, in any zone, batching and restart."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contract.domains import Channel, Domain
from gateway.calendars import Calendar
from gateway.frames import WindowSpec
from gateway.summaries import Summaries, Summary
from gateway.windows import Windows

DOMAIN = Domain(
    name="test",
    device="test",
    period_s=60.0,
    channels=tuple(Channel(name=n, unit="1", low=-1000.0, high=1000.0, description="") for n in ("a", "b")),
)
SPEC = WindowSpec(length_s=1200.0, hop_s=420.0, period_s=60.0, lateness_s=300.0)
Found = dict[tuple[str, int, float], tuple[bytes, ...]]


def rows_of(summaries: list[Summary]) -> Found:
    found: Found = {}
    for s in summaries:
        for i in range(len(s.device)):
            key = (s.unit, int(s.device[i]), float(s.start_s[i]))
            assert key not in found
            m = s.moments
            found[key] = tuple(part[i].tobytes() for part in (m.count, m.mean, m.std, s.min, s.max))
    return found


def run(frame: pd.DataFrame, zone: str, batch: int, *, restart: bool = False) -> tuple[Found, list[Summary]]:
    windows, summaries = Windows(DOMAIN, SPEC), Summaries(DOMAIN, SPEC, Calendar(zone))
    out: list[Summary] = []
    for start in range(0, len(frame), batch):
        part = frame.iloc[start : start + batch]
        windows.add(part.device.to_numpy(), part.ts.to_numpy(), part[["a", "b"]].to_numpy(np.float32))
        for blocks in windows.blocks():
            out += summaries.add(blocks)
        if restart:
            state, summaries = summaries.dump(), Summaries(DOMAIN, SPEC, Calendar(zone))
            summaries.load(state)
    windows.flush()
    for blocks in windows.blocks():
        out += summaries.add(blocks)
    out += summaries.flush()
    return rows_of(out), out


def samples(seed: int, start: float, hours: int) -> pd.DataFrame:
    """Two devices a minute, some samples missing or NaN, one gap, order of arrival."""
    generator = np.random.default_rng(seed)
    ts = np.repeat(start + np.arange(hours * 60) * 60.0, 2)
    frame = pd.DataFrame({"device": np.tile([0, 1], hours * 60), "ts": ts})
    frame["a"], frame["b"] = generator.normal(20, 3, len(ts)).astype(np.float32), np.float32(7)
    frame.loc[generator.random(len(ts)) < 0.1, "a"] = np.nan
    gap = (frame.ts > ts[len(ts) // 3]) & (frame.ts < ts[len(ts) // 2]) & (frame.device == 0)
    kept: pd.DataFrame = frame[~gap & (generator.random(len(ts)) > 0.1)].reset_index(drop=True)
    return kept


STARTS = [pd.Timestamp(t, tz="UTC").timestamp() for t in ("2024-03-30 05:00", "2024-10-26 17:30", "2024-02-28 20:00")]


@settings(max_examples=8, deadline=None)
@given(
    st.integers(0, 1000),
    st.sampled_from(STARTS),
    st.sampled_from(["Europe/Berlin", "Asia/Kathmandu"]),
    st.integers(20, 400),
)
def test_summaries_are_those_of_groupby(seed: int, start: float, zone: str, batch: int) -> None:
    """Each span's count, mean, deviation and extremes, on days of 23, 24 and 25 hours and over a month's end."""
    frame = samples(seed, start, 50)
    found, summaries = run(frame, zone, batch)
    assert run(frame, zone, 1000)[0] == found
    assert run(frame, zone, 100, restart=True)[0] == found
    utc = pd.to_datetime(frame.ts, unit="s", utc=True)
    local = utc.dt.tz_convert(zone)
    day = local.dt.strftime("%Y-%m-%d")
    keys: dict[str, Any] = {
        "hourly": utc.dt.floor("h"),
        "daily": day.map(lambda d: pd.Timestamp(d, tz=zone)),
        "monthly": day.map(lambda d: pd.Timestamp(f"{d[:7]}-01", tz=zone)),
    }
    for unit, key in keys.items():
        spans = 0
        for label, group in frame.groupby(["device", key]):
            device, span = cast("tuple[int, pd.Timestamp]", label)
            spans += 1
            row = found[unit, int(device), span.timestamp()]
            count, mean, std = np.frombuffer(row[0], np.int64), np.frombuffer(row[1]), np.frombuffer(row[2])
            values = group[["a", "b"]].astype(np.float64)
            np.testing.assert_array_equal(count, values.count())
            np.testing.assert_allclose(mean, values.mean(), rtol=1e-9)
            np.testing.assert_allclose(std, values.std(ddof=0), rtol=1e-6, atol=1e-9)
            np.testing.assert_array_equal(np.frombuffer(row[3], np.float32), values.min().astype(np.float32))
            np.testing.assert_array_equal(np.frombuffer(row[4], np.float32), values.max().astype(np.float32))
        assert spans == sum(len(s.device) for s in summaries if s.unit == unit)


def test_an_hour_is_emitted_with_the_hop_that_ends_it() -> None:
    """As soon as the watermark has passed a hop that reaches beyond the hour; not before, and once only."""
    spec = WindowSpec(length_s=1200.0, hop_s=600.0, period_s=60.0, lateness_s=0.0)
    windows, summaries = Windows(DOMAIN, spec), Summaries(DOMAIN, spec)
    emitted = []
    for minute in range(130):
        windows.add(np.zeros(1, np.int64), np.array([minute * 60.0]), np.ones((1, 2), np.float32))
        for blocks in windows.blocks():
            emitted += [(minute, s.unit, s.start_s.tolist()) for s in summaries.add(blocks)]
    assert emitted == [(60, "hourly", [0.0]), (120, "hourly", [3600.0])]


def test_summaries_take_less_than_a_kib_a_device() -> None:
    """Two channels: three open spans and the references."""
    assert Summaries(DOMAIN, SPEC).bytes_per_device == pytest.approx(3 * (8 + 2 * 28) + 2 * 8)
