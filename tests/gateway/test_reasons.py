"""Reasons: what moved most against the device's own usual, in words."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from contract.domains import TRAFFIC
from gateway.frames import Frames, History, Horizon, Moments
from gateway.reasons import why

NAN = float("nan")


def moments(count: int, mean: list[float], std: list[float]) -> Moments:
    return Moments(np.full((1, 3), count), np.array([mean]), np.array([std]))


NOTHING = moments(0, [NAN] * 3, [NAN] * 3)
USUAL = moments(500, [1200.0, 10.0, 90.0], [100.0, 2.0, 5.0])


def frames(*rows: list[float], calibration: Moments = USUAL, life: Moments = NOTHING) -> Frames:
    one = np.ones(1)
    values = np.array([rows], np.float32)
    return Frames(np.array([0]), one, values, one.astype(np.float32), one, one == 0, History(life, calibration, {}))


def test_the_channels_that_moved_most_come_first_with_their_units() -> None:
    summary, reasons = why(TRAFFIC, frames([1300, 30, 20], [1300, NAN, 30]), 0)
    assert summary == (
        "speed_km_h 25 km/h, usually 90 (-13.0 σ); "  # noqa: RUF001
        "occupancy_pct 30 %, usually 10 (+10.0 σ); "  # noqa: RUF001
        "flow_veh_h 1300 veh/h, usually 1200 (+1.0 σ)"  # noqa: RUF001
    )
    first = reasons[0]
    assert (first.feature, first.value, first.baseline, first.sigma) == ("speed_km_h", 25.0, 90.0, -13.0)
    assert [reason.feature for reason in reasons] == ["speed_km_h", "occupancy_pct", "flow_veh_h"]


def test_only_the_most_telling_are_named() -> None:
    assert len(why(TRAFFIC, frames([1300, 30, 20]), 0, most=2)[1]) == 2


def test_a_channel_that_is_missing_is_no_reason() -> None:
    _, reasons = why(TRAFFIC, frames([NAN, 30, NAN]), 0)
    assert [reason.feature for reason in reasons] == ["occupancy_pct"]


def test_without_a_calibration_the_devices_longest_horizon_counts_then_its_life() -> None:
    life = moments(9, [0.0, 0.0, 100.0], [1.0, 1.0, 10.0])
    bare = frames([NAN, NAN, 50], calibration=NOTHING, life=life)
    assert why(TRAFFIC, bare, 0)[1][0].sigma == -5.0
    none = np.full((1, 3), NAN, np.float32)
    day = Horizon(np.full((1, 3), 9), np.full((1, 3), 70.0), np.full((1, 3), 10.0), none, none)
    week = replace(day, mean=np.full((1, 3), 80.0))
    longer = replace(bare, history=History(life, NOTHING, {86400.0: day, 604800.0: week}))
    assert why(TRAFFIC, longer, 0)[1][0].sigma == -3.0


def test_a_device_without_a_past_has_no_reasons() -> None:
    summary, reasons = why(TRAFFIC, frames([1300, 30, 20], calibration=NOTHING), 0)
    assert (summary, reasons) == ("no baseline of this device to compare with", ())


def test_a_channel_that_never_moved_before_has_a_finite_distance() -> None:
    still = moments(500, [1200.0, 10.0, 90.0], [0.0, 0.0, 0.0])
    _, reasons = why(TRAFFIC, frames([1200, 10, 99], calibration=still), 0)
    assert reasons[0].feature == "speed_km_h"
    assert reasons[0].sigma == pytest.approx(100.0)
