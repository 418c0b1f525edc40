"""Building a fleet."""

from __future__ import annotations

import pytest

from contract.codec import encode_burst
from simulator.errors import UnknownWorldError
from simulator.fleet import Fleet, build_fleet, device_names, load_world, span_of
from simulator.settings import FleetSettings, GroupSettings
from simulator.worlds import World

NOW_S = 1_700_000_000.0


def fleet(world: World, *, seed: int = 7, sites: tuple[str, ...] = ("one",), devices: int = 6) -> Fleet:
    groups = tuple(GroupSettings(site=site, domain="industrial", devices=devices, history_s=3600.0) for site in sites)
    settings = FleetSettings(seed=seed, run_s=60.0, groups=groups)
    return build_fleet(settings, now_s=NOW_S, world_of=lambda _: world)


def payloads(built: Fleet, site: str = "one", steps: int = 1200) -> list[bytes]:
    lines = [line for group in built.groups if group.site == site for line in group.lines]
    return [
        encode_burst([sample for step in (line.advance() for _ in range(steps)) for sample in step[0]])
        for line in lines
    ]


def test_the_same_seed_gives_the_same_bytes(world: World) -> None:
    assert payloads(fleet(world)) == payloads(fleet(world))
    assert payloads(fleet(world)) != payloads(fleet(world, seed=8))


def test_a_device_does_not_depend_on_what_else_is_in_the_fleet(world: World) -> None:
    """A site gives the same bytes and events with or without another site beside it."""
    alone, beside = fleet(world), fleet(world, sites=("one", "two"))
    assert [t for t in alone.truths if t.kind != "device_fault"] == [
        t for t in beside.truths if t.site == "one" and t.kind != "device_fault"
    ]
    assert payloads(alone) == payloads(beside)


def test_every_device_of_every_group_publishes(world: World) -> None:
    built = fleet(world, sites=("one", "two"))
    assert [str(device) for device in built.devices][:2] == ["one/industrial/pump-01", "one/industrial/pump-02"]
    assert len(set(built.devices)) == 12


def test_a_line_steps_by_the_period_from_the_start_without_drifting(world: World) -> None:
    line = fleet(world).groups[0].lines[0]
    start_s = line.next_s
    assert start_s == NOW_S - 3600.0
    for _ in range(100):
        line.advance()
    assert line.next_s == start_s + 100.0


def test_in_time_lapse_the_own_time_of_devices_reaches_the_present_at_the_end() -> None:
    """A minute of watching shows the last hour; the history lies before it; the end is a minute from now."""
    group = GroupSettings(site="one", domain="agriculture", history_s=86400.0, speed=60.0)
    span = span_of(group, 60.0, NOW_S)
    assert span.end_s == NOW_S + 60.0
    assert 3600.0 <= span.end_s - span.live_s < 3660.0
    assert span.live_s - span.start_s == 86400.0
    assert span.start_s % 60.0 == 0.0


def test_names_are_as_wide_as_the_largest_number() -> None:
    world = load_world("industrial")
    assert device_names(world.domain, 3) == ("pump-01", "pump-02", "pump-03")
    assert device_names(world.domain, 100)[6] == "pump-007"


def test_a_domain_without_a_world_is_refused_by_name() -> None:
    with pytest.raises(UnknownWorldError, match=r"simulator\.harbour"):
        load_world("harbour")
