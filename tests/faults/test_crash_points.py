"""Wherever the process or the power dies, the next life makes the store whole; a fault put in on purpose is found."""

from __future__ import annotations

import itertools
import os
import random
from collections.abc import Callable

import pytest

from contract.points import ACKNOWLEDGEMENTS
from gateway import alerts
from tests.batches import minutes
from tests.faults.crash_points import World, crashed, rows, uninterrupted

MESSAGES = [*minutes(2), *minutes(2, first=120, flow_l_min=2.0), *minutes(2, first=240)]
STEP = int(os.environ.get("EDGEFLEET_CRASH_STEP", "11"))
"""One in so many calls of a port is one at which the gateway dies; `make faults` takes each of them."""


async def faults_found(make: Callable[[], World], *, power: bool, enough: int = 1) -> list[str]:
    """Return crash points after which the store is not what it should be, up to ``enough``."""
    expected, calls = await uninterrupted(MESSAGES)
    assert len(expected.alerts) == 2
    assert sum(point.measurement == ACKNOWLEDGEMENTS for point in expected.points) == 2
    found: list[str] = []
    for at, after in itertools.product(range(1, calls + 1, STEP), (False, True)):
        left = await crashed(make(), at, after=after, power=power, seed=at)
        if rows(left) != rows(expected):
            found.append(f"call {at}, {'after' if after else 'before'} its effect")
            if len(found) == enough:
                break
    return found


@pytest.mark.timeout(900)
@pytest.mark.parametrize("power", [False, True], ids=["kill", "power cut"])
async def test_every_crash_point_leaves_what_an_uninterrupted_run_leaves(power: bool) -> None:  # noqa: FBT001  # a parameter of the test
    assert await faults_found(lambda: World(MESSAGES), power=power) == []


async def test_lost_ack_is_found() -> None:
    """Mutation: messages are acknowledged before they are committed."""
    assert await faults_found(lambda: World(MESSAGES, acknowledges_late=False), power=False)


async def test_skipped_fsync_is_found() -> None:
    """Mutation: a snapshot is kept, and batches forgotten, without the outbox being synced first."""
    assert await faults_found(lambda: World(MESSAGES, flush_syncs=False), power=True)


async def test_key_that_is_not_idempotent_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Mutation: an alert's id is drawn instead of derived, so a replay gives another one."""
    draw = random.Random(1)
    monkeypatch.setattr(alerts, "alert_id", lambda *_: f"{draw.getrandbits(50):x}")
    assert await faults_found(lambda: World(MESSAGES), power=False)
