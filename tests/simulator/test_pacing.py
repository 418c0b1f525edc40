"""Pacing: due times, and publishing on a clock that stands still between two sleepers."""

from __future__ import annotations

import asyncio
import math
import time

import pytest

from simulator.pacing import Pace, WallClock, catching_up
from simulator.publishing import AT_ONCE


def test_a_sample_is_due_by_its_distance_from_the_first_one() -> None:
    pace = Pace(device_s=1000.0, wall_s=5000.0, speed=60.0)
    assert pace.due_s(1000.0) == 5000.0
    assert pace.due_s(1600.0) == 5010.0
    assert pace.reached_s(5010.0) == 1600.0
    assert pace.later(30.0).due_s(1000.0) == 5000.5


def test_time_lapse_reaches_the_present_when_asked() -> None:
    pace = catching_up(from_device_s=1000.0, from_wall_s=4940.0, until_wall_s=5000.0)
    assert pace.due_s(5000.0) == 5000.0
    assert pace.reached_s(4940.0) == 1000.0


def test_at_once_everything_is_due() -> None:
    assert AT_ONCE.due_s(1e9) == 0.0
    assert AT_ONCE.reached_s(1.0) == math.inf


async def test_the_wall_clock_waits_until_its_time_and_not_for_the_past() -> None:
    clock = WallClock()
    assert clock.now_s() == pytest.approx(time.time(), abs=1.0)
    async with asyncio.timeout(5.0):
        await clock.sleep_until(clock.now_s() - 100.0)
        at_s = clock.now_s() + 0.02
        await clock.sleep_until(at_s)
    assert clock.now_s() >= at_s - 0.002
