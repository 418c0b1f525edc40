"""The committed files are what the build gives, and hold what every dashboard must."""

from __future__ import annotations

import json
from collections import Counter
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from grafana_foundation_sdk.models.dashboard import Dashboard

from contract.domains import DOMAINS
from contract.messages import Health
from gateway.domain_pipeline import STORED_STATISTICS, STORED_TIME
from grafana import build, domain_board
from grafana.health import SEVERITIES, STATES, Look

BOARDS = {path.stem: json.loads(path.read_text()) for path in sorted((build.HERE / "dashboards").glob("*.json"))}
SOURCES = {"edgefleet-features", "edgefleet-alerts", "-- Mixed --"}
GRAFANA_UNITS = {
    # https://github.com/grafana/grafana/blob/v11.6.0/packages/grafana-data/src/valueFormats/categories.ts
    *("none", "percent", "percentunit", "short", "s", "bytes", "Bps", "mps", "ops", "dateTimeFromNow"),
    *("celsius", "accG", "amp", "volt", "pressurebar", "flowlpm", "velocitykmh"),
}

UNITS = {
    "°C": "celsius",
    "g": "accG",
    "A": "amp",
    "V": "volt",
    "bar": "pressurebar",
    "L/min": "flowlpm",
    "km/h": "velocitykmh",
    "%": "percent",
    "1": "none",
    **{unit: f"suffix: {unit}" for unit in ("bpm", "mmHg", "min/h", "1/min", "veh/h")},
}
"""Unit of a channel, as Grafana names it; what Grafana does not know is written behind the number."""

every_board = pytest.mark.parametrize("name", BOARDS)


def panels(board: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the panels that show something."""
    return [panel for panel in board["panels"] if panel["type"] != "row"]


def test_committed_files_are_what_the_build_gives() -> None:
    """Run ``edgefleet grafana build`` where this fails: a channel, a rule or a dashboard has changed."""
    present = {
        str(path.relative_to(build.HERE)): path.read_text("utf-8")
        for kind in ("dashboards/*.json", "provisioning/*/*.yaml")
        for path in build.HERE.glob(kind)
    }
    wanted = build.files()
    assert sorted(present) == sorted(wanted)
    assert [path for path in wanted if present[path] != wanted[path]] == []


def test_build_writes_what_is_missing_and_deletes_what_is_no_more(tmp_path: Path) -> None:
    gone = tmp_path / "dashboards" / "edgefleet-gone.json"
    gone.parent.mkdir()
    gone.write_text("{}")
    assert len(build.write(tmp_path)) == len(build.files()) + 1
    assert not gone.exists()
    assert build.write(tmp_path) == []


def test_every_domain_has_a_dashboard() -> None:
    named = {domain_board.uid(name) for name in DOMAINS}
    assert set(BOARDS) == named | {"edgefleet-fleet", "edgefleet-alerts", "edgefleet-gateway"}


@every_board
def test_dashboard_is_read_back_by_the_sdk(name: str) -> None:
    """The SDK's types take every field, and give its uid, title and tag."""
    board = Dashboard.from_json(BOARDS[name])
    assert board.uid == name
    assert board.title
    assert board.description
    assert board.tags == ["edgefleet"]


@every_board
def test_every_panel_says_what_it_is(name: str) -> None:
    for panel in panels(BOARDS[name]):
        defaults = panel["fieldConfig"]["defaults"]
        assert panel["title"]
        assert panel["description"].endswith(".")
        assert defaults["noValue"]
        assert defaults["unit"] in GRAFANA_UNITS or defaults["unit"].startswith("suffix: ")
        assert panel["targets"]


@every_board
def test_numbers_of_panels_are_unique(name: str) -> None:
    counts = Counter(panel["id"] for panel in BOARDS[name]["panels"])
    assert max(counts.values()) == 1


@every_board
def test_panels_do_not_overlap(name: str) -> None:
    boxes = [(panel["title"], panel["gridPos"]) for panel in BOARDS[name]["panels"]]
    assert all(box["x"] + box["w"] <= 24 for _, box in boxes)
    overlaps = [(a, b) for (a, one), (b, two) in combinations(boxes, 2) if overlap(one, two)]
    assert overlaps == []


def overlap(one: dict[str, int], two: dict[str, int]) -> bool:
    """Tell whether two boxes share a cell."""
    return (
        one["x"] < two["x"] + two["w"]
        and two["x"] < one["x"] + one["w"]
        and one["y"] < two["y"] + two["h"]
        and two["y"] < one["y"] + one["h"]
    )


@every_board
def test_every_data_source_is_one_of_ours(name: str) -> None:
    def uids(node: Any) -> set[str]:
        if isinstance(node, list):
            return set().union(*map(uids, node))
        if not isinstance(node, dict):
            return set()
        own = {node["datasource"]["uid"]} if "datasource" in node else set()
        return own.union(*map(uids, node.values()))

    assert uids(BOARDS[name]) <= SOURCES
    for panel in panels(BOARDS[name]):
        assert all("uid" in each["datasource"] for each in (panel, *panel["targets"])), f"{panel['title']} names none"


@every_board
def test_alerts_are_annotated_on_every_dashboard_but_their_own(name: str) -> None:
    annotations = BOARDS[name].get("annotations", {}).get("list", [])
    assert [each["name"] for each in annotations] == ([] if name == "edgefleet-alerts" else ["Alerts"])


@pytest.mark.parametrize("name", DOMAINS)
def test_dashboard_of_a_domain_shows_every_channel_with_range_and_unit(name: str) -> None:
    text = json.dumps(BOARDS[domain_board.uid(name)], ensure_ascii=False)
    for channel in DOMAINS[name].channels:
        assert f"Valid: {channel.low:g} … {channel.high:g} {channel.unit}" in text
        assert all(f'{channel.name}_{statistic}\\"' in text for statistic in STORED_STATISTICS)


@pytest.mark.parametrize("name", DOMAINS)
def test_values_of_a_channel_are_shown_in_its_unit(name: str) -> None:
    for channel in DOMAINS[name].channels:
        shown = {
            panel["title"]: panel["fieldConfig"]["defaults"]["unit"]
            for panel in panels(BOARDS[domain_board.uid(name)])
            if any(f'("{channel.name}_' in target["query"] for target in panel["targets"])
        }
        assert shown.pop("Against its own week") == "suffix: σ"  # noqa: RUF001
        fraction = channel.name.endswith("_fraction")
        assert set(shown.values()) == {"percentunit" if fraction else UNITS[channel.unit]}
        assert len(shown) == 3, "windows, their spread, hours"


def test_time_features_are_those_that_the_gateway_stores() -> None:
    assert domain_board.CALENDAR == STORED_TIME


def test_gateways_dashboard_shows_fields_of_its_health_only() -> None:
    text = json.dumps(BOARDS["edgefleet-gateway"])
    shown = {field for field in Health.__struct_fields__ if f'\\"{field}\\"' in text}
    assert shown == set(Health.__struct_fields__) - {"ts", "messages_total", "alerts_total"}


@every_board
def test_health_is_coloured_by_the_one_table(name: str) -> None:
    """Every mapping of a dashboard is a part of the table of health."""
    looks: dict[str, Look] = {**STATES, **{str(severity): look for severity, look in SEVERITIES.items()}}

    def mappings(node: Any) -> list[dict[str, Any]]:
        if isinstance(node, list):
            return [found for item in node for found in mappings(item)]
        if not isinstance(node, dict):
            return []
        return ([node["options"]] if node.get("type") == "value" else []) + [
            m for v in node.values() for m in mappings(v)
        ]

    for options in mappings(BOARDS[name]):
        for value, shown in options.items():
            assert (shown["text"], shown["color"]) == (looks[value].word, looks[value].colour)


def test_link_of_an_alert_leads_to_its_device_at_that_time() -> None:
    (table,) = [panel for panel in panels(BOARDS["edgefleet-alerts"]) if panel["title"].startswith("Open alerts, ")]
    (override,) = [each for each in table["fieldConfig"]["overrides"] if each["matcher"]["options"] == "device"]
    (link,) = override["properties"][0]["value"]
    assert link["url"].startswith("/d/edgefleet-${__data.fields.domain}?var-site=${__data.fields.site}&")
    assert "var-device=${__data.fields.device}&time=${__data.fields.Time.numeric}&time.window=" in link["url"]
