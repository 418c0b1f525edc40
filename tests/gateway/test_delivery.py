"""Delivery: alerts overtake, a store that is away or behind holds up no other, what waits briefly needs no disk."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from gateway import app
from gateway.outbox import sqlite
from gateway.outbox.sqlite import SqliteOutbox
from gateway.ports import Outputs, Refused, StoreUnavailableError
from tests.batches import START_S, minutes
from tests.fakes import LANES, FakeOutbox, FakeStore
from tests.gateway.rig import Rig, until


async def test_alerts_overtake_a_backlog_of_points() -> None:
    """When a store is back, its alerts are written before the bulk that waited longer."""
    rig = Rig(
        stores=(FakeStore("influx"),),
        outbox=FakeOutbox({"local": LANES, "influx": LANES}),
    )
    influx = rig.stores[0]
    influx.unavailable = StoreUnavailableError("down")
    async with rig.running():
        rig.broker.deliver(*minutes(5))
        rig.broker.deliver(*minutes(3, first=300, flow_l_min=2.0))
        await until(lambda: rig.local.contents.alerts)
        influx.unavailable = None
        await until(lambda: influx.contents.alerts and influx.contents.readings)
    written = [outputs for batch in influx.batches for outputs in batch]
    kinds = ["alerts" if outputs.alerts else "features" for outputs in written if outputs.alerts or outputs.readings]
    assert kinds[0] == "alerts"


async def test_store_that_is_away_loses_nothing_and_delays_no_other() -> None:
    rig = Rig(
        stores=(FakeStore("influx"),),
        outbox=FakeOutbox({"local": LANES, "influx": LANES}),
    )
    influx = rig.stores[0]
    influx.unavailable = StoreUnavailableError("down", retry_after_s=0.01)
    async with rig.running():
        rig.broker.deliver(*minutes(2))
        await until(lambda: len(rig.local.contents.readings) > 5)
        assert not influx.contents.readings
        influx.unavailable = None
        await until(lambda: influx.contents.readings == rig.local.contents.readings)


async def test_store_that_is_away_makes_the_others_write_no_oftener(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The local store is written when a whole load waits for it, whatever waits for another store."""
    a_load = 20
    monkeypatch.setattr(app, "ROWS_A_WRITE", a_load)
    monkeypatch.setattr(app, "GATHERED_S", 3600.0)
    local, influx = FakeStore(), FakeStore("influx")
    influx.unavailable = StoreUnavailableError("down", retry_after_s=3600.0)
    outbox = SqliteOutbox(tmp_path / "outbox.db", {"local": LANES, "influx": LANES}, clock=lambda: START_S)
    rig = Rig(local=local, stores=(influx,), outbox=outbox)
    messages = minutes(10)

    async with rig.running() as flow:
        for number in range(1, 31):
            rig.broker.deliver(*messages[20 * (number - 1) : 20 * number])
            await until(lambda: flow.batches >= number and outbox.fresh_rows("local") < a_load)  # noqa: B023
        loads = [load for load in local.batches if any(outputs.readings for outputs in load)]
    outbox.close()
    assert influx.attempts
    assert len(loads) > 2
    loads.pop(0)  # which finds nothing gathered yet
    assert all(sum(outputs.rows for outputs in load) >= a_load for load in loads)


class SlowStore(FakeStore):
    """A store that takes what it is given only when a test lets it."""

    def __init__(self) -> None:
        """Start holding everything up."""
        super().__init__()
        self.open = asyncio.Event()

    async def write(self, batch: Sequence[Outputs]) -> list[Refused]:
        """Keep outputs, in the end."""
        await self.open.wait()
        return await super().write(batch)


async def behind_a_slow_store(tmp_path: Path, *, batches: int, opens: bool) -> tuple[Rig, int]:
    """Run batches past a local store that is behind, and opens or not; return gateway and most bytes on disk."""
    local = SlowStore()
    outbox = SqliteOutbox(tmp_path / "outbox.db", clock=lambda: START_S)
    rig = Rig(local=local, outbox=outbox)
    messages, on_disk = minutes(batches), [0]
    async with rig.running() as flow:
        for number in range(1, batches + 1):
            rig.broker.deliver(*messages[60 * (number - 1) : 60 * number])
            await until(rig.broker._waiting.empty)
            if opens and number == batches // 2:
                local.open.set()
            await until(lambda: flow.batches >= number or not local.open.is_set())  # noqa: B023  # awaited at once
            on_disk.append(outbox.load().size_bytes)
        await until(lambda: flow.batches >= batches)
        on_disk.append(outbox.load().size_bytes)
        local.open.set()
    outbox.close()
    return rig, max(on_disk)


async def test_outputs_wait_for_the_local_store_and_need_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a rush the store is behind for a moment: what would go to the outbox's file waits for it."""
    monkeypatch.setattr(app, "ROWS_A_WRITE", 5)
    monkeypatch.setattr(app, "AHEAD_ROWS", 10)
    monkeypatch.setattr(sqlite, "FRESH_ROWS", 20)
    rig, on_disk = await behind_a_slow_store(tmp_path, batches=8, opens=True)
    assert on_disk == 0
    assert sum(block.count for block in rig.local.contents.readings) >= 7 * 60


async def test_store_that_hangs_holds_up_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it does not take in its time goes to the file, and batches go on."""
    monkeypatch.setattr(app, "AHEAD_ROWS", 10)
    monkeypatch.setattr(app, "LET_TAKE_S", 0.01)
    monkeypatch.setattr(sqlite, "FRESH_ROWS", 20)
    rig, on_disk = await behind_a_slow_store(tmp_path, batches=8, opens=False)
    assert on_disk > 0
    assert sum(block.count for block in rig.local.contents.readings) >= 7 * 60


async def test_refused_points_are_kept_in_the_local_store_and_block_nothing() -> None:
    rig = Rig(
        stores=(FakeStore("influx", refuse=frozenset({"industrial"})),),
        outbox=FakeOutbox({"local": LANES, "influx": LANES}),
    )
    async with rig.running():
        rig.broker.deliver(*minutes(2))
        await until(lambda: rig.local.refused and rig.stores[0].contents.readings)
    assert {store for store, _ in rig.local.refused} == {"influx"}
