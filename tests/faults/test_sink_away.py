"""InfluxDB down, slow, refusing, limiting, failing: ingest goes on, the disk holds what waits, order is kept."""

from __future__ import annotations

from collections import defaultdict
from itertools import islice
from pathlib import Path

import pytest
from aiohttp import web

from gateway.stores.reader import LocalReader
from tests.brokers import Mosquitto
from tests.faults.gateways import Publisher, running, settings_file, until
from tests.faults.outcomes import ledger_sums
from tests.faults.proxy import FaultProxy, Mode
from tests.faults.streams import Stream
from tests.influx import PlayedInflux

pytestmark = [pytest.mark.timeout(240), pytest.mark.mosquitto]
MESSAGES = 600
DEVICES = 5
FLAT_BYTES = 40_000_000
"""Growth of memory that is allowed while a backlog of some megabytes builds up on disk."""


class StubbornInflux(PlayedInflux):
    """Gives the same answer to every write until told otherwise."""

    answer: int | str | None = None
    """A status, what :class:`PlayedInflux` can play, or ``None`` for what it does by itself."""

    async def _write(self, request: web.Request) -> web.StreamResponse:
        if isinstance(self.answer, int):
            headers = {"Retry-After": "1"} if self.answer == 429 else {}
            self.outcomes.append(web.Response(status=self.answer, text="not now", headers=headers))
        elif self.answer is not None:
            self.outcomes.append(self.answer)
        return await super()._write(request)


FAULTS: dict[str, tuple[int | str | None, Mode]] = {
    "down": (None, "refuse"),
    "unauthorised": (401, "pass"),
    "limiting": (429, "pass"),
    "failing": (500, "pass"),
    "reset": ("reset", "pass"),
    "half an answer": ("half", "pass"),
    "time-out": ("hang", "pass"),
    "slow": (None, "slow"),
    "cut": (None, "cut"),
}


def series_of(line: str) -> str:
    """Return measurement and tags of a line."""
    return line.split(" ", 1)[0]


async def test_nothing_is_lost_or_disordered_whatever_influxdb_does(tmp_path: Path, mosquitto: Mosquitto) -> None:
    """One gateway goes through all faults; after each, everything arrives, and each series in order of time."""
    stream = iter(Stream(seed=6, devices=DEVICES, messages=MESSAGES * len(FAULTS)))
    state, total = tmp_path / "state", 0
    async with StubbornInflux() as influx, FaultProxy(int(influx.url.rsplit(":", 1)[1])) as proxy:
        settings = {"url": f"http://127.0.0.1:{proxy.port}", "token": "t", "timeout_s": 0.5}
        async with running(settings_file(tmp_path, mosquitto.port, influx=settings)) as gateway:
            await gateway.says("broker connected")
            for name, (answer, mode) in FAULTS.items():
                influx.answer, proxy.mode = answer, mode
                proxy.reset()
                before, seen = gateway.memory_bytes(), len(gateway.log)
                async with Publisher.connected(mosquitto.port) as publisher:
                    await publisher.publish(islice(stream, MESSAGES))
                total += MESSAGES
                # ingest goes on: the local store has all of it, while InfluxDB has nothing of it
                await until(lambda: ledger_sums(state).get("published", 0) >= 0.97 * total)  # noqa: B023  # awaited here
                if mode != "slow":
                    await until(lambda: any("store unavailable" in line for line in gateway.log[seen:]))  # noqa: B023
                assert gateway.memory_bytes() - before < FLAT_BYTES, name
                influx.answer, proxy.mode = None, "pass"
                proxy.reset()
                expected = windows(state)
                await until(lambda: delivered(influx) >= expected)  # noqa: B023
            assert await gateway.stop() == 0
    times: dict[str, list[int]] = defaultdict(list)
    for line in dict.fromkeys(influx.lines):  # a batch that was cut off is sent again, whole
        times[series_of(line)].append(int(line.rsplit(" ", 1)[1]))
    pumps = {name: moments for name, moments in times.items() if name.startswith("industrial,")}
    assert len(pumps) == DEVICES
    assert all(moments == sorted(moments) for moments in pumps.values())


def windows(state: Path) -> int:
    """Return how many windows the local store holds."""
    return len(LocalReader(state / "store.db").points("industrial"))


def delivered(influx: PlayedInflux) -> int:
    """Return how many windows InfluxDB holds."""
    keys = {(series_of(line), line.rsplit(" ", 1)[1]) for line in influx.lines if line.startswith("industrial,")}
    return len(keys)


async def test_alerts_come_before_the_backlog_and_poison_blocks_nothing(tmp_path: Path, mosquitto: Mosquitto) -> None:
    """A point that InfluxDB will never take is found, kept with its words, and everything else arrives."""
    state = tmp_path / "state"
    async with StubbornInflux(poison=("device=pump-3",)) as influx:
        influx.answer = 500
        async with running(
            settings_file(tmp_path, mosquitto.port, influx={"url": influx.url, "token": "t"})
        ) as gateway:
            await gateway.says("broker connected")
            async with Publisher.connected(mosquitto.port) as publisher:
                await publisher.publish(Stream(seed=7, devices=DEVICES, messages=3000))
            await until(lambda: ledger_sums(state).get("published", 0) >= 2900)
            influx.answer = None
            healthy = [
                point
                for point in LocalReader(state / "store.db").points("industrial")
                if point.tags["device"] != "pump-3"
            ]
            await until(lambda: delivered(influx) >= len(healthy))
            await until(lambda: LocalReader(state / "store.db").refused())
            assert await gateway.stop() == 0
    kinds = [
        "alerts" if line.startswith("alerts,") else "features"
        for line in influx.lines
        if not line.startswith("gateway,")
    ]
    assert kinds.index("features") == kinds.count("alerts") > 10
    refused = LocalReader(state / "store.db").refused()
    assert {(one.store, one.point.tags["device"]) for one in refused} == {("influx", "pump-3")}
    assert "unable to parse" in refused[0].reason
