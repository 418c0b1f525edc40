"""Every query of every panel, variable, annotation and alert rule, run against a real InfluxDB, returns data."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import pytest_asyncio
import yaml

from contract.points import GATEWAY
from grafana import build
from grafana.shelves import read_rules
from tests.grafana.filled import BUCKETS, DEVICES, Run, filled_influx
from tests.grafana.macros import Range, expanded, unescaped
from tests.influx import RealInflux, needs_influxd

pytestmark = [needs_influxd, pytest.mark.asyncio(loop_scope="module")]

BOARDS = {path.stem: json.loads(path.read_text()) for path in sorted((build.HERE / "dashboards").glob("*.json"))}
RULES = [
    rule
    for group in yaml.safe_load((build.HERE / "provisioning/alerting/rules.yaml").read_text())["groups"]
    for rule in group["rules"]
]

OF_GATEWAY = f'FROM "{GATEWAY}"'


class Store:
    """The filled database, and the run that filled it."""

    def __init__(self, influx: RealInflux, run: Run) -> None:
        """Take a filled database."""
        self._influx = influx
        self.gateway = run
        self.day = Range(from_s=run.now_s - 86400.0, to_s=run.now_s)
        self.zoomed = Range(from_s=run.began_s, to_s=run.now_s)
        """What somebody chooses who looks at a gateway that began just now."""

    async def by_tags(self, target: dict[str, Any], *tags: str) -> dict[tuple[str, ...], dict[str, Any]]:
        """Return the newest row of every series that a query gives, by tags."""
        text = expanded(target["query"], self.day, {}, interval="5m")
        series = await self._influx.query(text, database=BUCKETS[target["datasource"]["uid"]])
        return {
            tuple(each["tags"][tag] for tag in tags): dict(zip(each["columns"], each["values"][-1], strict=True))
            for each in series
        }

    async def run(self, target: dict[str, Any], time_range: Range, variables: dict[str, list[str]]) -> list[Any]:
        """Return every value, less times and nulls, that a query gives."""
        interval = "1s" if time_range is self.zoomed else "5m"
        text = expanded(target["query"], time_range, variables, interval)
        series = await self._influx.query(text, database=BUCKETS[target["datasource"]["uid"]])
        return [value for each in series for row in each["values"] for value in row[1:] if value is not None]

    async def variables(self, board: dict[str, Any]) -> dict[str, list[str]]:
        """Return the values of a dashboard's variables, each with those before it at "All"."""
        found: dict[str, list[str]] = {}
        for variable in board["templating"].get("list", []):
            target = {"query": variable["query"]["query"], "datasource": variable["datasource"]}
            found[variable["name"]] = (await self.run(target, self.day, found)) or []
            assert found[variable["name"]], f"variable {variable['name']} has no values"
        return found


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def store(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Store]:
    """Fill one InfluxDB for all tests of this file."""
    async with filled_influx(tmp_path_factory.mktemp("demo")) as (influx, run):
        yield Store(influx, run)


def targets(board: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every query of a dashboard with where it stands."""
    for panel in board["panels"]:
        for target in panel.get("targets", []):
            yield f"{panel['title']} {target['refId']}", target
    for annotation in board.get("annotations", {}).get("list", []):
        yield "annotation", {**annotation["target"], "datasource": annotation["datasource"]}


@pytest.mark.parametrize("name", BOARDS)
async def test_every_query_of_a_dashboard_returns_data(store: Store, name: str) -> None:
    board = BOARDS[name]
    variables = await store.variables(board)
    empty = [
        where
        for where, target in targets(board)
        if not await store.run(target, store.zoomed if OF_GATEWAY in target["query"] else store.day, variables)
    ]
    assert empty == []


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["uid"])
async def test_query_of_an_alert_rule_returns_numbers(store: Store, rule: dict[str, Any]) -> None:
    query, *expressions = rule["data"]
    look_back_s = query["relativeTimeRange"]["from"]
    time_range = Range(from_s=store.day.to_s - max(look_back_s, 7200), to_s=store.day.to_s)
    target = {**query["model"], "query": unescaped(query["model"]["query"])}
    values = await store.run(target, time_range, {})
    assert values
    assert all(isinstance(value, int | float) for value in values)
    assert [each["datasourceUid"] for each in expressions] == ["__expr__", "__expr__"]


async def test_every_alert_is_watched_by_one_rule(store: Store) -> None:
    """A model's by its score; of all others each is seen by the rule of its name, or by the one for a site's own."""
    watched: Counter[tuple[str, ...]] = Counter()
    for rule in RULES:
        query = rule["data"][0]["model"]
        if query["datasource"]["uid"] == "edgefleet-alerts":
            own = rule["uid"] == "edgefleet-own"
            tags = ("site", "domain", "device", *(("rule",) if own else ()))
            found = await store.by_tags({**query, "query": unescaped(query["query"])}, *tags)
            name = rule["uid"].removeprefix("edgefleet-").replace("-", "_")
            watched.update(key if own else (*key, name) for key in found)
    models = {rule.name for rule in read_rules(build.MODELS).values()}
    alerts = {(each.site, each.domain, each.device, each.rule) for each in store.gateway.present}
    assert watched == Counter(alert for alert in alerts if alert[-1] not in models)
    assert {alert[-1] for alert in alerts} > {"warm", *models}


async def test_open_alerts_are_those_that_fire(store: Store) -> None:
    """The table of open alerts holds what the judge left firing, why in its words, and nothing that resolved."""
    board = BOARDS["edgefleet-alerts"]
    variables = await store.variables(board)
    (target,) = [target for where, target in targets(board) if where.startswith("Open alerts, oldest first")]
    text = expanded(target["query"], store.day, variables)
    series = await store._influx.query(text, database=BUCKETS["edgefleet-alerts"])
    reasons = {
        (each["tags"]["domain"], each["tags"]["device"], each["tags"]["rule"]): row["reason"]
        for each in series
        for row in [dict(zip(each["columns"], each["values"][0], strict=True))]
    }
    firing = {(alert.domain, alert.device, alert.rule): alert.summary for alert in store.gateway.firing}
    assert {rule for _, _, rule in firing} >= {"anomaly", "silent", "flat_line", "saturation", "impossible_rate"}
    assert any(alert.state == "resolved" for alert in store.gateway.present)
    assert reasons == firing


async def test_mean_times_are_those_of_the_alerts(store: Store) -> None:
    board = BOARDS["edgefleet-alerts"]
    variables = await store.variables(board)
    by_title = dict(targets(board))
    lasted_s = [
        alert.at_s - alert.onset_s
        for alert in store.gateway.present
        if alert.state == "resolved" and store.day.from_s <= alert.at_s
    ]
    assert len(lasted_s) > 5
    seen = await store.run(by_title["Mean time to acknowledge A"], store.day, variables)
    delays_s = store.gateway.delays_s
    assert len(delays_s) > 5
    assert seen == [pytest.approx(sum(delays_s) / len(delays_s))]
    cleared = await store.run(by_title["Mean time to clear A"], store.day, variables)
    assert cleared == [pytest.approx(sum(lasted_s) / len(lasted_s))]


async def test_fleet_counts_every_device_once(store: Store) -> None:
    """Devices are online, silent or alerting as the gateway judged them, however many alerts one has."""
    by_title = dict(targets(BOARDS["edgefleet-fleet"]))
    for ref in "ABCD":
        assert await store.run(by_title[f"Devices online {ref}"], store.day, {}) == [DEVICES]
    firing = store.gateway.firing
    silent = Counter(alert.domain for alert in firing if alert.rule == "silent")
    alerting = Counter(domain for domain, _ in {(each.domain, each.device) for each in firing if each.rule != "silent"})
    assert len(firing) > alerting.total() + silent.total(), "one device has several alerts"
    for title, counted in (("Devices silent A", silent), ("Devices alerting A", alerting)):
        found = await store.by_tags(by_title[title], "domain")
        numbers = {domain: row["sum"] for (domain,), row in found.items()}
        assert {domain: number for domain, number in numbers.items() if number} == dict(counted)
