"""Event-time windows against a written-out reference, under any batching, order, gap and restart."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contract.domains import INDUSTRIAL, Channel, Domain
from gateway import state_parts
from gateway.frames import Blocks, Events, Strays, WindowSpec
from gateway.windows import Windows

Row = tuple[int, float, tuple[float, ...]]


def domain(channels: int) -> Domain:
    rows = tuple(Channel(name=f"c{i}", unit="1", low=-100.0, high=100.0, description="") for i in range(channels))
    return Domain(name="test", device="test", period_s=1.0, channels=rows)


SPEC = WindowSpec(
    length_s=12.0,
    hop_s=4.0,
    period_s=1.0,
    lateness_s=5.0,
    calibration_s=20.0,
    horizons_s=(8.0, 40.0),
    buckets=4,
    monitor=True,
    events=(Events(name="spike", channel="c0", above=0.5),),
    usual=True,
)


@dataclass
class Out:
    """Everything that came out, a row each."""

    frames: list[tuple[Any, ...]] = field(default_factory=list)
    blocks: list[tuple[Any, ...]] = field(default_factory=list)
    strays: list[tuple[Any, ...]] = field(default_factory=list)

    def take(self, windows: Windows) -> None:
        """Drain everything that is ready."""
        for frames in windows.close():
            self.frames += [row_of(frames, i, len(frames)) for i in range(len(frames))]
        for blocks in windows.blocks():
            self.blocks += block_rows(blocks)
        for strays in windows.strays():
            self.strays += stray_rows(strays)

    def sorted(self) -> tuple[list[Any], list[Any], list[Any]]:
        """Return rows in an order that does not depend on batches."""
        return (
            sorted(self.frames, key=lambda r: r[:2]),
            sorted(self.blocks, key=lambda r: r[:2]),
            sorted(self.strays),
        )


def row_of(value: Any, i: int, n: int) -> tuple[Any, ...]:
    """One window of a dataclass of arrays, as bytes: equal only where equal to the bit, NaN included."""
    found: list[Any] = []
    for item in fields(value):
        part = getattr(value, item.name)
        if is_dataclass(part):
            found.append(row_of(part, i, n))
        elif isinstance(part, dict):
            found.append(tuple((key, row_of(p, i, n)) for key, p in part.items()))
        elif part is not None and part.size:
            assert len(part) == n
            found.append(part[i].item() if part.ndim == 1 else part[i].tobytes())
    return tuple(found)


def block_rows(blocks: Blocks) -> list[tuple[Any, ...]]:
    return [
        (int(d), float(s), blocks.times[a:b].tobytes(), blocks.values[a:b].tobytes())
        for d, s, a, b in zip(blocks.device, blocks.start_s, blocks.offset[:-1], blocks.offset[1:], strict=True)
    ]


def stray_rows(strays: Strays) -> list[tuple[Any, ...]]:
    return [(int(d), float(t), v.tobytes()) for d, t, v in zip(strays.device, strays.times, strays.values, strict=True)]


def add(windows: Windows, rows: list[Row]) -> list[tuple[bool, bool, bool]]:
    device = np.array([r[0] for r in rows], np.int64)
    ts = np.array([r[1] for r in rows], np.float64)
    added = windows.add(device, ts, np.array([r[2] for r in rows], np.float32))
    return list(zip(added.duplicate.tolist(), added.late.tolist(), added.crowded.tolist(), strict=True))


@st.composite
def arrivals(draw: st.DrawFn) -> tuple[int, list[Row]]:
    """Draw samples of three devices: steady stretches, gaps, repeats, reordering, clocks that jump back."""
    channels = draw(st.integers(1, 3))
    value = st.one_of(st.just(float("nan")), st.floats(-3, 3, width=32))
    clock = [draw(st.integers(0, 30)) + 1000.0 for _ in range(3)]
    rows: list[Row] = []
    for _ in range(draw(st.integers(1, 12))):
        device = draw(st.integers(0, 2))
        run = draw(st.integers(1, 40))
        clock[device] += draw(st.sampled_from([1.0, 1.0, 1.0, 3.0, 17.0, 500.0, 1e6, -2.0, -6.0, -60.0]))
        base = np.array(draw(st.lists(value, min_size=channels * 7, max_size=channels * 7)), np.float32).reshape(7, -1)
        for i in range(run):
            clock[device] += 1.0
            jitter = draw(st.sampled_from([0.0, 0.0, 0.0, 0.0, 0.3, -0.6, -3.0])) if run < 8 else 0.0
            rows.append((device, clock[device] + jitter, tuple((base[i % 7] * (1 + i // 7)).tolist())))
    return channels, rows


def batches(data: st.DataObject, rows: list[Row]) -> list[list[Row]]:
    cuts = sorted(data.draw(st.sets(st.integers(1, max(1, len(rows) - 1)), max_size=8)))
    return [rows[a:b] for a, b in zip([0, *cuts], [*cuts, len(rows)], strict=True) if rows[a:b]]


@settings(max_examples=80, deadline=None)
@given(arrivals(), st.data())
def test_windows_are_the_same_under_any_batching(arrived: tuple[int, list[Row]], data: st.DataObject) -> None:
    """One by one, in batches, or all at once: windows, history, blocks, strays and counts agree to the bit."""
    channels, rows = arrived
    single, many, whole = (Windows(domain(channels), SPEC) for _ in range(3))
    out = [Out(), Out(), Out()]
    fates: list[list[Any]] = [[], [], []]
    for row in rows:
        fates[0] += add(single, [row])
        out[0].take(single)
    for batch in batches(data, rows):
        fates[1] += add(many, batch)
        out[1].take(many)
    fates[2] = add(whole, rows)
    for windows, taken in zip((single, many, whole), out, strict=True):
        windows.flush()
        taken.take(windows)
    assert fates[0] == fates[1] == fates[2]
    assert out[0].sorted() == out[1].sorted() == out[2].sorted()


@settings(max_examples=40, deadline=None)
@given(arrivals(), st.data())
def test_a_restart_at_any_point_changes_nothing(arrived: tuple[int, list[Row]], data: st.DataObject) -> None:
    """State dumped, loaded into new windows and carried on gives the same bits as one that never stopped."""
    channels, rows = arrived
    stop = data.draw(st.integers(1, len(rows)))
    straight, before, after = (Windows(domain(channels), SPEC) for _ in range(3))
    wanted, got = Out(), Out()
    for part in (rows[:stop], rows[stop:]):
        if part:
            add(straight, part)
    straight.flush()
    wanted.take(straight)
    add(before, rows[:stop])
    got.take(before)
    after.load(state_parts.joined(state_parts.cut(before.dump())))
    if rows[stop:]:
        add(after, rows[stop:])
    after.flush()
    got.take(after)
    assert got.sorted() == wanted.sorted()
    states = [dict(sorted(windows.dump().items())) for windows in (after, straight)]
    assert [*state_parts.cut(states[0])] == [*state_parts.cut(states[1])]


@settings(max_examples=60, deadline=None)
@given(arrivals())
def test_every_sample_is_in_one_block_or_stray_or_merged(arrived: tuple[int, list[Row]]) -> None:
    """Nothing is lost: blocks and strays hold each time of arrival once, duplicates aside."""
    channels, rows = arrived
    windows, out = Windows(domain(channels), SPEC), Out()
    fates = add(windows, rows)
    windows.flush()
    out.take(windows)
    stored = [(d, t) for d, _, times, _ in out.blocks for t in np.frombuffer(times).tolist()]
    stored += [(d, t) for d, t, _ in out.strays]
    kept = [(r[0], r[1]) for r, (duplicate, _, _) in zip(rows, fates, strict=True) if not duplicate]
    assert sorted(stored) == sorted(kept)


def reference(rows: list[Row], channels: int, spec: WindowSpec) -> dict[tuple[int, float], np.ndarray[Any, Any]]:
    """Windows written out: one sample after the other into dictionaries, every window end looked at."""
    slots: dict[tuple[int, int], tuple[float, list[float]]] = {}
    closed_s: dict[int, float] = {}
    newest: dict[int, float] = {}
    for device, ts, values in rows:
        slot = int(ts // spec.period_s)
        newest[device] = max(newest.get(device, -np.inf), ts)
        if ts >= closed_s.get(device, -np.inf):
            held = slots.get((device, slot))
            merged = list(values)
            if held is not None and held[0] == ts:
                merged = [old if np.isnan(new) else new for new, old in zip(values, held[1], strict=True)]
            slots[device, slot] = (ts, merged)
        closed_s[device] = (newest[device] - spec.lateness_s) // spec.hop_s * spec.hop_s
    windows = {}
    for device, slot in slots:
        first_end = (slot * spec.period_s // spec.hop_s + 1) * spec.hop_s
        for hop in range(round(spec.length_s / spec.hop_s)):
            end = first_end + hop * spec.hop_s
            last = closed_s[device]
            if end > last:
                continue
            start = round(end / spec.period_s) - spec.window_slots
            found = [slots.get((device, start + k)) for k in range(spec.window_slots)]
            cut = np.array([[np.nan] * channels if f is None else f[1] for f in found], np.float32)
            if not np.isnan(cut).all():
                windows[device, end] = cut
    return windows


@settings(max_examples=80, deadline=None)
@given(arrivals())
def test_windows_hold_what_the_definition_says(arrived: tuple[int, list[Row]]) -> None:
    """Ends, values and coverage of all closed windows equal those written out from the definition."""
    channels, rows = arrived
    windows = Windows(domain(channels), SPEC)
    add(windows, rows)
    got = {
        (int(f.device[i]), float(f.end_s[i])): (f.values[i], float(f.coverage[i]))
        for f in windows.close()
        for i in range(len(f))
    }
    wanted = reference(rows, channels, SPEC)
    assert got.keys() == wanted.keys()
    for key, values in wanted.items():
        np.testing.assert_array_equal(got[key][0], values)
        assert got[key][1] == pytest.approx((~np.isnan(values)).any(axis=1).mean())


@settings(max_examples=40, deadline=None)
@given(arrivals())
def test_history_is_that_of_the_samples_before_the_end(arrived: tuple[int, list[Row]]) -> None:
    """Life and horizons equal numpy's statistics of the samples in closed hops up to the window's end, none after."""
    channels, rows = arrived
    windows = Windows(domain(channels), SPEC)
    add(windows, rows)
    blocks = windows.blocks()
    for frames in windows.close():
        for i in range(len(frames)):
            device, end = int(frames.device[i]), float(frames.end_s[i])
            past = [
                (b.times[m], b.values[m])
                for b in blocks
                for m in [(np.repeat(b.device, np.diff(b.offset)) == device) & (b.times < end)]
            ]
            times = np.concatenate([t for t, _ in past])
            values = np.concatenate([v for _, v in past]).astype(np.float64)
            for horizon, start in ((None, -np.inf), (8.0, end - 8.0), (40.0, (end - 1) // 10 * 10 - 30)):
                recent = values[times >= start]
                if horizon == 40.0 and SPEC.hop_s * 2 * 5 == 40.0:  # buckets are whole hops: 2 of them, 5 buckets
                    recent = values[times >= ((end - 4) // 8 - 4) * 8]
                held = frames.history.life if horizon is None else frames.history.horizons[horizon]
                for c in range(channels):
                    sample = recent[~np.isnan(recent[:, c]), c]
                    assert held.count[i, c] == len(sample)
                    if len(sample):
                        assert held.mean[i, c] == pytest.approx(sample.mean(), abs=1e-6)
                        assert held.std[i, c] == pytest.approx(sample.std(), abs=1e-5)
                    if horizon is not None and len(sample):
                        extremes = frames.history.horizons[horizon]
                        assert (extremes.min[i, c], extremes.max[i, c]) == (sample.min(), sample.max())


def steady(device: int, start: float, count: int, value: float = 1.0) -> list[Row]:
    return [(device, start + i, (value + i % 3,)) for i in range(count)]


def test_a_gap_of_years_costs_no_more_than_a_window() -> None:
    """A device that is silent for thirty years neither yields empty windows nor allocates for them."""
    windows, out = Windows(domain(1), SPEC), Out()
    add(windows, steady(0, 1000.0, 30) + steady(0, 1e9, 30))
    out.take(windows)
    assert len(out.frames) < 30
    assert windows.bytes_per_device < 1000 + 1024  # a KiB for the hours of the week


def test_a_clock_that_jumps_back_makes_strays() -> None:
    """Samples far behind the device's newest are late and stray; they change no window and no other device."""
    windows, out = Windows(domain(1), SPEC), Out()
    add(windows, steady(0, 5000.0, 40) + steady(1, 100.0, 20))
    fates = add(windows, steady(0, 1000.0, 10))
    out.take(windows)
    assert all(late for _, late, _ in fates)
    assert len(out.strays) == 10
    assert {r[0] for r in out.frames} == {0, 1}


def test_trigger_is_the_sample_that_passed_the_end() -> None:
    """A window that ends at 1004 closes with the first sample 5 s (the lateness) or more after that."""
    windows = Windows(domain(1), SPEC)
    add(windows, steady(0, 1000.0, 10))
    (frames,) = windows.close()
    assert (frames.end_s.tolist(), frames.trigger_s.tolist()) == ([1004.0], [1009.0])


def test_calibration_holds_the_first_stretch_only() -> None:
    """Windows are warming until it is over; its statistics are of the samples before its end, for ever."""
    windows = Windows(domain(1), SPEC)
    add(windows, steady(0, 1000.0, 20) + steady(0, 1020.0, 80, value=50.0))
    (frames,) = windows.close()
    assert frames.warming.tolist() == (frames.end_s <= 1020).tolist()
    first = np.array([1.0 + i % 3 for i in range(20)])
    ready = ~frames.warming
    np.testing.assert_allclose(frames.history.calibration.mean[ready], first.mean())
    np.testing.assert_allclose(frames.history.calibration.std[ready], first.std())
    assert np.isnan(frames.history.calibration.mean[~ready]).all()


def test_a_dump_of_other_settings_is_refused() -> None:
    """A state saved with another window length is not taken."""
    other = WindowSpec(length_s=8.0, hop_s=4.0, period_s=1.0, lateness_s=5.0)
    with pytest.raises(ValueError, match="other settings"):
        Windows(domain(1), other).load(Windows(domain(1), SPEC).dump())


@pytest.mark.parametrize("wrong", [{"length_s": 1.0}, {"hop_s": 2.5}, {"lateness_s": -1.0}, {"horizons_s": (1.0,)}])
def test_a_spec_that_cannot_be_cut_is_refused(wrong: dict[str, Any]) -> None:
    """The message names the setting."""
    good: dict[str, Any] = {"length_s": 12.0, "hop_s": 4.0, "period_s": 1.0, "lateness_s": 5.0}
    with pytest.raises(ValueError, match=next(iter(wrong))):
        WindowSpec(**(good | wrong))


def test_industrial_state_is_at_most_8_kib_a_device() -> None:
    """Eight channels, a minute of samples, an hour and a day as horizons, monitoring: within the budget."""
    spec = WindowSpec(
        length_s=60.0,
        hop_s=10.0,
        period_s=1.0,
        lateness_s=5.0,
        calibration_s=300.0,
        horizons_s=(3600.0, 86400.0),
        monitor=True,
    )
    assert Windows(INDUSTRIAL, spec).bytes_per_device <= 8192
