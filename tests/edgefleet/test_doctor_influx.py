"""What the doctor says of InfluxDB, against a server that answers as InfluxDB does, and against a real one."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from pydantic import SecretStr
from typer.testing import CliRunner

from edgefleet.cli import app
from edgefleet.doctor_influx import influxdb_findings
from edgefleet.findings import Finding
from gateway.settings import InfluxSettings
from tests.brokers import free_port
from tests.influx import RealInflux, needs_influxd

DATE = "Tue, 14 Nov 2023 22:13:20 GMT"
DATE_S = 1_700_000_000.0


@dataclass
class Answers:
    """How the server is."""

    buckets: dict[str, int] = field(default_factory=lambda: {"points": 90 * 86400, "alerts": 0})
    """Retention of each bucket, seconds; 0 is for ever."""
    write: int = 204
    token: str = "good"
    all_access: bool = False

    def to(self, method: str, url: str, token: str) -> tuple[int, object]:
        """Return status and body of one answer."""
        parts = urlsplit(url)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        if parts.path == "/ping":
            return 204, None
        if token != self.token:
            return 401, {"code": "unauthorized"}
        if parts.path == "/api/v2/write":
            return (self.write, None) if query["bucket"] in self.buckets else (404, {"code": "not found"})
        if parts.path == "/api/v2/buckets":
            rules = [{"name": n, "retentionRules": [{"everySeconds": s}]} for n, s in self.buckets.items()]
            return 200, {"buckets": [each for each in rules if each["name"] == query["name"] and self.all_access]}
        return (200, {"results": []}) if self.all_access else (401, {"code": "unauthorized"})


@pytest.fixture
def server() -> Iterator[Callable[[Answers], InfluxSettings]]:
    """Serve answers; the settings that are returned name the server."""
    started: list[tuple[ThreadingHTTPServer, threading.Thread]] = []

    def serve(answers: Answers) -> InfluxSettings:
        class Handler(BaseHTTPRequestHandler):
            def _answer(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                token = (self.headers["Authorization"] or "").removeprefix("Token ")
                status, body = answers.to(self.command, self.path, token)
                text = b"" if body is None else json.dumps(body).encode()
                self.send_response_only(status)
                self.send_header("Date", DATE)
                self.send_header("X-Influxdb-Version", "v2.7.12")
                if status != 204:
                    self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            do_GET = do_POST = _answer  # noqa: N815  # the names of http.server

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        started.append((http, thread))
        return InfluxSettings(
            url=f"http://127.0.0.1:{http.server_port}", token=SecretStr("good"), bucket="points", alerts_bucket="alerts"
        )

    yield serve
    for http, thread in started:
        http.shutdown()
        thread.join()
        http.server_close()


def examined(settings: InfluxSettings, now_s: float = DATE_S) -> dict[str, Finding]:
    """Return findings by what they are about."""
    return {finding.check: finding for finding in influxdb_findings(settings, lambda: now_s)}


def test_good_server_has_nothing_to_mend(server: Callable[[Answers], InfluxSettings]) -> None:
    found = examined(server(Answers()))
    assert {finding.severity for finding in found.values()} == {"ok"}
    assert "v2.7.12" in found["influxdb"].text
    assert found["influxdb bucket points"].text == "the token may write it"
    assert found["influxdb token on alerts"].text == "may write, not read"


def test_all_access_token_and_endless_retention_are_warned_of(server: Callable[[Answers], InfluxSettings]) -> None:
    found = examined(server(Answers(all_access=True)))
    assert found["influxdb retention of points"].text == "90 days"
    assert found["influxdb retention of alerts"].severity == "warning"
    assert found["influxdb token on points"].severity == "warning"
    assert "all-access" in found["influxdb token on points"].remedy


@pytest.mark.parametrize(("status", "remedy"), [(401, "not known"), (403, "may not write"), (503, "server's log")])
def test_refused_write_says_what_to_do(server: Callable[[Answers], InfluxSettings], status: int, remedy: str) -> None:
    found = examined(server(Answers(write=status)))
    assert found["influxdb bucket points"].severity == "critical"
    assert remedy in found["influxdb bucket points"].remedy


def test_missing_bucket_is_named(server: Callable[[Answers], InfluxSettings]) -> None:
    found = examined(server(Answers(buckets={"points": 1})))
    assert found["influxdb bucket points"].severity == "ok"
    assert "There is no bucket alerts" in found["influxdb bucket alerts"].remedy


@pytest.mark.parametrize(("now_s", "level"), [(DATE_S + 4, "ok"), (DATE_S + 60, "warning"), (DATE_S - 60, "warning")])
def test_clock_difference(server: Callable[[Answers], InfluxSettings], now_s: float, level: str) -> None:
    found = examined(server(Answers()), now_s)
    assert found["influxdb clock"].severity == level
    assert f"{DATE_S + 0.5 - now_s:+.1f} s" in found["influxdb clock"].text


def test_server_that_is_not_there_ends_the_examination() -> None:
    found = examined(InfluxSettings(url=f"http://127.0.0.1:{free_port()}", token=SecretStr("x")))
    assert list(found) == ["influxdb"]
    assert found["influxdb"].severity == "critical"


def test_doctor_looks_at_the_influxdb_of_the_settings(
    server: Callable[[Answers], InfluxSettings], tmp_path: Path
) -> None:
    file = tmp_path / "gateway.yaml"

    def severity(answers: Answers) -> str:
        url = server(answers).url
        file.write_text(f"state_dir: {tmp_path}\ninflux: {{url: '{url}', token: good, bucket: points}}\n")
        done = CliRunner().invoke(app, ["doctor", "-c", str(file), "--json"])
        found = {each["check"]: each["severity"] for each in json.loads(done.stdout)}
        return str(found["influxdb bucket points"])

    assert severity(Answers()) == "ok"
    assert severity(Answers(write=403)) == "critical"


@needs_influxd
async def test_real_influxdb_is_reached(tmp_path: Path) -> None:
    """A 1.x server behind the tests' shim answers pings with its version and time; the write is taken."""
    async with RealInflux(tmp_path, database="points") as influx:
        own = InfluxSettings(url=influx._own, token=SecretStr("any"), bucket="points")
        found = {each.check: each for each in await asyncio.to_thread(lambda: list(influxdb_findings(own)))}
    assert found["influxdb"].severity == "ok"
    assert found["influxdb clock"].severity == "ok"
    assert found["influxdb bucket points"].severity == "critical", "1.6.7 has no /api/v2/write"
