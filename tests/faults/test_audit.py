"""The ledger is proven: `edgefleet audit` accounts for every sample of a real run, down to what a limit took."""

from __future__ import annotations

import asyncio
import json
import sys
from itertools import chain, islice
from pathlib import Path
from typing import Any

import pytest

from gateway.stores.reader import LocalReader
from tests.brokers import Mosquitto
from tests.faults.crashes import LAST, arrived, finished
from tests.faults.gateways import ROOT, Publisher, running, settings_file, until
from tests.faults.outcomes import ledger_sums
from tests.faults.streams import Stream

pytestmark = [pytest.mark.timeout(120), pytest.mark.mosquitto]
HOLE = range(1900, 1920)  # among the newest sixteen, which the ledger names


async def audit(state: Path) -> dict[str, dict[str, Any]]:
    """Return what the command says, by device."""
    command = (sys.executable, "-m", "edgefleet", "audit", "--state", str(state), "--json")
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=asyncio.subprocess.PIPE)
    text, _ = await process.communicate()
    return {row["device"]: row for row in json.loads(text)}


async def test_audit_accounts_for_every_sample(tmp_path: Path, mosquitto: Mosquitto) -> None:
    """A hole in the counters is reported with its range; InfluxDB is away and its outbox too small, and that shows."""
    away = {"url": "http://127.0.0.1:1", "token": "t", "raw": True}
    file = settings_file(tmp_path, mosquitto.port, influx=away, outbox={"max_mb": 0.5})
    stream = Stream(seed=30, devices=4, messages=8000)
    async with running(file) as gateway:
        await gateway.says("broker connected")
        async with Publisher.connected(mosquitto.port) as publisher:
            messages = finished(stream)
            heard = chain(islice(messages, 4 * HOLE.start), islice(messages, 4 * len(HOLE), None))
            sent = 0
            while part := list(islice(heard, 800)):  # no more than the local store takes before the outbox is full
                await publisher.publish(part)
                sent += len(part)
                await until(lambda: ledger_sums(tmp_path / "state").get("published", 0) >= 0.97 * sent)  # noqa: B023
        await until(lambda: arrived(tmp_path / "state"))
        await gateway.says("outbox over its limit")
        await until(lambda: LocalReader(tmp_path / "state" / "store.db").reductions())
        assert await gateway.stop() == 0
    rows = await audit(tmp_path / "state")
    del rows[LAST.device]
    assert set(rows) == {f"pump-{n}" for n in range(4)}
    for row in rows.values():
        assert any(first <= HOLE.start and HOLE[-1] <= last for first, last in row["gaps"])
        assert len(HOLE) <= row["lost"]
        assert row["published"] <= row["stored"] + row["quarantined"] + row["lost"]
        assert row["delivered"] >= row["stored"]
        assert row["thinned"] > 0
        (first, *_) = row["reductions"]
        assert first["stores"] == ["influx"]
        assert "limit" in first["reason"]
        assert first["first_s"] <= first["last_s"]
