"""What the queries on the gateway's own points say of reports that are written here one by one, in a real InfluxDB."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import pytest

from contract.points import GATEWAY, Point, nanoseconds
from gateway.ports import Outputs
from gateway.settings import InfluxSettings
from gateway.stores.influx import InfluxStore
from grafana import build
from grafana.rules import alert_rules
from tests.grafana.macros import Range, expanded
from tests.influx import RealInflux, needs_influxd

pytestmark = needs_influxd

BEGAN_S: Final = 1_700_000_100.0
"""Where a bucket of five minutes begins."""
REPORT_S: Final = 10.0
(BOARD,) = (board for board in build.dashboards() if board["uid"] == "edgefleet-gateway")
(GONE,) = (rule for rule in alert_rules({}) if rule.uid == "edgefleet-gateway-gone")


@pytest.fixture
async def influx(tmp_path: Path) -> AsyncIterator[RealInflux]:
    """Run an empty InfluxDB."""
    async with RealInflux(tmp_path) as influx:
        yield influx


async def report(influx: RealInflux, gateway: str, reports: Mapping[float, Mapping[str, float]]) -> None:
    """Write what a gateway reports, by seconds since the beginning."""
    store = InfluxStore(InfluxSettings(url=influx.url, org="o", bucket=influx.database, token="t"))
    tags = {"gateway": gateway}
    points = [Point(GATEWAY, tags, {**fields}, nanoseconds(BEGAN_S + at)) for at, fields in reports.items()]
    assert await store.write([Outputs(points=points)]) == []
    await store.close()


async def shown(influx: RealInflux, title: str, interval: str) -> list[float]:
    """Return the values of a panel over ten minutes."""
    (panel,) = (panel for panel in BOARD["panels"] if panel["title"] == title)
    (target,) = panel["targets"]
    query = expanded(target["query"], Range(from_s=BEGAN_S, to_s=BEGAN_S + 600), {"gateway": ["edge-1"]}, interval)
    return [row[1] for series in await influx.query(query) for row in series["values"] if row[1] is not None]


@pytest.mark.parametrize("interval", ["10s", "20s", "1m"])
async def test_every_message_that_was_dropped_is_counted_however_far_one_zooms(
    influx: RealInflux, interval: str
) -> None:
    """Also where an interval holds one report, and what was dropped between two intervals."""
    totals = [0, 0, 1, 4, 4, 9, 9, 9, 10, 10, 12, 12]
    await report(influx, "edge-1", {n * REPORT_S: {"quarantined_total": total} for n, total in enumerate(totals)})
    first = {"10s": totals[0], "20s": totals[1], "1m": totals[5]}[interval]
    assert sum(await shown(influx, "Dropped: quarantined messages", interval)) == totals[-1] - first


async def test_time_of_an_inference_is_that_of_the_interval_and_no_restart_bends_it(influx: RealInflux) -> None:
    """Each takes 2 ms; the time in the models counts from the start of the process, inferences are never forgotten."""
    counts = [100, 200, 300, 320, 400, 600]
    spent_s = [0.2, 0.4, 0.6, 0.04, 0.2, 0.6]
    await report(
        influx,
        "edge-1",
        {
            n * REPORT_S: {"inference_s": spent, "inferences_total": count}
            for n, (spent, count) in enumerate(zip(spent_s, counts, strict=True))
        },
    )
    found = await shown(influx, "Inference time", "10s")
    assert len(found) == sum(later >= sooner for sooner, later in pairwise(spent_s))
    assert all(math.isclose(each, 0.002) for each in found)


async def gone(influx: RealInflux, at_s: float) -> dict[str, bool]:
    """Return of each gateway that the rule knows whether it fires at a time, less the time that it waits."""
    range_ = Range(from_s=BEGAN_S + at_s - GONE.look_back_s, to_s=BEGAN_S + at_s)
    series: list[dict[str, Any]] = await influx.query(expanded(GONE.query.build().text, range_, {}))
    newest = {each["tags"]["gateway"]: each["values"][-1][1] for each in series}
    return {gateway: value > GONE.fire_above for gateway, value in newest.items()}


async def test_gateway_that_is_gone_is_told_while_another_reports(influx: RealInflux) -> None:
    """No report within five minutes and as long again is enough, whatever the others do; and it is told by name."""
    beats = {n * REPORT_S: {"uptime_s": n * REPORT_S} for n in range(180)}
    early = {at: fields for at, fields in beats.items() if at < 590}
    await asyncio.gather(report(influx, "edge-1", beats), report(influx, "edge-2", early))
    assert await gone(influx, 595.0) == {"edge-1": False, "edge-2": False}
    assert await gone(influx, 700.0) == {"edge-1": False, "edge-2": True}
    assert await gone(influx, 1795.0) == {"edge-1": False, "edge-2": True}


async def test_minutes_that_have_just_begun_make_no_gateway_gone(influx: RealInflux) -> None:
    """A look at their very start sees none of a healthy gateway's reports; the rule waits longer than that lasts."""
    await report(influx, "edge-1", {5.0 + n * REPORT_S: {"uptime_s": 1.0} for n in range(30)})
    await report(influx, "edge-1", {305.0: {"uptime_s": 1.0}})
    assert await gone(influx, 301.0) == {"edge-1": True}
    assert await gone(influx, 301.0 + GONE.for_s / 2) == {"edge-1": False}
