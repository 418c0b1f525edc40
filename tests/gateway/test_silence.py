"""Silence: a device not heard for too long, or lost by the broker, is silent; one that said goodbye is not."""

from __future__ import annotations

import numpy as np

from contract.domains import AGRICULTURE, INDUSTRIAL
from contract.messages import DeviceState
from gateway.silence import Silence

Change = tuple[int, bool, float]


def check(room: Silence, now_s: float, *heard_s: float) -> list[Change]:
    return [(change.index, change.silent, change.after_s) for change in room.check(now_s, np.array(heard_s))]


def test_a_device_is_silent_after_ten_periods_and_at_least_thirty_seconds() -> None:
    pumps, cows = Silence(INDUSTRIAL), Silence(AGRICULTURE)
    assert check(pumps, 29.0, 0.0) == check(cows, 599.0, 0.0) == []
    assert check(pumps, 32.0, 0.0) == [(0, True, 30.0)]
    assert check(cows, 660.0, 0.0) == [(0, True, 600.0)]


def test_it_is_said_once_and_taken_back_when_the_device_speaks() -> None:
    room = Silence(INDUSTRIAL, silent_after_s=10.0)
    assert check(room, 10.0, 0.0, 5.0) == [(0, True, 10.0)]
    assert check(room, 12.0, 0.0, 5.0) == []
    assert check(room, 14.0, 13.0, 13.0) == [(0, False, 0.0)]


def test_devices_are_looked_at_only_now_and_then() -> None:
    room = Silence(INDUSTRIAL, silent_after_s=100.0)
    assert check(room, 95.0, 0.0) == []
    assert check(room, 104.0, 0.0) == []
    assert check(room, 105.0, 0.0) == [(0, True, 100.0)]


def test_a_will_is_silence_at_once_until_a_sample_comes() -> None:
    room = Silence(INDUSTRIAL)
    assert check(room, 1.0, 1.0, 1.0) == []
    room.state(1, DeviceState.OFFLINE, 1.5)
    assert check(room, 1.5, 1.0, 1.0) == [(1, True, 1.0)]
    assert check(room, 5.0, 4.5, 4.5) == [(1, False, 0.0)]


def test_a_device_that_is_online_again_is_not_silent() -> None:
    room = Silence(INDUSTRIAL)
    room.state(0, DeviceState.OFFLINE, 1.0)
    assert check(room, 1.0, 0.5) == [(0, True, 1.0)]
    room.state(0, DeviceState.ONLINE, 2.0)
    assert check(room, 2.0, 0.5) == [(0, False, 0.0)]


def test_a_device_that_stopped_is_not_silent_until_it_spoke_again() -> None:
    room = Silence(INDUSTRIAL)
    room.state(0, DeviceState.STOPPED, 1.0)
    assert check(room, 100.0, 0.5) == []
    assert check(room, 110.0, 105.0) == []
    assert check(room, 150.0, 105.0) == [(0, True, 30.0)]


def test_a_restart_goes_on_where_it_was() -> None:
    room, again = Silence(INDUSTRIAL), Silence(INDUSTRIAL)
    room.state(0, DeviceState.OFFLINE, 1.0)
    room.state(1, DeviceState.STOPPED, 1.0)
    assert check(room, 1.0, 0.5, 0.5) == [(0, True, 1.0)]
    again.load(room.dump())
    assert check(again, 2.0, 0.5, 0.5) == []
    assert check(again, 60.0, 59.0, 0.5) == [(0, False, 0.0)]
