"""Scripts of the containers: InfluxDB's set-up, health checks, and the bad link."""

from __future__ import annotations

import asyncio
import json
import random
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from contract.points import GATEWAY, Point, nanoseconds
from deploy.compose.healthy import LATEST_S, console_is_well, fleet_is_well, gateway_is_well
from deploy.compose.influx_setup import BUCKETS, set_up
from deploy.compose.init_secrets import Vault
from deploy.compose.link import Link, Trouble
from gateway.ports import Outputs
from gateway.stores.local import LocalStore

ADMIN = "admin-token"
NOW_S = 1_700_000_000.0


class FakeInflux:
    """The few calls of InfluxDB's management API that the set-up makes."""

    def __init__(self) -> None:
        """Start with the one bucket that InfluxDB's own set-up makes."""
        self.buckets: dict[str, dict[str, Any]] = {"edgefleet": {"id": "b0", "name": "edgefleet", "retentionRules": []}}
        self.tokens: dict[str, dict[str, Any]] = {ADMIN: {}}
        self.writes: list[str] = []

    def answer(self, method: str, url: str, body: Any, token: str) -> tuple[int, Any]:  # noqa: PLR0911  # a table of calls
        """Answer one request."""
        parts = urlsplit(url)
        query = parse_qs(parts.query)
        if token not in self.tokens:
            return 401, {"code": "unauthorized"}
        if method != "GET":
            self.writes.append(f"{method} {parts.path}")
        match method, parts.path:
            case "GET", "/api/v2/orgs":
                return 200, {"orgs": [{"id": "o1"}]}
            case "GET", "/api/v2/buckets":
                named = query.get("name", [""])[0]
                return 200, {"buckets": [bucket for name, bucket in self.buckets.items() if name == named]}
            case "POST", "/api/v2/buckets":
                self.buckets[body["name"]] = {**body, "id": f"b{len(self.buckets)}"}
                return 201, self.buckets[body["name"]]
            case "PATCH", _:
                changed = next(each for each in self.buckets.values() if parts.path.endswith(each["id"]))
                changed |= body
                return 200, changed
            case "POST", "/api/v2/authorizations":
                made = f"token-{len(self.tokens)}"
                self.tokens[made] = body
                return 201, {"token": made}
        return 404, {}


@pytest.fixture
def influx() -> Iterator[tuple[FakeInflux, str]]:
    """Serve the fake; yield it and its address."""
    fake = FakeInflux()

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            token = self.headers["Authorization"].removeprefix("Token ")
            status, answer = fake.answer(self.command, self.path, json.loads(body or b"null"), token)
            text = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_POST = do_PATCH = _answer  # noqa: N815  # the names of http.server

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield fake, f"http://127.0.0.1:{http.server_port}"
        http.shutdown()
        thread.join()


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    """Return a vault with the administrator's token."""
    made = Vault(tmp_path, lambda *_: None)
    made.write("influxdb/admin.token", ADMIN)
    return made


def test_buckets_keep_points_and_alerts_for_their_time(influx: tuple[FakeInflux, str], vault: Vault) -> None:
    fake, url = influx
    set_up(vault, {"EDGEFLEET_FEATURES_DAYS": "30"}, url)
    kept = {name: bucket["retentionRules"][0]["everySeconds"] / 86400 for name, bucket in fake.buckets.items()}
    assert kept == {"edgefleet": 30, "edgefleet-alerts": 730}


def test_gateway_may_write_and_grafana_may_read_and_neither_more(influx: tuple[FakeInflux, str], vault: Vault) -> None:
    fake, url = influx
    set_up(vault, {}, url)
    for file, action in (("gateway/influx.token", "write"), ("grafana/influx.token", "read")):
        permissions = fake.tokens[vault.read(file)]["permissions"]
        assert {permission["action"] for permission in permissions} == {action}
        assert {permission["resource"]["id"] for permission in permissions} == {"b0", "b1"}
        assert len(permissions) == len(BUCKETS)


def test_second_set_up_changes_nothing_but_a_token_that_is_refused(
    influx: tuple[FakeInflux, str], vault: Vault
) -> None:
    fake, url = influx
    set_up(vault, {}, url)
    before, reader = vault.read("gateway/influx.token"), vault.read("grafana/influx.token")
    fake.writes.clear()
    set_up(vault, {}, url)
    assert fake.writes == []
    del fake.tokens[before]
    set_up(vault, {}, url)
    assert vault.read("gateway/influx.token") not in {before, ADMIN}
    assert vault.read("grafana/influx.token") == reader


async def test_gateway_is_well_while_it_reports(tmp_path: Path) -> None:
    file = tmp_path / "store.db"
    assert not gateway_is_well(file, NOW_S)
    store = LocalStore(file)
    await store.write([Outputs(points=[Point(GATEWAY, {"gateway": "edge-1"}, {"devices": 1}, nanoseconds(NOW_S))])])
    assert gateway_is_well(file, NOW_S + LATEST_S - 1)
    assert not gateway_is_well(file, NOW_S + LATEST_S + 1)
    await store.close()


@pytest.mark.parametrize(("state", "well"), [("01", True), ("02", False)])
def test_fleet_is_well_while_it_is_connected(tmp_path: Path, state: str, *, well: bool) -> None:
    connections, truth = tmp_path / "tcp", tmp_path / "truth"
    connections.write_text(f"  sl local rem st\n   0: 0100007F:A1B2 0100007F:075B {state} rest\n")
    assert not fleet_is_well(truth, connections)
    truth.write_text("{}")
    assert fleet_is_well(truth, connections) == well


@pytest.mark.parametrize(("status", "well"), [(200, True), (500, False)])
def test_console_is_well_while_it_answers(status: int, *, well: bool) -> None:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        page = f"http://127.0.0.1:{http.server_port}/login"
        thread = threading.Thread(target=http.handle_request)
        thread.start()
        assert console_is_well(page) == well
        thread.join()
    assert not console_is_well(page), "nobody listens"


async def test_link_passes_bytes_until_it_is_cut_and_again_when_it_is_back() -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while piece := await reader.read(100):
            writer.write(piece)
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    link = Link("127.0.0.1", port, Trouble(delay_s=(0.0, 0.0)), random.Random(1))
    front = await asyncio.start_server(link.serve, "127.0.0.1", 0)
    where = front.sockets[0].getsockname()[:2]

    async def said(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        writer.write(b"hello")
        try:
            return await asyncio.wait_for(reader.read(5), 5)
        except ConnectionError:
            return b""

    reader, writer = await asyncio.open_connection(*where)
    assert await said(reader, writer) == b"hello"
    link.cut()
    assert await said(reader, writer) == b""
    writer.close()
    reader, writer = await asyncio.open_connection(*where)
    assert await said(reader, writer) == b"", "down"
    writer.close()
    link.up = True
    reader, writer = await asyncio.open_connection(*where)
    assert await said(reader, writer) == b"hello"
    writer.close()
    front.close()
    server.close()
    _, left = await asyncio.wait(asyncio.all_tasks() - {asyncio.current_task()}, timeout=5)
    assert not left, "every connection has come to its end"
