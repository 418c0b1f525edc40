"""The command line: help, refusals, exit codes, and what programs read."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from contract.messages import Alert
from contract.truth import Truth, encode_truth
from edgefleet.cli import app
from gateway.ports import LedgerLine, Outputs, Quarantined
from gateway.stores.local import LocalStore, QuarantineLimits

COMMANDS = (
    "demo", "gateway", "simulate", "replay", "backtest", "score", "alerts", "audit", "bench", "console", "labels",
    "sniff", "doctor", "models", "models list", "models check", "models verify", "models train", "models evaluate",
    "models export-c", "grafana", "grafana build", "grafana push",
)  # fmt: skip

ROOT = Path(__file__).parents[2]
needs_grafana = pytest.mark.skipif(find_spec("grafana_foundation_sdk") is None, reason="needs the extra grafana")


def run(*args: str) -> Result:
    return CliRunner().invoke(app, list(args))


@pytest.fixture
async def state(tmp_path: Path) -> Path:
    """Return a state folder with one device of 100 samples, an alert of a model and the truth behind it."""
    store = LocalStore(tmp_path / "store.db")
    firing = Alert(
        id="a1",
        site="s",
        domain="industrial",
        device="pump-1",
        rule="anomaly",
        severity="critical",
        state="firing",
        onset_s=1_700_000_100.0,
        at_s=1_700_000_100.0,
        trigger_s=1_700_000_100.0,
        score=0.97,
        summary="vibration_1_g [far] above usual",
        model_version="1.0.0",
    )
    ledger = LedgerLine("s", "industrial", "pump-1", 100, 98, 3, 0, 0, 2, ((7, 8),), 1_700_009_000.0)
    await store.write([Outputs(alerts=[firing], ledger=[ledger])])
    await store.close()
    truth = Truth(
        fault="leak",
        kind="fault",
        site="s",
        domain="industrial",
        device="pump-1",
        onset_s=1_700_000_000.0,
        end_s=1_700_000_600.0,
    )
    (tmp_path / "truth.jsonl").write_bytes(encode_truth(truth) + b"\n")
    return tmp_path


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself_with_an_example(command: str) -> None:
    result = run(*command.split(), "--help")
    assert result.exit_code == 0
    assert f"Example: edgefleet {command}" in result.output
    assert "--install-completion" not in result.output


def test_help_of_models_is_the_one_of_its_own_commands() -> None:
    result = run("models", "--help")
    assert result.exit_code == 0
    assert "verify" in result.output


def test_an_interrupt_while_the_command_loads_leaves_no_trace(tmp_path: Path) -> None:
    (tmp_path / "typer.py").write_text("raise KeyboardInterrupt\n")
    done = subprocess.run(
        [sys.executable, "-m", "edgefleet", "--help"],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"},
    )
    assert (done.returncode, done.stderr) == (130, "")


@pytest.mark.parametrize(
    ("args", "library", "extra"),
    [
        (("demo", "--for", "1s"), "aiomqtt", "demo"),
        (("grafana", "build"), "grafana_foundation_sdk", "grafana"),
        (("console",), "nicegui", "console"),
    ],
)
def test_a_missing_extra_is_named(args: tuple[str, ...], library: str, extra: str) -> None:
    code = f"import sys; sys.modules[{library!r}] = None; from edgefleet.cli import app; app({args!r})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == f"{library} is not installed. Install it with: pip install 'edgefleet[{extra}]'\n"


@pytest.mark.parametrize(
    "args",
    [
        ("simulate", "--broker", "mqtt://127.0.0.1:1", "--truth", "{}/truth.jsonl"),
        ("backtest", "{file}", "--domain", "industrial", "--device", "d-1", "--out", "{}/scores.csv"),
        ("models", "export-c", "industrial", "--out", "{}/c"),
        pytest.param(("grafana", "build", "--out", "{}"), marks=needs_grafana),
    ],
)
def test_a_place_that_cannot_be_written_is_named_with_a_remedy(tmp_path: Path, args: tuple[str, ...]) -> None:
    """It is a file where a folder must be: so it is for root, too."""
    place, file = tmp_path / "place", tmp_path / "a.csv"
    place.write_text("a file")
    file.write_text("time,current_a\n1583077446,1\n1583077447,1\n")
    result = run(*(arg.format(place, file=file) for arg in args))
    assert result.exit_code == 1
    assert result.stderr.startswith(f"edgefleet: {place}")
    assert "Name another place, or let this user write there." in result.stderr


def test_a_replay_that_is_stopped_says_so_and_exits_as_interrupted(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text("time,current_a\n1583077446,1\n")
    args = ("replay", str(file), "--domain", "industrial", "--device", "d-1", "--broker", "mqtt://127.0.0.1:1")
    with subprocess.Popen(
        [sys.executable, "-m", "edgefleet", *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        assert "trying again" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        output, said = process.communicate()
    assert process.returncode == 130
    assert output == "nothing was published\n"
    assert said == "stopped before the end of the recording\n"


def test_thresholds_of_a_backtest_must_fit(tmp_path: Path) -> None:
    base = ("backtest", str(tmp_path / "a.csv"), "--domain", "industrial", "--device", "d-1", "--out", "s.csv")
    for args in (("--clear-at", "0.5"), ("--raise-at", "0.4", "--clear-at", "0.5")):
        refused = run(*base, *args)
        assert refused.exit_code == 2
        assert "Give --raise-at too, and clear at or below it." in " ".join(refused.output.replace("│", " ").split())


def test_labels_of_a_folder_that_is_not_there_fail(tmp_path: Path) -> None:
    result = run("labels", "--state", str(tmp_path / "none"))
    assert result.exit_code == 1
    assert "Point --state at" in result.output


@needs_grafana
def test_a_push_reads_alerts_before_it_touches_grafana(tmp_path: Path) -> None:
    result = run("grafana", "push", "--url", "http://127.0.0.1:1", "--token", "t", "--state", str(tmp_path))
    assert result.exit_code == 1
    assert "Point --state at" in result.output


def test_help_imports_nothing_heavy() -> None:
    """Numpy, pydantic or aiomqtt would make every help text slow."""
    check = (
        "import sys, edgefleet.cli; print([m for m in ('numpy', 'pydantic', 'aiomqtt', 'yaml') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_package_runs_as_a_module() -> None:
    done = subprocess.run([sys.executable, "-m", "edgefleet", "--help"], capture_output=True, text=True, check=True)
    assert all(command.split()[0] in done.stdout for command in COMMANDS)


async def test_alerts_are_listed_for_people_and_programs(state: Path) -> None:
    (alert,) = json.loads(run("alerts", "--state", str(state), "--json").output)
    assert (alert["id"], alert["state"], alert["device"], alert["score"]) == ("a1", "firing", "pump-1", 0.97)
    assert "anomaly" in run("alerts", "--state", str(state), "--firing").output


async def test_the_audit_shows_what_became_of_every_sample(state: Path) -> None:
    (row,) = json.loads(run("audit", "--state", str(state), "--json").output)
    assert (row["published"], row["stored"], row["duplicate"], row["lost"], row["gaps"]) == (100, 98, 3, 2, [[7, 8]])
    assert "7-8" in run("audit", "--state", str(state)).output


async def test_the_audit_says_what_the_limit_of_the_quarantine_took(state: Path) -> None:
    """To people and to programs; 15 came, 10 are the limit, and room for a tenth is made at once."""
    (row,) = json.loads(run("audit", "--state", str(state), "--json").output)
    assert row["quarantine_evicted"] == 0
    store = LocalStore(state / "store.db", quarantine=QuarantineLimits(rows=10))
    refused = [Quarantined(1, place, 1_700_000_000.0, "t", "unreadable", b"{") for place in range(15)]
    await store.write([Outputs(quarantined=refused)])
    await store.close()
    assert "6 quarantined messages" in run("audit", "--state", str(state)).output
    (row,) = json.loads(run("audit", "--state", str(state), "--json").output)
    assert row["quarantine_evicted"] == 6


async def test_the_score_compares_alerts_with_the_truth(state: Path) -> None:
    truth = str(state / "truth.jsonl")
    score = json.loads(run("score", "--truth", truth, "--state", str(state), "--json").output)["industrial"]
    assert (score["faults"], score["detected"], score["precision"], score["recall"]) == (1, 1, 1.0, 1.0)
    assert score["median_delay_s"] == 100.0
    assert "industrial" in run("score", "--truth", truth, "--state", str(state)).output


@pytest.mark.parametrize("args", [("alerts",), ("audit",), ("score", "--truth", os.devnull)])
def test_a_folder_without_a_store_fails_and_says_what_to_do(tmp_path: Path, args: tuple[str, ...]) -> None:
    result = run(*args, "--state", str(tmp_path))
    assert result.exit_code == 1
    assert "Point --state at" in result.output


def test_truth_that_is_none_fails_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "truth.jsonl"
    file.write_text("hello\n")
    result = run("score", "--truth", str(file), "--state", str(tmp_path))
    assert result.exit_code == 1
    assert "line 1 is not a truth record" in result.output


def test_bad_settings_are_refused_before_anything_starts(tmp_path: Path) -> None:
    gateway, fleet = tmp_path / "gateway.yaml", tmp_path / "fleet.yaml"
    gateway.write_text("colour: red\nbroker: {port: 99999}\n")
    fleet.write_text("seed: -1\n")
    refused = run("gateway", "-c", str(gateway), "--check")
    assert refused.exit_code == 2
    assert "colour" in refused.output
    assert "broker.port" in refused.output
    refused = run("simulate", "-c", str(fleet))
    assert refused.exit_code == 2
    assert "seed" in refused.output


def test_good_settings_are_checked_without_starting(tmp_path: Path) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_text(f"state_dir: {tmp_path}\n")
    assert run("gateway", "-c", str(file), "--check").exit_code == 0
    shown = run("gateway", "-c", str(file), "--print-effective")
    assert shown.exit_code == 0
    assert "keep_alive_s: 30" in shown.output


def test_options_of_a_replay_are_refused_by_name(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text("time,current_a\n1583077446,1\n")
    base = ("replay", str(file), "--device", "d-1", "--broker", "mqtt://127.0.0.1:1")
    for args, says in (
        (("--domain", "sea"), "'sea' is none of"),
        (("--domain", "industrial", "--site", "My Site"), "'My Site' may not stand in a topic"),
        (("--domain", "industrial", "--speed", "fast"), "such as 10, or max"),
        (("--domain", "industrial", "--start", "soon"), "'soon' is not a time"),
        (("--domain", "industrial", "--period", "soon"), "is not a duration"),
        (("--domain", "traffic"), "no column is named like a channel of traffic"),
    ):
        refused = run(*base, *args)
        assert refused.exit_code == 2, says
        assert says in " ".join(refused.output.replace("│", " ").split())


def test_a_demo_does_not_mix_with_the_store_of_another_run(tmp_path: Path) -> None:
    (tmp_path / "store.db").touch()
    result = run("demo", "--state", str(tmp_path), "--for", "1s")
    assert result.exit_code == 1
    assert "another run" in result.output
