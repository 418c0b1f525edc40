"""Grafana's rules are the gateway's rules; and all that is provisioned refers to what is there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from contract.domains import DOMAINS
from gateway.alerts import sensor_rules
from gateway.inference import manifest
from grafana import build, provisioning
from grafana.rules import SENSOR_RULES, alert_rules, duration
from grafana.shelves import ModelRule

PROVISIONED = build.HERE / "provisioning"
BOARDS = {board["uid"]: board for board in build.dashboards()}
SHELVES = sorted(path.parent for path in build.MODELS.glob("*/manifest.yaml"))


def read(path: str) -> Any:
    """Return one file's content."""
    return yaml.safe_load((PROVISIONED / path).read_text("utf-8"))


RULES = {rule["uid"]: rule for group in read("alerting/rules.yaml")["groups"] for rule in group["rules"]}


def threshold(rule: dict[str, Any]) -> tuple[float, float]:
    """Return the values above which a rule fires and below which it recovers."""
    (condition,) = rule["data"][-1]["model"]["conditions"]
    assert condition["evaluator"]["type"] == "gt"
    assert condition["unloadEvaluator"]["type"] == "lt"
    return condition["evaluator"]["params"][0], condition["unloadEvaluator"]["params"][0]


@pytest.mark.parametrize("shelf", SHELVES, ids=lambda path: path.name)
def test_rule_of_a_model_has_the_shelfs_levels(shelf: Path) -> None:
    """It fires at the gateway's ``raise_at``, after its dwell, and recovers below its ``clear_at``."""
    stated = manifest.read(shelf)
    rule = RULES[f"edgefleet-{stated.domain}-{stated.rule}".replace("_", "-")]
    fire_above, clear_below = threshold(rule)
    assert fire_above < stated.judging.raise_at <= fire_above + 2e-6
    assert clear_below == stated.judging.clear_at
    assert rule["for"] == duration(round(stated.judging.raise_dwell_s))
    assert rule["labels"]["severity"] == stated.severity
    assert f'FROM "{stated.domain}"' in rule["data"][0]["model"]["query"]
    assert rule["data"][0]["relativeTimeRange"]["from"] >= 3 * stated.window.hop_s


@pytest.mark.parametrize("domain", DOMAINS.values(), ids=lambda domain: domain.name)
def test_sensor_rules_are_the_gateways(domain: Any) -> None:
    assert {rule.name for rule in sensor_rules(domain, window_s=60.0)} == set(SENSOR_RULES)
    assert all(f"edgefleet-{name}".replace("_", "-") in RULES for name in SENSOR_RULES)


@pytest.mark.parametrize("rule", RULES.values(), ids=lambda rule: rule["uid"])
def test_every_rule_says_what_no_data_and_errors_mean(rule: dict[str, Any]) -> None:
    assert rule["noDataState"] in {"OK", "Alerting"}
    assert rule["execErrState"] == "Error"
    assert rule["condition"] == rule["data"][-1]["refId"]
    assert rule["labels"]["origin"] == "edgefleet"


@pytest.mark.parametrize("rule", RULES.values(), ids=lambda rule: rule["uid"])
def test_link_of_a_rule_leads_to_a_panel(rule: dict[str, Any]) -> None:
    notes = rule["annotations"]
    if "__panelId__" in notes:
        panel = {panel["id"]: panel for panel in BOARDS[notes["__dashboardUid__"]]["panels"]}[int(notes["__panelId__"])]
        assert panel["title"] == "Model score and alerts"


def test_rule_that_watches_the_gateway_fires_when_nothing_comes() -> None:
    assert RULES["edgefleet-gateway-gone"]["noDataState"] == "Alerting"


def test_routes_name_contact_points_and_mute_timings_that_are_there() -> None:
    (policy,) = read("alerting/policies.yaml")["policies"]
    names = {point["name"] for point in read("alerting/contact-points.yaml")["contactPoints"]}
    timings = {timing["name"] for timing in read("alerting/mute-timings.yaml")["muteTimes"]}
    assert names == {provisioning.WEBHOOK, provisioning.EMAIL, provisioning.BOTH}
    for route in (policy, *policy["routes"]):
        assert route["receiver"] == "$EDGEFLEET_ALERT_RECEIVER"
        assert set(route.get("mute_time_intervals", [])) <= timings


def test_files_repeat_themselves_rather_than_refer() -> None:
    """A person who reads or changes one contact point sees all of it: no file has YAML's anchors and aliases."""
    for file in PROVISIONED.rglob("*.yaml"):
        events = yaml.parse(file.read_text("utf-8"))
        assert [event for event in events if getattr(event, "anchor", None)] == []


def test_dollars_of_queries_are_doubled_and_those_of_annotations_are_not() -> None:
    """Grafana replaces ``$NAME`` from its environment in all of a rule but its annotations."""
    for rule in RULES.values():
        for query in rule["data"]:
            text = str(query["model"].get("query", ""))
            assert re.search(r"(?<!\$)(\$\$)*\$(?!\$)", text) is None
        assert "$$" not in str(rule["annotations"])


def test_data_sources_have_fixed_uids_and_the_token_header() -> None:
    sources = {source["uid"]: source for source in read("datasources/edgefleet.yaml")["datasources"]}
    assert set(sources) == {"edgefleet-features", "edgefleet-alerts"}
    for source in sources.values():
        assert source["jsonData"]["version"] == "InfluxQL"
        assert source["jsonData"]["httpHeaderName1"] == "Authorization"
        assert source["secureJsonData"]["httpHeaderValue1"].startswith("Token $__file{")


def test_a_domain_without_a_shelf_has_no_score_rule(tmp_path: Path) -> None:
    assert {rule.group for rule in build.rules(tmp_path)} == {"sensors", "own", "gateway"}


def test_dwell_is_never_rounded_down() -> None:
    stated = ModelRule(
        domain="retail",
        name="stock_out",
        severity="warning",
        meaning="",
        hop_s=60,
        raise_at=0.8,
        clear_at=0.5,
        raise_dwell_s=90.5,
        clear_dwell_s=0,
    )
    (rule, *_) = alert_rules({"retail": stated})
    assert rule.as_dict()["for"] == "1m31s"


@pytest.mark.parametrize(("seconds", "written"), [(0, "0s"), (90, "1m30s"), (3600, "1h"), (7265, "2h1m5s")])
def test_duration_is_written_as_grafana_does(seconds: int, written: str) -> None:
    assert duration(seconds) == written
