"""What is usual at an hour of the week, against the definition written out; and limits on how unusual a channel is."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import ValidationError

from contract.domains import TRAFFIC, Channel, Domain
from contract.topics import DeviceId
from gateway import plans as planning
from gateway.alerts import Judge
from gateway.alerts import Windows as JudgedWindows
from gateway.calendars import Calendar
from gateway.features import FeatureSet
from gateway.frames import Frames, WindowSpec
from gateway.limits import ChannelLimit, limits
from gateway.sensors import SensorFaults
from gateway.settings import Settings
from gateway.usual import LATELY_S, LEAST_HOPS, MOST_WEEKS, WISE
from gateway.windows import Windows

NAMES = ("x_usual", "x_usual_next", "x_unusual")
HOUR_S = 3600.0
WEEK_S = 7 * 86400.0
BERLIN = ZoneInfo("Europe/Berlin")
Doubles = NDArray[np.float64]


def domain(period_s: float) -> Domain:
    row = Channel(name="x", unit="1", low=-100.0, high=100.0, description="")
    return Domain(name="test", device="test", period_s=period_s, channels=(row,))


def spec(period_s: float) -> WindowSpec:
    return WindowSpec(length_s=2 * period_s, hop_s=period_s, period_s=period_s, lateness_s=0.0, usual=True)


def frames_of(times: Doubles, values: Doubles, period_s: float, calendar: Calendar | None = None) -> list[Frames]:
    """Windows of devices that report at these times; ``values`` has shape ``(devices, times)``."""
    windows = Windows(domain(period_s), spec(period_s), calendar)
    devices, found = len(values), []
    for part in np.array_split(np.arange(len(times)), max(1, len(times) // 300)):
        device = np.tile(np.arange(devices), len(part))
        windows.add(device, np.repeat(times[part], devices), values[:, part].T.reshape(-1, 1).astype(np.float32))
        found += windows.close()
    return found


def computed(frames: list[Frames], period_s: float) -> tuple[Doubles, Doubles]:
    """Return ends and the three features of the first device."""
    features = FeatureSet(NAMES, domain(period_s), spec(period_s))
    rows = [(frame.end_s[mine], features.compute(frame)[mine]) for frame in frames for mine in [frame.device == 0]]
    ends, columns = np.concatenate([row[0] for row in rows]), np.concatenate([row[1] for row in rows])
    return ends, columns.astype(np.float64)


class WrittenOut:
    """The definition, one hop at a time, by the calendar of the standard library."""

    def __init__(self, holidays: set[date]) -> None:
        """Start with nothing known."""
        self.holidays = holidays
        self.hours: dict[tuple[int, int], tuple[float, int]] = {}
        self.open: tuple[datetime, list[float]] | None = None
        self.residuals: list[float] = []
        self.slow: list[float] = []

    def day(self, when: datetime) -> int:
        """Return the weekday; Sunday for a holiday."""
        return 6 if when.date() in self.holidays else when.weekday()

    def usual(self, when: datetime) -> float:
        """Return the weighted mean of the days' means at this hour."""
        day, total, weighed = self.day(when), 0.0, 0.0
        for other in range(7):
            mean, weeks = self.hours.get((other, when.hour), (0.0, 0))
            kin = 8.0 if other == day else 1.0 if (other >= 5) == (day >= 5) else 1.0 / 32.0
            total += kin * weeks
            weighed += kin * weeks * mean
        return weighed / total if total else float("nan")

    def hop(self, start_s: float, hop_s: float, value: float) -> tuple[float, float, float]:
        """Take a hop; return what is usual at its end, an hour later, and how unusual it is."""
        start = datetime.fromtimestamp(start_s, UTC).astimezone(BERLIN)
        hour = start.replace(minute=0, second=0, tzinfo=None)
        if self.open is not None and self.open[0] != hour:
            key = (self.day(self.open[0]), self.open[0].hour)
            mean, weeks = self.hours.get(key, (0.0, 0))
            weeks = min(weeks + 1, MOST_WEEKS)
            self.hours[key] = mean + (float(np.mean(self.open[1])) - mean) / weeks, weeks
            self.open = None
        residual = value - self.usual(start)
        unusual = float("nan")
        if not np.isnan(residual):
            lately = self.slow[-1] if self.slow else 0.0
            lately += (1.0 - np.exp(-hop_s / LATELY_S)) * (residual - lately)
            if len(self.residuals) >= LEAST_HOPS:
                parts = ((residual, self.residuals), (lately, self.slow))
                unusual = float(np.sqrt(sum(((now - np.mean(past)) / np.std(past)) ** 2 for now, past in parts)))
            self.residuals.append(residual)
            self.slow.append(lately)
        end = datetime.fromtimestamp(start_s + hop_s, UTC)
        ahead = [self.usual((end + timedelta(hours=hours)).astimezone(BERLIN)) for hours in (0, 1)]
        self.open = (hour, [*(self.open[1] if self.open else []), value])
        return ahead[0], ahead[1], unusual


def test_usual_and_unusual_are_their_definition_over_gaps_holidays_and_daylight_saving() -> None:
    """Three weeks around the end of daylight saving in Berlin, All Saints' Day not among its holidays."""
    rng, period_s = np.random.default_rng(3), 1800.0
    start_s = datetime(2024, 9, 26, 5, tzinfo=UTC).timestamp()
    times = np.asarray(start_s + period_s * np.arange(40 * 48), np.float64)
    gap = (times > start_s + 9.3 * 86400) & (times < start_s + 11.8 * 86400)
    times = times[~gap & (rng.random(len(times)) > 0.05)]
    values = np.round(10.0 + 5.0 * np.sin(times / 13750.0) + rng.standard_normal((2, len(times))), 3)
    frames = frames_of(times, values, period_s, Calendar("Europe/Berlin", "DE"))
    ends, found = computed(frames, period_s)

    written = WrittenOut({date(2024, 10, 3)})
    by_end = {
        start_s + period_s: written.hop(start_s, period_s, float(np.float32(value)))
        for start_s, value in zip(times.tolist(), values[0].tolist(), strict=True)
    }
    known = np.array([end in by_end for end in ends.tolist()])
    assert known.sum() == len(times) - 1  # the last hop is still open
    expected = np.array([by_end[end] for end in ends[known].tolist()])
    np.testing.assert_allclose(found[known], expected, rtol=1e-4, atol=1e-4)
    assert np.isfinite(expected).all(axis=1).mean() > 0.8


def healthy(weeks: int, devices: int) -> tuple[Doubles, Doubles]:
    """Devices with a rhythm of days and weeks, a shift a day and noise that forgets within an hour; five minutes."""
    rng, period_s = np.random.default_rng(11), 300.0
    times = np.asarray(1_699_920_000.0 + period_s * np.arange(weeks * 2016), np.float64)
    hour, weekday = times % 86400.0 / 3600.0, (times // 86400.0 + 3.0) % 7.0
    values = np.empty((devices, len(times)))
    for place in range(devices):
        waves = [rng.uniform(0, 1) * np.sin(turns * hour * np.pi / 12 + rng.uniform(0, 6)) for turns in (1, 2, 3)]
        kept = np.exp(-period_s / rng.uniform(700.0, 10_800.0))
        slow = np.zeros(len(times))
        for step, drawn in enumerate(rng.standard_normal(len(times)) * np.sqrt(1.0 - kept**2)):
            slow[step] = kept * slow[step - 1] + drawn
        days = np.repeat(rng.normal(0.0, 0.075, weeks * 7), 288)
        level = np.sum(waves, axis=0) * np.where(weekday < 5, 1.0, rng.uniform(0.3, 1.0))
        values[place] = level + days + 0.4 * slow + 0.2 * rng.standard_normal(len(times))
    return times, values


def alerts(closed: list[Frames], bound: float) -> list[tuple[str, float]]:
    """Device and time of the alerts of a limit that fire, by the gateway's own judge."""
    (limit,) = limits({"odd": ChannelLimit(channel="x", unusual=bound)}, domain(300.0))
    judge, found = Judge("test", [limit.rule(domain(300.0))]), []
    devices = [DeviceId("s", "test", f"d{place}") for place in range(8)]
    for frames in closed:
        all_of_them = np.ones(len(frames), np.bool_)
        windows = JudgedWindows(frames.device, frames.end_s, frames.trigger_s, all_of_them, ~all_of_them)
        scores = {"odd": limit.scores(frames, 1)}
        found += judge.judge(windows, scores, SensorFaults({}, {}), devices, lambda _w, _r: ("", ()))
    return [(alert.device, alert.at_s) for alert in found if alert.state == "firing"]


def test_a_healthy_device_raises_less_than_one_alert_a_week_and_an_odd_half_day_one() -> None:
    """From the second week on, at the stated threshold; what is one deviation too high for half a day is seen."""
    times, values = healthy(weeks=4, devices=4)
    learned_s, onset_s = times[0] + WEEK_S, times[0] + 3.2 * WEEK_S
    odd = values[:1] + np.where((times >= onset_s) & (times < onset_s + 43_200.0), 0.6, 0.0)
    fired = alerts(frames_of(times, np.concatenate([values, odd]), 300.0), WISE)

    weeks = (times[-1] - learned_s) / WEEK_S * len(values)
    assert sum(at_s > learned_s for device, at_s in fired if device != "d4") < weeks
    seen = {device for device, at_s in fired if onset_s <= at_s < onset_s + 43_200.0}
    assert "d4" in seen
    assert "d0" not in seen


def test_a_plan_holds_what_is_usual_where_a_limit_asks_for_it() -> None:
    """Others do not pay for it."""
    odd = {"channel": "speed_km_h", "unusual": WISE}
    for stated, held in (({"odd": odd}, True), ({}, False)):
        given = Settings.model_validate({"domains": {TRAFFIC.name: {"limits": stated}}})
        (plan,) = [plan for plan in planning.plans(given, ()) if plan.domain.name == TRAFFIC.name]
        assert plan.window.usual is held


@pytest.mark.parametrize(
    "given", [{}, {"above": 1.0, "unusual": 3.0}, {"unusual": -1.0}, {"unusual": 3.0, "clear": 4.0}]
)
def test_a_limit_without_sense_is_refused(given: dict[str, float]) -> None:
    """One kind of limit, above 0, that clears on the good side."""
    with pytest.raises(ValidationError):
        ChannelLimit.model_validate({"channel": "x", **given})


def test_an_unusual_alert_says_what_is_unusual() -> None:
    """Value and distance, in words."""
    times, values = healthy(weeks=1, devices=1)
    values[:, -3:] = 30.0
    last = frames_of(times, values, 300.0)[-1]
    (limit,) = limits({"odd": ChannelLimit(channel="x", unusual=WISE)}, domain(300.0))
    said, _ = limit.why(last, len(last) - 1, 1)
    assert said.startswith("x is 30, ")
    assert "deviations from what is usual here at this hour" in said
