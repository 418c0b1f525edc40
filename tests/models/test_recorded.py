"""Recorded data is read from the user's folder, and only the files that the figures were agreed on."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from edgefleet.models_cli import models
from gateway.frames import WindowSpec
from models.training.recorded import VARIABLE, DataError, Folder, folder_of, hashes
from models.training.recorded.retail import coming
from models.training.recorded.rows import Row


def test_a_known_file_is_read_and_a_changed_one_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.csv").write_bytes(b"1,2")
    monkeypatch.setitem(hashes.SHA256, "a.csv", hashlib.sha256(b"1,2").hexdigest())
    assert Folder(tmp_path).read("a.csv") == b"1,2"
    (tmp_path / "a.csv").write_bytes(b"1,3")
    with pytest.raises(DataError, match="another version"):
        Folder(tmp_path).read("a.csv")
    assert Folder(tmp_path, unchecked=True).read("a.csv") == b"1,3"


def test_a_file_that_nobody_knows_is_refused(tmp_path: Path) -> None:
    (tmp_path / "b.csv").write_bytes(b"")
    with pytest.raises(DataError, match="not among the known files"):
        Folder(tmp_path).read("b.csv")


def test_the_option_wins_over_the_variable_and_neither_is_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    assert folder_of(None) is None
    monkeypatch.setenv(VARIABLE, str(tmp_path / "nowhere"))
    assert folder_of(tmp_path) == Folder(tmp_path)
    with pytest.raises(DataError, match=VARIABLE):
        folder_of(None)


def test_evaluate_refuses_a_folder_without_the_data(tmp_path: Path) -> None:
    result = CliRunner().invoke(models, ["evaluate", "retail", "--recorded", "--data", str(tmp_path)])
    assert result.exit_code == 2
    assert "freshretail" in result.stderr


def test_a_row_knows_on_which_side_of_its_bars_it_is() -> None:
    row = Row(data="d", metric="false alarms", int8=4.0, floor=5.0, goal=3.0, better="lower")
    assert (row.passed, row.at_goal) == (True, False)
    assert replace(row, floor=None).passed is None


def test_a_stock_out_is_coming_for_three_hours_before_it_and_not_in_its_own() -> None:
    flags = np.array([[False, False, False, False, True, False]])
    assert coming(flags).tolist() == [[False, True, True, True, False, False]]


def test_windows_of_slow_devices_hold_two_samples_at_least() -> None:
    spec = WindowSpec(length_s=3600.0, hop_s=600.0, period_s=60.0, lateness_s=120.0)
    slow = spec.at_period(3600.0)
    assert (slow.length_s, slow.hop_s, slow.period_s, slow.lateness_s) == (7200.0, 3600.0, 3600.0, 7200.0)
    assert spec.at_period(60.0) == spec
    assert spec.at_period(300.0).length_s == spec.length_s
