"""Each worked example in ``examples/sources`` reads what its project documents that it sends."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway import plans
from gateway.domains import own_domains
from gateway.intake import Intake, Taken
from gateway.ports import Batch
from gateway.settings import Settings
from gateway.settings_file import parse

ROOT = Path(__file__).parents[3]
RECORDED = sorted(Path(__file__).with_name("recorded").glob("*.yaml"))
NEAR = {False: 1e-4, True: 1e-5}
"""How near a value must come, in float32, and how near a time."""
EXAMPLES = sorted((ROOT / "examples" / "sources").glob("*.yaml"))


def example(name: str) -> Settings:
    """Return the settings of a worked example, as the gateway would read them at the repository's root."""
    file = ROOT / "examples" / "sources" / name
    text = file.read_text().replace("examples/domains", str(ROOT / "examples" / "domains"))
    return parse(f"state_dir: {ROOT}\n{text}", file, {})


def intake(name: str) -> Intake:
    """Return the intake of a gateway with a worked example's sources."""
    settings = example(name)
    own = own_domains(settings.domains_dir)
    domains = {plan.domain.name: plan.domain for plan in plans.plans(settings, (), own)}
    return Intake(domains, plans.limits(settings), plans.sources(settings, own))


@dataclass(frozen=True)
class Step:
    """One recorded message and what it must give."""

    topic: str
    payload: bytes
    rows: list[dict[str, Any]]
    states: list[list[str]]
    quarantined: str | None


def steps(recording: dict[str, Any]) -> Iterable[Step]:
    """Yield the messages of a recording."""
    for message in recording["messages"]:
        yield Step(
            message["topic"],
            message["payload"].encode(),
            message.get("rows", []),
            message.get("states", []),
            message.get("quarantined"),
        )


def rows(taken: Taken, reader: Intake) -> list[dict[str, Any]]:
    """Return what a batch gave, in the words of a recording; in order of time within a domain."""
    found = []
    for name, columns in taken.columns.items():
        names = columns.domain.channel_names
        for index, ts, seq, values in zip(columns.device, columns.ts, columns.seq, columns.values, strict=True):
            row: dict[str, Any] = {"device": str(reader.devices(name)[int(index)]), "at": float(ts)}
            row |= {"seq": int(seq)} if seq >= 0 else {}
            row |= {channel: float(v) for channel, v in zip(names, values, strict=True) if not math.isnan(v)}
            found.append(row)
    return found


@pytest.mark.parametrize("file", RECORDED, ids=lambda file: file.stem)
def test_example_reads_what_its_project_documents(file: Path) -> None:
    recording = yaml.safe_load(file.read_text())
    reader = intake(file.name)
    received_s = seconds(recording["received"])
    for position, step in enumerate(steps(recording), start=1):
        taken = reader.take(Batch(position, received_s, [(step.topic, step.payload)]))
        expected = [row | {"at": seconds(row["at"])} for row in step.rows]
        found = rows(taken, reader)
        assert [set(row) for row in found] == [set(row) for row in expected], step.topic
        for one, wanted in zip(found, expected, strict=True):
            for key, value in wanted.items():
                same = one[key] == value if isinstance(value, str) else abs(one[key] - value) < NEAR[key == "at"]
                assert same, (step.topic, key, one[key], value)
        assert [[str(each.device), each.state.value] for each in taken.states] == step.states, step.topic
        reasons = [each.reason.split(":")[0] for each in taken.quarantined]
        assert reasons == ([] if step.quarantined is None else [step.quarantined]), step.topic


def seconds(at: datetime) -> float:
    """Return a time of a recording in Unix seconds."""
    return at.timestamp()


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_every_example_is_accepted(file: Path) -> None:
    settings = example(file.name)
    assert plans.sources(settings, own_domains(settings.domains_dir)).filters


def test_every_example_with_text_payloads_has_a_recording() -> None:
    """Sparkplug B and MessagePack are bytes: their tests make them."""
    without = {file.name for file in EXAMPLES} - {file.name for file in RECORDED}
    assert without == {"sparkplug-b.yaml", "loggers.yaml"}
