"""``edgefleet models`` says what it found, and by its exit code too."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from edgefleet.models_cli import models

SHELVES = Path(__file__).parents[2] / "models"
RUN = CliRunner()


def test_list_names_the_four_shelves() -> None:
    result = RUN.invoke(models, ["list", "--json"])
    assert result.exit_code == 0
    listed = json.loads(result.stdout)
    assert [shelf["domain"] for shelf in listed] == ["agriculture", "industrial", "retail", "traffic"]
    assert {shelf["rule"] for shelf in listed} == {"disease", "anomaly", "stock_out", "congestion"}


def test_check_passes_an_int8_model_and_fails_a_float_one() -> None:
    good = RUN.invoke(models, ["check", str(SHELVES / "traffic" / "model.tflite"), "--json"])
    assert (good.exit_code, json.loads(good.stdout)["passed"]) == (0, True)
    bad = RUN.invoke(models, ["check", str(SHELVES / "traffic" / "model_float.tflite")])
    assert bad.exit_code == 1
    assert "float32" in bad.stdout


def test_check_refuses_a_file_that_is_not_there(tmp_path: Path) -> None:
    assert RUN.invoke(models, ["check", str(tmp_path / "none.tflite")]).exit_code == 2


def test_verify_passes_the_committed_shelves() -> None:
    result = RUN.invoke(models, ["verify", "--json"])
    assert result.exit_code == 0, result.output
    assert "skipped" in result.stdout or all(shelf["passed"] for shelf in json.loads(result.stdout))


def test_verify_refuses_a_spoilt_shelf_and_says_where(tmp_path: Path) -> None:
    shelf = Path(shutil.copytree(SHELVES / "traffic", tmp_path / "traffic"))
    (shelf / "model.tflite").write_bytes(b"spoilt")
    result = RUN.invoke(models, ["verify", "traffic", "--models", str(tmp_path)])
    assert result.exit_code == 2
    assert str(shelf / "model.tflite") in result.stderr
    assert "sha256" in result.stderr


def test_export_c_writes_both_files(tmp_path: Path) -> None:
    result = RUN.invoke(models, ["export-c", "industrial", "--out", str(tmp_path), "--json"])
    assert result.exit_code == 0
    told = json.loads(result.stdout)
    assert Path(told["header"]).is_file()
    assert Path(told["source"]).is_file()
    assert told["ops"]


def test_train_refuses_a_domain_without_a_recipe() -> None:
    result = RUN.invoke(models, ["train", "moon-base"])
    assert result.exit_code == 2
    assert "agriculture, industrial, retail, traffic" in result.stderr


@pytest.mark.parametrize("command", ["list", "check", "verify", "train", "evaluate", "export-c"])
def test_help_shows_an_example(command: str) -> None:
    result = RUN.invoke(models, [command, "--help"])
    assert result.exit_code == 0
    assert f"edgefleet models {command}" in result.stdout


def test_a_shelf_that_is_not_there_is_answered_with_those_that_are() -> None:
    result = RUN.invoke(models, ["verify", "sea"])
    assert result.exit_code == 2
    assert "no shelf 'sea'" in result.stderr
    assert "agriculture, industrial, retail, traffic" in result.stderr


def test_recorded_figures_need_recorded_data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EDGEFLEET_DATA", raising=False)
    result = RUN.invoke(models, ["evaluate", "retail", "--recorded"])
    assert result.exit_code == 2
    assert "--data" in result.stderr


def test_shelves_are_listed_whole_in_eighty_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    result = RUN.invoke(models, ["list"])
    assert "…" not in result.stdout
    assert len(result.stdout.splitlines()) == 5
