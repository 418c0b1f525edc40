"""Line protocol of the product, taken by another server as it is: points in are points out, whatever the strings."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from pydantic import SecretStr

from contract.messages import Alert
from contract.points import Point, alert_point, nanoseconds
from gateway.ports import Outputs
from gateway.settings import InfluxSettings
from gateway.stores.influx import InfluxStore
from tests.brokers import free_port

VICTORIA = shutil.which("victoria-metrics")
pytestmark = pytest.mark.skipif(VICTORIA is None, reason="needs victoria-metrics (Debian package of that name)")

START_S = 20.0
NASTY = (
    'a "quoted" one',
    "comma, comma",
    "a space, and = equals",
    "new\nline",
    "tab\tand return\r",
    "back\\slash\\",
    "Kühe 🐄 日本語",
    "'single' and `tick`",
    "{braces} $dollar #hash",
)


class Victoria:
    """One VictoriaMetrics with a folder of its own."""

    def __init__(self, folder: Path) -> None:
        """Choose a port."""
        self.url = f"http://127.0.0.1:{free_port()}"
        self._folder = folder

    async def export(self, session: aiohttp.ClientSession, metric: str) -> list[dict[str, Any]]:
        """Return every series of a metric, with its values and times."""
        selector = {"match[]": f'{{__name__="{metric}"}}'}
        async with session.get(f"{self.url}/api/v1/export", params=selector) as answer:
            return [json.loads(line) for line in (await answer.text()).splitlines()]


@asynccontextmanager
async def running(folder: Path) -> AsyncIterator[tuple[Victoria, aiohttp.ClientSession]]:
    """Run a server and a session with it."""
    assert VICTORIA is not None
    server = Victoria(folder)
    process = await asyncio.create_subprocess_exec(
        VICTORIA,
        f"-httpListenAddr={server.url.removeprefix('http://')}",
        f"-storageDataPath={folder}",
        "-retentionPeriod=100y",
        "-search.latencyOffset=0s",
        "-dedup.minScrapeInterval=1ms",  # a point that was written twice is one, as in InfluxDB
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with aiohttp.ClientSession() as session, asyncio.timeout(START_S):
            while not await answers(session, server.url):
                assert process.returncode is None, "victoria-metrics ended"
                await asyncio.sleep(0.02)  # between bounded looks: a process cannot be awaited to listen
        async with aiohttp.ClientSession() as session:
            yield server, session
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def answers(session: aiohttp.ClientSession, url: str) -> bool:
    """Tell whether the server is up."""
    try:
        async with session.get(f"{url}/health") as answer:
            return answer.status == 200
    except aiohttp.ClientError:
        return False


def alert(number: int, words: str) -> Alert:
    """Return an alert whose free text is nasty."""
    at_s = 1_700_000_000.0 + number
    return Alert(
        id=f"alert-{number}",
        site="s",
        domain="industrial",
        device=f"p-{number}",
        rule="anomaly",
        severity="warning",
        state="firing",
        onset_s=at_s,
        at_s=at_s,
        trigger_s=at_s,
        score=0.25 * number,
        summary=words,
    )


async def test_points_in_are_points_out(tmp_path: Path) -> None:
    """12,000 points of every value type and alerts with nasty words, in gzipped batches: each arrives once."""
    times = [nanoseconds(1_700_000_000.0 + n) for n in range(12_000)]
    points = [
        Point(
            "industrial", {"site": "s", "device": f"p-{n % 7}"}, {"x": n / 3, "count": n, "text": NASTY[n % 9]}, time_ns
        )
        for n, time_ns in enumerate(times)
    ]
    tagged = [Point("odd", {"tag": words, "n": str(n)}, {"x": float(n)}, times[n]) for n, words in enumerate(NASTY)]
    alerts = [alert(n, words) for n, words in enumerate(NASTY)]
    async with running(tmp_path) as (server, session):
        store = InfluxStore(InfluxSettings(url=server.url, token=SecretStr("any")))
        try:
            for _ in range(2):  # twice is once, also where the server has put away the first
                assert await store.write([Outputs(points=[*points, *tagged], alerts=alerts)]) == []
                async with session.get(f"{server.url}/internal/force_flush"):
                    pass
        finally:
            await store.close()
        series = await server.export(session, "industrial_x")
        found = sorted(row for each in series for row in zip(each["timestamps"], each["values"], strict=True))
        # the server keeps about twelve digits
        assert found == [(point.time_ns // 1_000_000, pytest.approx(point.fields["x"], rel=1e-9)) for point in points]
        counted = await server.export(session, "industrial_count")
        assert sum(len(each["values"]) for each in counted) == len(points)
        scores = await server.export(session, "alerts_score")
        assert {each["metric"]["device"]: each["values"] for each in scores} == {
            each.device: [alert_point(each).fields["score"]] for each in alerts
        }
        odd = await server.export(session, "odd_x")
        assert len(odd) == len(NASTY)
        words = {each["metric"]["n"]: each["metric"]["tag"] for each in odd}
        # what cannot stand in a tag is a space there, and a backslash at its end is followed by one
        assert {n: text.rstrip() for n, text in words.items()} == {
            str(n): text.translate(str.maketrans("\n\r\t", "   ")).rstrip() for n, text in enumerate(NASTY)
        }
