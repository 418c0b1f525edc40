"""The InfluxDB store against a server that plays every outcome, and against a real InfluxDB."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aiohttp import web
from pydantic import SecretStr

from contract.domains import DOMAINS
from contract.messages import Alert
from contract.points import Point, acknowledgement_point
from gateway.ports import Outputs, Readings, StoreUnavailableError
from gateway.settings import InfluxSettings
from gateway.stores.influx import InfluxStore
from tests.batches import acknowledgement
from tests.brokers import free_port
from tests.influx import PlayedInflux, RealInflux, needs_influxd

START_NS = 1_700_000_000_000_000_000


def points(count: int, name: str = "p-1") -> list[Point]:
    return [Point("industrial", {"site": "s", "device": name}, {"n": n}, START_NS + n) for n in range(count)]


def some(*all_points: Point) -> list[Outputs]:
    return [Outputs(points=list(all_points))]


@asynccontextmanager
async def opened(url: str, **options: Any) -> AsyncIterator[InfluxStore]:
    settings = InfluxSettings(url=url, token=SecretStr("secret"), **options)
    store = InfluxStore(settings, DOMAINS)
    try:
        yield store
    finally:
        await store.close()


async def test_building_a_store_opens_nothing() -> None:
    async with opened("http://127.0.0.1:1") as store:
        assert store.name == "influx"


async def test_points_arrive_in_order_as_one_gzipped_request() -> None:
    async with PlayedInflux() as server, opened(server.url) as store:
        assert await store.write(some(*points(3))) == []
        assert server.lines == [f"industrial,device=p-1,site=s n={n}i {START_NS + n}" for n in range(3)]
        (request,) = server.requests
        assert request.headers["Content-Encoding"] == "gzip"
        assert request.headers["Authorization"] == "Token secret"
        assert dict(request.query) == {"org": "edgefleet", "bucket": "edgefleet", "precision": "ns"}


async def test_large_batch_is_sent_as_requests_of_five_thousand_lines() -> None:
    async with PlayedInflux() as server, opened(server.url) as store:
        await store.write([Outputs(points=points(6000)), Outputs(points=points(6000, "p-2"))])
        assert len(server.requests) == 3
        assert len(server.lines) == 12000


async def test_nothing_to_write_sends_nothing() -> None:
    async with PlayedInflux() as server, opened(server.url) as store:
        await store.write(some(Point("industrial", {}, {"only": math.nan}, START_NS)))
        assert server.requests == []


async def test_raw_readings_are_sent_only_where_asked_for() -> None:
    times = np.array([1_700_000_000.25, 1_700_000_060.0])
    values = np.array([[800.0, 10.5, math.nan], [801.0, 11.0, 88.0]], np.float32)
    readings = Readings("s", "traffic", "d-1", 0, late=False, count=2, times=times.tobytes(), values=values.tobytes())
    async with PlayedInflux() as server, opened(server.url) as quiet, opened(server.url, raw=True) as store:
        await quiet.write([Outputs(readings=[readings])])
        assert server.lines == []
        await store.write([Outputs(readings=[readings])])
        assert server.lines == [
            "traffic_raw,device=d-1,site=s flow_veh_h=800.0,occupancy_pct=10.5 1700000000250000000",
            "traffic_raw,device=d-1,site=s flow_veh_h=801.0,occupancy_pct=11.0,speed_km_h=88.0 1700000060000000000",
        ]


@pytest.mark.parametrize("status", [400, 422])
async def test_poison_points_are_found_and_the_rest_is_stored(status: int) -> None:
    """Every point but the poison ones arrives, and each poison one comes back with the server's words."""
    batch = points(1000)
    server = PlayedInflux(poison=(" n=13i", " n=500i", " n=999i"), poison_status=status)
    async with server, opened(server.url) as store:
        refused = await store.write(some(*batch))
    assert [one.point for one in refused] == [batch[13], batch[500], batch[999]]
    assert all("unable to parse 'industrial" in one.reason for one in refused)
    assert server.lines == [
        f"industrial,device=p-1,site=s n={n}i {START_NS + n}" for n in range(1000) if n not in (13, 500, 999)
    ]
    assert len(server.requests) < 80, "bisection, not one by one"


async def test_request_that_is_too_large_is_halved() -> None:
    async with PlayedInflux() as server, opened(server.url) as store:
        server.outcomes.append(web.Response(status=413, text="too large"))
        assert await store.write(some(*points(10))) == []
        assert len(server.lines) == 10
        assert len(server.requests) == 3


@pytest.mark.parametrize("status", [401, 403, 404, 429, 500, 502, 503, 504])
async def test_answer_that_blames_no_point_keeps_everything(status: int) -> None:
    async with PlayedInflux() as server, opened(server.url) as store:
        server.outcomes.append(web.Response(status=status, text="these words"))
        with pytest.raises(StoreUnavailableError, match=f"{status}: these words") as caught:
            await store.write(some(*points(3)))
        assert caught.value.retry_after_s is None
        assert await store.write(some(*points(3))) == []
        assert len(server.lines) == 3


@pytest.mark.parametrize("status", [429, 503])
async def test_retry_after_is_passed_on(status: int) -> None:
    async with PlayedInflux() as server, opened(server.url) as store:
        server.outcomes.append(web.Response(status=status, headers={"Retry-After": "17"}))
        with pytest.raises(StoreUnavailableError) as caught:
            await store.write(some(*points(3)))
        assert caught.value.retry_after_s == 17.0


@pytest.mark.parametrize("outcome", ["reset", "half", "hang"])
async def test_broken_connection_keeps_everything(outcome: str) -> None:
    async with PlayedInflux() as server, opened(server.url, timeout_s=0.3) as store:
        server.outcomes.append(outcome)
        with pytest.raises(StoreUnavailableError):
            await store.write(some(*points(3)))
        assert await store.write(some(*points(3))) == []
        assert len(server.lines) == 3


async def test_server_that_is_not_there_keeps_everything() -> None:
    async with opened(f"http://127.0.0.1:{free_port()}") as store:
        with pytest.raises(StoreUnavailableError, match="does not answer"):
            await store.write(some(*points(3)))


async def test_outage_in_the_middle_of_bisection_is_an_outage() -> None:
    """What was found so far is found again next time; nothing is refused on half the evidence."""
    async with PlayedInflux(poison=(" n=3i",)) as server, opened(server.url) as store:
        server.outcomes.extend([web.Response(status=400), web.Response(status=503)])
        with pytest.raises(StoreUnavailableError):
            await store.write(some(*points(8)))
        (refused,) = await store.write(some(*points(8)))
        assert refused.point.fields == {"n": 3}


NASTY = 'comma, space "quote" \\ back\\slash = equals\nnew line é 🐄\\'


@needs_influxd
async def test_real_influxdb_gives_back_every_value(tmp_path: Path) -> None:
    async with RealInflux(tmp_path / "influx") as influx, opened(influx.url) as store:
        alert = Alert(
            id="a,b c",
            site="s",
            domain="industrial",
            device="p-1",
            rule="anomaly",
            severity="warning",
            state="resolved",
            onset_s=1_700_000_000.0,
            at_s=1_700_000_090.5,
            trigger_s=1_700_000_091.0,
            score=1.0,
            summary=NASTY,
        )
        nasty = Point(
            "odd, name", {"tag key=": "va,l=u e\\", "site": "s"}, {"a field, =": 1.5, "text": NASTY}, START_NS
        )
        typed = Point(
            "typed",
            {"site": "s"},
            {"f": 1.0, "tiny": 1e-300, "i": 2**53 + 1, "b": True, "s": "", "nan": math.nan},
            START_NS,
        )
        for _ in range(2):  # twice is once
            assert await store.write([Outputs(alerts=[alert], points=[nasty, typed])]) == []
        (alerts,) = await influx.query("SELECT * FROM alerts")
        row = dict(zip(alerts["columns"], alerts["values"][0], strict=True))
        assert len(alerts["values"]) == 1
        assert row["summary"] == NASTY.replace("\n", " ")
        assert (row["id"], row["state"], row["duration_s"], row["severity"]) == ("a,b c", 0, 90.5, "warning")
        assert row["time"] == 1_700_000_090_500_000_000
        (odd,) = await influx.query('SELECT * FROM "odd, name"')
        row = dict(zip(odd["columns"], odd["values"][0], strict=True))
        assert row["a field, ="] == 1.5
        assert row["text"] == NASTY.replace("\n", " ")
        assert row["tag key="].rstrip() == "va,l=u e\\"
        (row_of,) = await influx.query("SELECT * FROM typed")
        row = dict(zip(row_of["columns"], row_of["values"][0], strict=True))
        assert row == {"time": START_NS, "site": "s", "f": 1.0, "tiny": 1e-300, "i": 2**53 + 1, "b": True, "s": ""}
        (keys,) = await influx.query("SHOW FIELD KEYS FROM typed")
        assert dict(keys["values"]) == {"f": "float", "tiny": "float", "i": "integer", "b": "boolean", "s": "string"}


@needs_influxd
async def test_real_influxdb_refuses_a_changed_field_type_and_stores_the_rest(tmp_path: Path) -> None:
    async with RealInflux(tmp_path / "influx") as influx, opened(influx.url) as store:
        await store.write(some(*points(1)))
        batch = points(100)
        batch[42] = Point("industrial", {"site": "s", "device": "p-1"}, {"n": "text"}, START_NS + 42)
        refused = await store.write(some(*batch))
        assert [one.point for one in refused] == [batch[42]]
        assert "field type conflict" in refused[0].reason
        (count,) = await influx.query("SELECT count(n) FROM industrial")
        assert count["values"][0][1] == 99


async def test_series_beyond_the_limit_are_refused_with_a_reason_and_the_known_ones_go_on() -> None:
    """A hostile device cannot fill the server's index; tried again, the same points have the same fate."""
    names = [f"p-{n}" for n in range(5)]
    batch = [point for name in names for point in points(2, name)]
    async with PlayedInflux() as server, opened(server.url, max_series=3) as store:
        server.outcomes.append(web.Response(status=503))
        with pytest.raises(StoreUnavailableError):
            await store.write(some(*batch))
        refused = await store.write(some(*batch))
        assert [one.point for one in refused] == batch[6:]
        assert {one.reason for one in refused} == {"industrial has 3 series, as many as influx.max_series allows"}
        assert len(server.lines) == 6
        assert await store.write(some(*points(2, "p-0"), Point("gateway", {"gateway": "edge-1"}, {"n": 1}, 1))) == []


async def test_alerts_and_answers_to_them_go_to_a_bucket_of_their_own() -> None:
    alert = Alert(
        id="abc",
        site="s",
        domain="industrial",
        device="p-1",
        rule="anomaly",
        severity="warning",
        state="firing",
        onset_s=1.0,
        at_s=1.0,
        trigger_s=1.0,
        score=1.0,
        summary="",
    )
    answer = acknowledgement_point(acknowledgement(1, delay_s=60.0))
    async with PlayedInflux() as server, opened(server.url, alerts_bucket="long") as store:
        await store.write([Outputs(alerts=[alert], points=[*points(2), answer])])
        assert [request.query["bucket"] for request in server.requests] == ["long", "edgefleet"]
        assert [line.split(",")[0] for line in server.lines] == [
            "alerts",
            "acknowledgements",
            "industrial",
            "industrial",
        ]
        assert "delay_s=60.0" in server.lines[1]
