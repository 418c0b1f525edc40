"""The offline run is the gateway's pipeline on the file's time."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from contract.domains import INDUSTRIAL
from contract.topics import device_id
from edgefleet import backtest
from edgefleet.cli import app
from gateway.intake import IntakeLimits
from gateway.pipeline import Pipeline
from simulator.replay import Recording, ReplayOptions, read_recording
from tests.batches import START_S, USUAL, batches, plan, reading

SECONDS = 600
LOW = range(300, 420)


def file_of(folder: Path) -> Path:
    """Write ten minutes of a pump with two minutes of low flow."""
    file = folder / "pump.csv"
    with file.open("w", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(["ts", *USUAL])
        for second in range(SECONDS):
            values = USUAL | ({"flow_l_min": 2.0} if second in LOW else {})
            writer.writerow([START_S + second, *(value * (1 + second % 7 / 1000) for value in values.values())])
    return file


@pytest.fixture
def recording(tmp_path: Path) -> Recording:
    """Return that file as a device."""
    device = device_id("replay", "industrial", "pump-1")
    return read_recording(file_of(tmp_path), INDUSTRIAL, device, ReplayOptions())


def test_alert_fires_and_the_windows_say_so(recording: Recording) -> None:
    found = backtest.backtest(recording, plan())
    assert [(alert.rule, alert.state) for alert in found.alerts] == [("anomaly", "firing"), ("anomaly", "resolved")]
    (fired,) = found.fired
    resolved_s = found.alerts[1].at_s
    for row in found.rows:
        if row.state != "insufficient":
            assert (row.state == "firing") == (fired.onset_s <= row.window_end < resolved_s)


def test_first_windows_hold_too_few_samples_for_a_score(recording: Recording) -> None:
    first = backtest.backtest(recording, plan()).rows[0]
    assert (first.state, first.score) == ("insufficient", None)


def test_windows_before_the_baseline_is_known_are_warming(recording: Recording) -> None:
    slow = plan()
    found = backtest.backtest(recording, replace(slow, window=replace(slow.window, calibration_s=120.0)))
    assert {row.state for row in found.rows if START_S + 60 <= row.window_end < START_S + 120} == {"warming"}


def test_rows_are_those_of_the_live_pipeline(tmp_path: Path) -> None:
    """The same samples as messages, in other batches, give the same scores and the same alerts."""
    file = tmp_path / "same.csv"
    messages = [reading(second, flow_l_min=2.0 if second in LOW else 32.0) for second in range(SECONDS)]
    samples = [json.loads(payload) for _, payload in messages]
    with file.open("w", newline="") as out:
        writer = csv.DictWriter(out, ["ts", *USUAL], extrasaction="ignore")
        writer.writeheader()
        writer.writerows(samples)
    device = device_id("plant", "industrial", "pump-1")
    offline = backtest.backtest(read_recording(file, INDUSTRIAL, device, ReplayOptions()), plan())

    live = Pipeline([plan()], IntakeLimits())
    outputs = [live.process(batch) for batch in batches(messages, size=37)]
    windows = [point for each in outputs for point in each.points if point.measurement == "industrial"]
    assert [(row.window_end, row.score, row.coverage) for row in offline.rows] == [
        (point.time_ns / 1e9, point.fields.get("score"), point.fields["coverage"]) for point in windows
    ]
    assert offline.alerts == [alert for each in outputs for alert in each.alerts]


def test_higher_threshold_fires_less(recording: Recording) -> None:
    strict = backtest.with_thresholds(plan(), 0.999, None)
    assert not backtest.backtest(recording, strict).fired


def test_command_writes_rows_and_counts_alerts(tmp_path: Path) -> None:
    file, out = file_of(tmp_path), tmp_path / "scores.csv"
    arguments = ["backtest", str(file), "--domain", "industrial", "--device", "pump-1", "--out", str(out)]
    result = CliRunner().invoke(app, [*arguments, "--raise-at", "1.0", "--json"])
    assert result.exit_code == 0, result.output
    figures = json.loads(result.stdout.splitlines()[-1])
    with out.open() as rows:
        table = list(csv.DictReader(rows))
    assert list(table[0]) == ["window_end", "score", "coverage", "state"]
    assert figures["windows"] == len(table) == sum(figures["states"].values())
    assert figures["fired_with_raise_at"] <= figures["fired"]
