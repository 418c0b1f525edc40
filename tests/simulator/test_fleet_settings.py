"""Settings of a fleet, and the broker's address."""

from __future__ import annotations

from pathlib import Path

import pytest

from simulator.broker_url import BrokerUrl
from simulator.errors import RefusedError
from simulator.settings import EXAMPLE, load


def test_the_file_that_comes_along_is_valid_and_shows_the_defaults(tmp_path: Path) -> None:
    example = load(EXAMPLE)
    bare = tmp_path / "fleet.yaml"
    bare.write_text("groups: [{site: a, domain: traffic}]")
    assert {group.domain for group in example.groups} == {"agriculture", "industrial", "retail", "traffic"}
    assert load(bare).model_dump(exclude={"groups"}) == example.model_dump(exclude={"groups"})


def test_every_fault_is_reported_at_once_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "fleet.yaml"
    file.write_text(
        "seed: -1\ncolour: red\ngroups:\n  - site: Farm 1\n    domain: agriculture\n  - site: b\n    domain: sea\n"
    )
    with pytest.raises(RefusedError) as refused:
        load(file)
    found = [(fault.split()[1], fault.split()[2]) for fault in refused.value.faults]
    assert found == [("1", "seed"), ("2", "colour"), ("4", "groups.0.site"), ("7", "groups.1.domain")]
    assert f"is not a setting: {EXAMPLE} shows them all" in refused.value.faults[1]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("groups: [{site: a, domain: traffic, speed: 60}]", "set run_s"),
        ("groups: [{site: a, domain: traffic}, {site: a, domain: traffic}]", "a/traffic stand twice"),
        ("groups: []", "groups is empty"),
        ("", "groups"),
        ("groups: [", "is not YAML"),
    ],
)
def test_a_fleet_that_cannot_be_is_refused(tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "fleet.yaml"
    file.write_text(text)
    with pytest.raises(RefusedError, match=says):
        load(file)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="cannot be read"):
        load(tmp_path / "no.yaml")


def test_an_address_is_taken_apart() -> None:
    assert BrokerUrl.parse("mqtt://farm.example") == BrokerUrl(host="farm.example", port=1883)
    assert BrokerUrl.parse("mqtts://farm.example").port == 8883
    full = BrokerUrl.parse("mqtts://cow:gr%40ss@10.0.0.1:1884")
    assert full == BrokerUrl(host="10.0.0.1", port=1884, tls=True, username="cow", password="gr@ss")
    assert "gr@ss" not in repr(full)


@pytest.mark.parametrize("url", ["localhost", "http://a", "mqtt://", "mqtt://a:port", "127.0.0.1:1883"])
def test_what_is_no_address_is_refused_with_an_example(url: str) -> None:
    with pytest.raises(RefusedError, match="broker address"):
        BrokerUrl.parse(url)
