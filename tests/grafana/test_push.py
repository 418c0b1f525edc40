"""``edgefleet grafana push`` against a Grafana of the tests: once is as twice, and what is not ours stays."""

from __future__ import annotations

import copy
import json
import threading
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest
from typer.testing import CliRunner

from contract.messages import Alert
from edgefleet.grafana_cli import grafana
from grafana import build
from grafana.influxql import ALERTS, FEATURES
from grafana.push import InfluxAccess, Push, Pushed

TOKEN = "service-account-token"
INFLUX = InfluxAccess(url="http://influx:8086", token="read", buckets={FEATURES: "points", ALERTS: "alerts"})
BOARDS = build.dashboards()
RULES = build.rules()
ALERT = Alert(
    id="abcdefghij",
    site="farm-1",
    domain="agriculture",
    device="cattle-01",
    rule="disease",
    severity="critical",
    state="firing",
    onset_s=1_700_000_000.0,
    at_s=1_700_000_000.0,
    trigger_s=1_700_000_000.0,
    score=0.97,
    summary="hot, and does not chew",
)


class FakeGrafana:
    """What Grafana's API does with the few kinds of objects that are pushed; one dictionary is all it holds."""

    def __init__(self) -> None:
        """Start empty."""
        self.objects: dict[str, dict[str, Any]] = {}
        """By the path under which each is read."""
        self.annotations: list[dict[str, Any]] = []
        self.writes: list[str] = []
        """Method and path of every change."""

    def get(self, path: str, query: dict[str, list[str]]) -> tuple[int, Any]:
        """Answer a GET."""
        if path == "/api/annotations":
            wanted = set(query["tags"])
            return 200, [each for each in self.annotations if wanted <= set(each["tags"])]
        if path == "/api/v1/provisioning/contact-points":
            points = (each for at, each in self.objects.items() if at.startswith(f"{path}/"))
            return 200, [each for each in points if each["name"] == query["name"][0]]
        found = self.objects.get(path)
        return (404, {"message": "not found"}) if found is None else (200, found)

    def post(self, path: str, body: dict[str, Any]) -> tuple[int, Any]:
        """Answer a POST."""
        self.writes.append(f"POST {path}")
        if path == "/api/annotations":
            self.annotations.append({**body, "id": len(self.annotations) + 1})
            return 200, {"id": len(self.annotations)}
        if path == "/api/dashboards/db":
            board = {**body["dashboard"], "id": 7, "version": 1}
            self.objects[f"/api/dashboards/uid/{board['uid']}"] = {"dashboard": board, "meta": {}}
            return 200, {"status": "success"}
        key = {"/api/datasources": "/api/datasources/uid"}.get(path, path)
        name = body["name"] if path.endswith("mute-timings") else body["uid"]
        shown = {field: value for field, value in body.items() if field != "secureJsonData"}
        self.objects[f"{key}/{name}"] = {**shown, "id": 3, "provenance": "api"}
        return 200, {}

    def put(self, path: str, body: dict[str, Any]) -> tuple[int, Any]:
        """Answer a PUT."""
        self.writes.append(f"PUT {path}")
        if path.startswith("/api/annotations/"):
            self.annotations[int(path.rpartition("/")[2]) - 1].update(body)
        else:
            self.objects[path] = {field: value for field, value in body.items() if field != "secureJsonData"}
        return 200, {}


@pytest.fixture
def server() -> Iterator[tuple[FakeGrafana, str]]:
    """Serve a fake Grafana; yield it and its address."""
    fake = FakeGrafana()

    class Handler(BaseHTTPRequestHandler):
        def _answer(self, method: str) -> None:
            parts = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if self.headers["Authorization"] != f"Bearer {TOKEN}":
                status, answer = 401, {"message": "Unauthorized"}
            elif method == "GET":
                status, answer = fake.get(parts.path, parse_qs(parts.query))
            else:
                status, answer = getattr(fake, method.lower())(parts.path, json.loads(body))
            text = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_GET = lambda self: self._answer("GET")  # noqa: E731, N815
        do_POST = lambda self: self._answer("POST")  # noqa: E731, N815
        do_PUT = lambda self: self._answer("PUT")  # noqa: E731, N815

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield fake, f"http://127.0.0.1:{http.server_port}"
        http.shutdown()
        thread.join()


def push(url: str, *alerts: Alert) -> list[Pushed]:
    """Push everything that there is."""
    return list(Push(url, TOKEN).everything(BOARDS, RULES, influx=INFLUX, webhook="http://pager/", alerts=alerts))


def outcomes(pushed: list[Pushed]) -> Counter[str]:
    """Count outcomes."""
    return Counter(one.outcome for one in pushed)


def test_first_push_creates_everything_and_the_second_changes_nothing(server: tuple[FakeGrafana, str]) -> None:
    fake, url = server
    first = push(url, ALERT)
    assert outcomes(first) == {"created": 1 + 2 + len(BOARDS) + 2 + len(RULES) + 1}
    state, writes = copy.deepcopy((fake.objects, fake.annotations)), len(fake.writes)
    assert outcomes(push(url, ALERT)) == {"unchanged": len(first)}
    assert (fake.objects, fake.annotations) == state
    assert len(fake.writes) == writes


def test_only_what_changed_is_written_again(server: tuple[FakeGrafana, str]) -> None:
    fake, url = server
    push(url)
    fake.objects["/api/dashboards/uid/edgefleet-fleet"]["dashboard"]["title"] = "Renamed"
    fake.objects["/api/v1/provisioning/alert-rules/edgefleet-silent"]["for"] = "5m"
    fake.writes.clear()
    assert outcomes(push(url))["updated"] == 2
    assert fake.writes == ["POST /api/dashboards/db", "PUT /api/v1/provisioning/alert-rules/edgefleet-silent"]


@pytest.mark.parametrize(
    ("path", "theirs"),
    [
        ("/api/dashboards/uid/edgefleet-fleet", {"dashboard": {"uid": "edgefleet-fleet", "title": "Mine", "tags": []}}),
        (
            "/api/v1/provisioning/alert-rules/edgefleet-silent",
            {"uid": "edgefleet-silent", "title": "Mine", "labels": {}},
        ),
        ("/api/datasources/uid/edgefleet-features", {"uid": "edgefleet-features", "name": "Mine", "jsonData": {}}),
        ("/api/v1/provisioning/contact-points/x", {"uid": "x", "name": "edgefleet-webhook", "settings": {}}),
    ],
)
def test_what_somebody_else_made_is_left_as_it_is(
    server: tuple[FakeGrafana, str], path: str, theirs: dict[str, Any]
) -> None:
    fake, url = server
    fake.objects[path] = copy.deepcopy(theirs)
    pushed = push(url)
    assert outcomes(pushed)["not ours"] == 1
    assert fake.objects[path] == theirs


def test_policies_and_others_objects_are_never_written(server: tuple[FakeGrafana, str]) -> None:
    """Not the tree of notification policies, and no annotation that is not an alert of ours."""
    fake, url = server
    fake.annotations.append({"id": 1, "tags": ["edgefleet"], "text": "a person's note", "time": 1, "timeEnd": 1})
    push(url, ALERT)
    assert not any("policies" in write for write in fake.writes)
    assert fake.annotations[0]["text"] == "a person's note"
    rules = [each for path, each in fake.objects.items() if "/alert-rules/" in path]
    assert {each["notification_settings"]["receiver"] for each in rules} == {"edgefleet-webhook"}
    assert {each["folderUID"] for each in rules} == {"edgefleet"}


def test_annotation_of_an_alert_gets_its_end_when_it_resolves(server: tuple[FakeGrafana, str]) -> None:
    fake, url = server
    push(url, ALERT)
    (mark,) = fake.annotations
    assert (mark["time"], mark["timeEnd"]) == (1_700_000_000_000, 1_700_000_000_000)
    assert mark["dashboardUID"] == "edgefleet-agriculture"
    assert mark["text"] == "disease on cattle-01: hot, and does not chew"
    push(url, msgspec.structs.replace(ALERT, state="resolved", at_s=1_700_000_600.0))
    (mark,) = fake.annotations
    assert mark["timeEnd"] == 1_700_000_600_000


def test_new_token_of_influxdb_reaches_the_data_sources(server: tuple[FakeGrafana, str]) -> None:
    _, url = server
    push(url)
    again = Push(url, TOKEN).everything(BOARDS, RULES, influx=with_token(INFLUX, "rotated"), webhook="http://pager/")
    assert [one.name for one in again if one.outcome == "updated"] == [FEATURES, ALERTS]


def with_token(influx: InfluxAccess, token: str) -> InfluxAccess:
    """Return the same access under another token."""
    return InfluxAccess(url=influx.url, token=token, buckets=influx.buckets)


def test_command_pushes_and_says_what_it_did(server: tuple[FakeGrafana, str]) -> None:
    fake, url = server
    done = CliRunner().invoke(grafana, ["push", "--url", url, "--token", TOKEN, "--json"])
    assert done.exit_code == 0, done.output
    assert {row["kind"] for row in json.loads(done.output)} == {"folder", "dashboard", "alert rule"}
    assert "/api/dashboards/uid/edgefleet-traffic" in fake.objects


def test_command_fails_with_a_wrong_token_and_writes_nothing(server: tuple[FakeGrafana, str]) -> None:
    fake, url = server
    done = CliRunner().invoke(grafana, ["push", "--url", url, "--token", "wrong"])
    assert done.exit_code == 1
    assert "Unauthorized" in done.output
    assert fake.writes == []


def test_command_builds_into_a_folder(tmp_path: Path) -> None:
    done = CliRunner().invoke(grafana, ["build", "--out", str(tmp_path)])
    assert done.exit_code == 0, done.output
    assert len(list(tmp_path.rglob("*.json"))) == len(BOARDS)
