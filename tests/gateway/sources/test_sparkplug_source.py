"""Sparkplug B from birth to death: aliases, historical values, nodes that die, and state that outlives a restart."""

from __future__ import annotations

from pathlib import Path

import pytest

from contract.domains import INDUSTRIAL
from contract.messages import DeviceState
from gateway.intake import Intake, Taken
from gateway.lane import IntakeLimits
from gateway.ports import Batch, Message
from gateway.settings_file import parse
from gateway.sources.router import compile_sources
from tests.gateway.sources.sparkplug_messages import FLOAT, INT32, UINT64, payload

NOW_S = 1_732_204_800.0
NOW_MS = round(NOW_S * 1000)
ROOT = Path(__file__).parents[3]
EXAMPLE = ROOT / "examples" / "sources" / "sparkplug-b.yaml"
NODE, DEVICE = "spBv1.0/plant/{}/press", "spBv1.0/plant/{}/press/pump"


@pytest.fixture
def reader() -> Intake:
    """Return an intake with the worked example's source."""
    settings = parse(f"state_dir: {ROOT}\n{EXAMPLE.read_text()}", EXAMPLE, {})
    domains = {"industrial": INDUSTRIAL}
    return Intake(domains, IntakeLimits(), compile_sources(settings.sources, domains, {"industrial": 1.0}, "UTC"))


def take(reader: Intake, *messages: Message) -> Taken:
    """Give messages to the intake at one time."""
    return reader.take(Batch(1, NOW_S, list(messages)))


def birth(session: int = 4) -> tuple[Message, Message]:
    """Return the births of a node and its device; the device's data may use aliases from then on."""
    node = payload({"name": "bdSeq", "datatype": UINT64, "long_value": session}, time_ms=NOW_MS, seq=0)
    device = payload(
        {"name": "Motor/Current", "alias": 1, "datatype": FLOAT, "float_value": 1.5},
        {"name": "Process/Pressure", "alias": 2, "datatype": INT32, "int_value": 2**32 - 50},
        {"name": "Motor/Colour", "alias": 3, "datatype": 12, "string_value": "red"},
        time_ms=NOW_MS,
        seq=1,
    )
    return (NODE.format("NBIRTH"), node), (DEVICE.format("DBIRTH"), device)


def values(taken: Taken) -> list[dict[str, float]]:
    """Return the samples of a batch by channel."""
    columns = taken.columns["industrial"]
    names = columns.domain.channel_names
    return [
        {"at": float(ts)} | {name: round(float(v), 4) for name, v in zip(names, row, strict=True) if v == v}  # noqa: PLR0124  # NaN
        for ts, row in zip(columns.ts, columns.values, strict=True)
    ]


def test_birth_is_a_sample_and_says_that_the_device_is_online(reader: Intake) -> None:
    """50 kPa below the atmosphere came as an unsigned number."""
    taken = take(reader, *birth())
    assert values(taken) == [{"at": NOW_S, "current_a": 1.5, "pressure_bar": -0.5}]
    assert [(str(state.device), state.state) for state in taken.states] == [
        ("plant/industrial/press-pump", DeviceState.ONLINE)
    ]


def test_data_by_alias_has_the_name_and_type_of_the_birth(reader: Intake) -> None:
    take(reader, *birth())
    data = payload({"alias": 2, "timestamp": NOW_MS + 1700, "int_value": 2**32 - 20}, {"alias": 3}, time_ms=NOW_MS)
    taken = take(reader, (DEVICE.format("DDATA"), data))
    assert values(taken) == [{"at": NOW_S + 1, "pressure_bar": -0.2}], "times are set back to the start of the period"


def test_metrics_of_one_period_meet_in_one_sample(reader: Intake) -> None:
    first = payload({"name": "Motor/Current", "timestamp": NOW_MS + 100, "float_value": 2.0})
    second = payload({"name": "Motor/Vibration", "timestamp": NOW_MS + 300, "double_value": 9.80665})
    taken = take(reader, (DEVICE.format("DDATA"), first), (DEVICE.format("DDATA"), second))
    assert values(taken) == [{"at": NOW_S, "current_a": 2.0}, {"at": NOW_S, "vibration_1_g": 1.0}]


def test_historical_values_keep_their_time(reader: Intake) -> None:
    old = {"name": "Motor/Current", "is_historical": True}
    data = payload(
        old | {"timestamp": NOW_MS - 2000, "float_value": 2.0},
        old | {"timestamp": NOW_MS - 3000, "float_value": 3.0},
        {"name": "Motor/Current", "timestamp": NOW_MS, "float_value": 4.0},
    )
    taken = take(reader, (DEVICE.format("DDATA"), data))
    assert [(row["at"] - NOW_S, row["current_a"]) for row in values(taken)] == [(-3, 3.0), (-2, 2.0), (0, 4.0)]


def test_null_is_a_missing_sample(reader: Intake) -> None:
    data = payload({"name": "Motor/Current", "is_null": True, "datatype": FLOAT}, time_ms=NOW_MS)
    assert take(reader, (DEVICE.format("DDATA"), data)).columns == {}


def test_alias_that_no_birth_explained_is_quarantined_with_its_reason(reader: Intake) -> None:
    taken = take(reader, (DEVICE.format("DDATA"), payload({"alias": 9, "float_value": 1.0}, time_ms=NOW_MS)))
    assert "ask for a rebirth" in taken.quarantined[0].reason


def test_aliases_end_with_the_birth_of_their_node(reader: Intake) -> None:
    take(reader, *birth(4))
    taken = take(reader, birth(5)[0], (DEVICE.format("DDATA"), payload({"alias": 1, "float_value": 1.0})))
    assert len(taken.quarantined) == 1


@pytest.mark.parametrize(("session", "offline"), [(4, 1), (3, 0)])
def test_death_of_a_node_takes_its_devices_along_if_it_is_of_this_session(
    reader: Intake, session: int, offline: int
) -> None:
    """The will of a connection that was replaced (another ``bdSeq``) says nothing of the present one."""
    take(reader, *birth(4))
    death = payload({"name": "bdSeq", "datatype": UINT64, "long_value": session})
    states = take(reader, (NODE.format("NDEATH"), death)).states
    assert [state.state for state in states] == [DeviceState.OFFLINE] * offline


def test_death_of_a_device_is_its_own(reader: Intake) -> None:
    take(reader, *birth())
    states = take(reader, (DEVICE.format("DDEATH"), payload(time_ms=NOW_MS))).states
    assert [state.state for state in states] == [DeviceState.OFFLINE]


def test_aliases_and_nodes_outlive_a_restart(reader: Intake) -> None:
    """What births said is part of the state: after a restart from a snapshot no rebirth is needed."""
    take(reader, *birth())
    settings = parse(f"state_dir: {ROOT}\n{EXAMPLE.read_text()}", EXAMPLE, {})
    domains = {"industrial": INDUSTRIAL}
    sources = compile_sources(settings.sources, domains, {"industrial": 1.0}, "UTC")
    again = Intake(domains, IntakeLimits(), sources)
    again.load(reader.dump())
    data = (DEVICE.format("DDATA"), payload({"alias": 1, "float_value": 3.0}, time_ms=NOW_MS))
    assert values(take(again, data)) == values(take(reader, data)) == [{"at": NOW_S, "current_a": 3.0}]
    death = (NODE.format("NDEATH"), payload({"name": "bdSeq", "datatype": UINT64, "long_value": 4}))
    assert len(take(again, death).states) == 1


def test_commands_and_states_of_hosts_are_nobodys(reader: Intake) -> None:
    taken = take(reader, (DEVICE.format("DCMD"), b"\xff"), (NODE.format("NCMD"), b"\xff"))
    assert taken.quarantined == []
    assert taken.columns == {}
