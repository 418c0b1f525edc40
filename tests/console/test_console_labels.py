"""What operators say is kept beside the store, with what training needs of the alert."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from console.errors import LabelError
from console.labels import LabelStore, label, standings
from contract.answers import LABELS
from edgefleet.console_cli import labels_app
from tests.console_stores import alert

NOW = 1_700_010_000.0


def test_label_holds_window_score_and_model_of_the_alert() -> None:
    one = label(alert(onset_s=600.0), "confirmed", at_s=NOW, operator="ann", note=" bearing ", window_s=60.0)
    assert (one.window_start_s, one.window_end_s) == (540.0, 600.0)
    assert (one.score, one.model_version, one.note) == (0.93, "1.0.0", "bearing")


def test_labels_come_back_in_order_and_from_another_store_too(tmp_path: Path) -> None:
    said = [label(alert(), verdict, at_s=NOW, operator="ann") for verdict in ("acknowledged", "confirmed")]
    for one in said:
        LabelStore(tmp_path).add(one)
    assert LabelStore(tmp_path).all() == said


def test_nobody_said_anything_is_no_error_and_makes_no_file(tmp_path: Path) -> None:
    assert LabelStore(tmp_path).all() == []
    assert not (tmp_path / LABELS).exists()


def test_newest_verdict_stands_and_a_snooze_ends() -> None:
    said = [
        label(alert(), "false_alarm", at_s=1.0, operator="ann"),
        label(alert(), "confirmed", at_s=2.0, operator="bob"),
        label(alert(id="other"), "snoozed", at_s=3.0, operator="bob", until_s=100.0),
    ]
    found = standings(said)
    assert found[alert().id].verdict == "confirmed"
    assert len(found[alert().id].notes) == 2
    assert found["other"].quiet(99.0)
    assert not found["other"].quiet(101.0)


def test_note_alone_does_not_quieten_an_alert() -> None:
    found = standings([label(alert(), "note", at_s=1.0, operator="ann", note="on my way")])
    assert not found[alert().id].quiet(2.0)


def test_file_that_is_no_database_is_said_so(tmp_path: Path) -> None:
    (tmp_path / LABELS).write_bytes(b"not a database, but long enough to be taken for one" * 100)
    with pytest.raises(LabelError, match=LABELS):
        LabelStore(tmp_path).all()


def test_labels_are_exported_as_json(tmp_path: Path) -> None:
    LabelStore(tmp_path).add(label(alert(), "false_alarm", at_s=NOW, operator="ann", note="a cow sat on it"))
    answer = CliRunner().invoke(labels_app, ["--state", str(tmp_path), "--json"])
    (row,) = json.loads(answer.stdout)
    assert (row["verdict"], row["note"], row["operator"]) == ("false_alarm", "a cow sat on it", "ann")
    assert {"window_start_s", "window_end_s", "score", "model_version"} <= row.keys()
