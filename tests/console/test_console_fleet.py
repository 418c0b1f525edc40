"""How devices are, worst first, and that a broken sensor never reads as an ill subject."""

from __future__ import annotations

import pytest

from console.fleet import Line, fleet, search, status
from contract.topics import DeviceId
from tests.console_stores import PUMP, alert

COW = DeviceId("farm-1", "agriculture", "cow-01")


def known(who: DeviceId, **changes: float) -> Line:
    return Line(id=who, stored=int(changes.get("stored", 10)), lost=0, last_s=changes.get("last_s", 5.0))


@pytest.mark.parametrize(
    ("rule", "version", "expected"),
    [
        ("anomaly", "1.0.0", "alerting"),
        ("flat_line", None, "broken"),
        ("impossible_rate", None, "broken"),
        ("silent", None, "silent"),
        ("silent", "1.0.0", "alerting"),
    ],
)
def test_rule_and_model_say_how_a_device_is(rule: str, version: str | None, expected: str) -> None:
    assert status([alert(rule=rule, model_version=version)]) == expected


def test_worst_of_several_alerts_counts() -> None:
    silent = alert(rule="silent", model_version=None)
    assert status([silent, alert()]) == "alerting"
    assert status([silent, alert(rule="flat_line", model_version=None)]) == "broken"
    assert status([]) == "online"


def test_those_that_need_somebody_come_first_the_critical_ones_at_the_top() -> None:
    others = [DeviceId("a", "industrial", f"p-{i}") for i in range(3)]
    firing = [
        alert(others[1]),
        alert(others[2], severity="critical"),
        alert(COW, rule="silent", model_version=None),
    ]
    found = fleet([], [known(who) for who in (PUMP, COW, *others)], firing)
    assert [device.id for device in found.devices] == [others[2], others[1], COW, others[0], PUMP]


def test_tiles_count_each_site_and_domain() -> None:
    found = fleet([COW], [known(PUMP, stored=7, last_s=9.0)], [alert(PUMP)])
    tiles = {(tile.site, tile.domain): tile for tile in found.tiles}
    assert tiles["plant-1", "industrial"].worst == "alerting"
    assert tiles["plant-1", "industrial"].stored == 7
    assert tiles["plant-1", "industrial"].last_s == 9.0
    assert tiles["farm-1", "agriculture"].counts == {"online": 1}


def test_device_without_a_ledger_line_is_there_all_the_same() -> None:
    assert fleet([COW], [], []).by_id[COW].stored == 0


def test_search_wants_every_word_somewhere() -> None:
    devices = fleet([COW, PUMP], [], [alert(PUMP)]).devices
    assert [device.id for device in search(devices, "PLANT anomaly")] == [PUMP]
    assert [device.id for device in search(devices, "online")] == [COW]
    assert search(devices, "plant cow") == []
    assert len(search(devices, "  ")) == 2
    assert [device.id for device in search(devices, "", only="alerting")] == [PUMP]
