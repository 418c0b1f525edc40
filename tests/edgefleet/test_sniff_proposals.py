"""What sniff proposes for a project's recorded messages reads those very messages; the command, at a real broker."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from typer.testing import CliRunner

from contract.domains import DOMAINS
from edgefleet.cli import app
from edgefleet.sniff import Sniffed, SniffError, render, sniffed, table, write
from edgefleet.sniffed_groups import Seen
from edgefleet.sniffed_projects import ignored
from gateway import plans
from gateway.domains import own_domains
from gateway.intake import Intake
from gateway.mqtt import Session, SessionSettings
from gateway.ports import Batch
from gateway.settings_file import SettingsError, load
from tests.brokers import Mosquitto

ROOT = Path(__file__).parents[2]
RECORDED = sorted((ROOT / "tests" / "gateway" / "sources" / "recorded").glob("*.yaml"))
NAMES = {
    "zigbee2mqtt": "zigbee2mqtt", "tasmota": "tasmota", "shelly": "shelly-gen2", "esphome": "esphome",
    "the-things-stack": "lorawan", "home-assistant-statestream": "statestream", "senml": "senml",
    "line-protocol": "telegraf-host",
}  # fmt: skip
"""The proposal that must be among those for a recording."""


def seen(file: Path) -> list[Seen]:
    """Return a recording three times, a minute apart."""
    recording = yaml.safe_load(file.read_text())
    at_s = recording["received"].timestamp()
    return [
        Seen(message["topic"], message["payload"].encode(), at_s + 60 * minute)
        for minute in range(3)
        for message in recording["messages"]
    ]


def accepted(found: Sniffed, folder: Path) -> Intake:
    """Write what was proposed and return the intake of a gateway that runs on it."""
    file = folder / "gateway.yaml"
    file.write_text(f"state_dir: {folder}\n")
    write(found, file)
    settings = load(file, {})
    own = own_domains(settings.domains_dir)
    domains = {plan.domain.name: plan.domain for plan in plans.plans(settings, (), own)}
    return Intake(domains, plans.limits(settings), plans.sources(settings, own))


@pytest.mark.parametrize("file", RECORDED, ids=lambda file: file.stem)
def test_proposal_reads_what_was_seen(file: Path, tmp_path: Path) -> None:
    """Every recorded message that the worked example reads, the proposal reads too, though nobody told it how."""
    found = sniffed(seen(file), DOMAINS)
    assert NAMES[file.stem] in [each.name for each in found.proposals]
    reader = accepted(found, tmp_path)
    recording = yaml.safe_load(file.read_text())
    for position, message in enumerate(recording["messages"], start=1):
        batch = Batch(position, recording["received"].timestamp(), [(message["topic"], message["payload"].encode())])
        taken = reader.take(batch)
        if message.get("rows"):
            assert sum(len(columns.ts) for columns in taken.columns.values()) >= len(message["rows"]), message["topic"]


def test_known_project_is_named_and_more_certain_than_an_unknown_one() -> None:
    known = sniffed([Seen(f"zigbee2mqtt/room{n % 2}", b'{"temperature":4.5}', 60.0 * n) for n in range(9)], DOMAINS)
    strange = sniffed([Seen(f"my/room{n % 2}/data", b'{"temperature":4.5}', 60.0 * n) for n in range(9)], DOMAINS)
    assert known.proposals[0].confidence > strange.proposals[0].confidence > 0
    assert "zigbee2mqtt's" in known.proposals[0].reasons[0]
    assert strange.proposals[0].settings["topic"] == "my/{device}/data"


def test_units_time_counter_and_period_are_found() -> None:
    messages = [
        Seen(
            "pumps/p1",
            json.dumps({"ts": 1.7e9 + 10 * n, "seq": n, "motor_current": 1.5, "rssi": -60}).encode(),
            1.7e9 + 10 * n,
        )
        for n in range(6)
    ]
    (proposal,) = sniffed(messages, {}).proposals
    assert proposal.settings["time"] == "ts"
    assert proposal.settings["seq"] == "seq"
    assert proposal.settings["fields"] == {"motor_current": "motor_current_a"}, "the radio's own field is left out"
    assert proposal.period_s == pytest.approx(10.0)
    assert table(proposal)["channels"][0]["unit"] == "A"
    assert table(proposal)["period_s"] == 10


def test_fields_of_a_known_domain_go_to_its_channels() -> None:
    reading = {"current_a": 1.5, "voltage_v": 231, "flow_l_min": 20.0}
    (proposal,) = sniffed(
        [Seen("skids/p1", json.dumps(reading).encode(), 60.0 * n) for n in range(4)], DOMAINS
    ).proposals
    assert proposal.settings["domain"] == "industrial"
    assert proposal.settings["fields"] == {
        "current_a": "current_a",
        "voltage_v": "voltage_v",
        "flow_l_min": "flow_l_min",
    }


@pytest.mark.parametrize(
    ("topic", "payload", "format_name"),
    [
        ("l/one", msgspec.msgpack.encode({"temperature": 4.5}), "messagepack"),
        ("l/one", bytes.fromhex("a16b74656d706572617475726500"), "cbor"),
        ("l/one", b"room temperature=4.5", "line-protocol"),
        ("l/one/temperature", b"4.5", "value"),
    ],
)  # fmt: skip
def test_formats_are_told_apart(topic: str, payload: bytes, format_name: str) -> None:
    (proposal,) = sniffed([Seen(topic, payload, 60.0 * n) for n in range(4)], DOMAINS).proposals
    assert proposal.settings["format"] == format_name


@pytest.mark.parametrize(
    "topic",
    [
        "fleet/v1/a/retail/b/telemetry",
        "$SYS/uptime",
        "homeassistant/sensor/x/config",
        "spBv1.0/g/NBIRTH/n",
        "zigbee2mqtt/bridge/info",
    ],
)
def test_what_needs_no_source_is_left_out_with_its_reason(topic: str) -> None:
    assert ignored(topic)
    found = sniffed([Seen(topic, b'{"temperature":4}', 1.0)], DOMAINS)
    assert found.proposals == []
    assert sum(found.left_out.values()) == 1


def test_noise_gives_no_proposal_and_no_error() -> None:
    found = sniffed(
        [Seen("a/b", payload, 1.0) for payload in (b"\xff\xfe", b"hello", b"", b"[]", b"{}", b"null")], DOMAINS
    )
    assert found.proposals == []
    assert "nothing that looks like a measurement" in render(found)


def test_section_is_ready_to_be_used() -> None:
    """What is printed is YAML whose ``sources`` are the proposals."""
    found = sniffed(seen(RECORDED[0]), DOMAINS)
    assert yaml.safe_load(render(found))["sources"] == {each.name: each.settings for each in found.proposals}


def test_nothing_is_written_over_what_is_there(tmp_path: Path) -> None:
    file = tmp_path / "gateway.yaml"
    text = f"state_dir: {tmp_path}\nsources: {{}}\n"
    file.write_text(text)
    with pytest.raises(SniffError, match="already"):
        write(sniffed(seen(RECORDED[0]), DOMAINS), file)
    assert file.read_text() == text
    file.write_text(f"state_dir: {tmp_path}\ncolour: blue\n")
    with pytest.raises(SettingsError):
        write(sniffed(seen(RECORDED[0]), DOMAINS), file)
    assert list(tmp_path.glob("**/domain.yaml")) == []


def test_nothing_is_written_where_nothing_is_proposed(tmp_path: Path) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_text(f"state_dir: {tmp_path}\n")
    with pytest.raises(SniffError, match="stays as it is"):
        write(Sniffed(0, 0, [], {}), file)
    assert file.read_text() == f"state_dir: {tmp_path}\n"


def test_a_topic_filter_that_is_none_is_refused() -> None:
    result = CliRunner().invoke(app, ["sniff", "--broker", "mqtt://127.0.0.1:1", "--topic", "a/#/b", "--for", "1s"])
    assert result.exit_code == 1
    assert "'a/#/b' is not a filter" in result.stderr


@pytest.mark.mosquitto
async def test_command_watches_a_real_broker_and_writes_nothing(mosquitto: Mosquitto, tmp_path: Path) -> None:
    publisher = SessionSettings(client_id="sensor", subscriptions=(), host=mosquitto.host, port=mosquitto.port)
    command = ("-m", "edgefleet", "sniff", "--broker", f"mqtt://127.0.0.1:{mosquitto.port}", "--for", "3s", "--json")
    python_path = f"{ROOT}:{os.environ.get('PYTHONPATH', '')}"
    async with Session(publisher) as session:
        await session.publish("zigbee2mqtt/freezer", b'{"temperature":-18.5,"humidity":60}', retain=True)
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *command,
            stdout=asyncio.subprocess.PIPE,
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": python_path},
        )
        output, _ = await asyncio.wait_for(process.communicate(), 40)
    found: dict[str, Any] = json.loads(output)
    assert process.returncode == 0
    assert found["proposals"][0]["source"]["topic"] == "zigbee2mqtt/{device}"
    assert os.listdir(tmp_path) == ["mosquitto"], "the broker's own folder"  # noqa: PTH208  # pathlib blocks, too
