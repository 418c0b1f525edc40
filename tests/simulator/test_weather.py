"""The weather of a site is smooth, follows day and season, and is the same whoever asks."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime
from statistics import fmean

from simulator.weather import DAY_S, HeatWave, Weather

HOUR_S = 3600.0


def at(year: int, month: int, day: int, hour: float = 0.0) -> float:
    return datetime(year, month, day, tzinfo=UTC).timestamp() + hour * HOUR_S


def test_same_site_and_seed_have_the_same_weather() -> None:
    """It has no state: asking in another order changes nothing."""
    times = [at(2026, 3, 1) + 977.0 * i for i in range(200)]
    forwards = [Weather("farm", 7).temperature_c(t_s) for t_s in times]
    weather = Weather("farm", 7)
    backwards = [weather.temperature_c(t_s) for t_s in reversed(times)]
    assert forwards == backwards[::-1]


def test_another_site_or_seed_has_other_weather() -> None:
    t_s = at(2026, 3, 1, 12.0)
    drawn = {Weather(site, seed).temperature_c(t_s) for site in ("farm", "plant") for seed in (1, 2)}
    assert len(drawn) == 4


def test_air_changes_less_than_a_tenth_of_a_degree_a_minute() -> None:
    weather = Weather("farm", 1)
    course = [weather.temperature_c(at(2026, 5, 1) + 60.0 * i) for i in range(14 * 1440)]
    assert max(abs(b - a) for a, b in itertools.pairwise(course)) < 0.1


def test_afternoons_are_warmer_than_nights_and_summers_than_winters() -> None:
    for seed in range(10):
        weather = Weather("farm", seed)
        afternoons = fmean(weather.temperature_c(at(2026, 1, 1, 15.0) + day * DAY_S) for day in range(365))
        nights = fmean(weather.temperature_c(at(2026, 1, 1, 4.0) + day * DAY_S) for day in range(365))
        summer = fmean(weather.temperature_c(at(2026, 7, 1) + hour * HOUR_S) for hour in range(31 * 24))
        winter = fmean(weather.temperature_c(at(2026, 1, 1) + hour * HOUR_S) for hour in range(31 * 24))
        assert nights + 4.0 < afternoons
        assert winter + 10.0 < summer


def test_heat_wave_is_hot_in_winter_too_and_leaves_nothing_behind() -> None:
    """Hot air takes the place of the local air from its onset to its end, and at no other time."""
    onset_s, end_s = at(2026, 1, 10, 6.0), at(2026, 1, 10, 20.0)
    plain, hot = Weather("farm", 3), Weather("farm", 3, [HeatWave(onset_s=onset_s, end_s=end_s)])
    assert hot.temperature_c(at(2026, 1, 10, 15.0)) > 32.0
    for t_s in (onset_s - 60.0, onset_s, end_s, end_s + 60.0):
        assert hot.temperature_c(t_s) == plain.temperature_c(t_s)
