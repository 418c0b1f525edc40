"""What operators answer in the console's file, as the gateway reads it."""

from __future__ import annotations

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from console.labels import LabelStore, label
from contract.answers import LABELS, VERDICTS, Verdict
from gateway import answers
from gateway.answers import ConsoleAnswers
from tests.console_stores import T0, alert

ONSET_S = T0 + 600.0


def say(folder: Path, alert_id: str, *verdicts: Verdict) -> None:
    """Answer an alert in the console, a second after the other."""
    store = LabelStore(folder)
    for second, verdict in enumerate(verdicts, start=1):
        one = alert(id=alert_id, onset_s=ONSET_S)
        store.add(label(one, verdict, at_s=ONSET_S + second, operator="ann", note="x", until_s=ONSET_S + 99.0))


def seen(folder: Path, number: int = 0) -> list[tuple[int, str, str, float]]:
    """Return number, alert, verdict and delay of the acknowledgements after a number."""
    found = ConsoleAnswers(folder).after(number)
    return [(one.number, one.alert_id, one.verdict, one.at_s - one.onset_s) for one in found]


def test_first_answer_that_is_no_note_acknowledges_an_alert_and_later_ones_do_not(tmp_path: Path) -> None:
    say(tmp_path, "a", "note", "snoozed", "acknowledged", "confirmed")
    say(tmp_path, "b", "note")
    say(tmp_path, "c", "false_alarm")
    assert seen(tmp_path) == [(2, "a", "snoozed", 2.0), (6, "c", "false_alarm", 1.0)]
    assert seen(tmp_path, 2) == [(6, "c", "false_alarm", 1.0)]
    assert seen(tmp_path, 6) == []


@pytest.mark.parametrize("verdict", set(VERDICTS) - {"note"})
def test_every_answer_takes_an_alert_on(tmp_path: Path, verdict: Verdict) -> None:
    say(tmp_path, "a", verdict)
    assert seen(tmp_path) == [(1, "a", verdict, 1.0)]


def test_acknowledgement_says_whose_alert_it_was(tmp_path: Path) -> None:
    say(tmp_path, "a", "confirmed")
    (one,) = ConsoleAnswers(tmp_path).after(0)
    raised = alert()
    assert (one.site, one.domain, one.device, one.rule) == (raised.site, raised.domain, raised.device, raised.rule)
    assert (one.onset_s, one.at_s) == (ONSET_S, ONSET_S + 1.0)


def test_nobody_answered_yet_is_no_fault_and_makes_no_file(tmp_path: Path) -> None:
    with capture_logs() as said:
        assert seen(tmp_path) == []
        assert seen(tmp_path / "no such folder") == []
    assert said == []
    assert list(tmp_path.iterdir()) == []


def test_file_that_begins_anew_is_read_from_its_start(tmp_path: Path) -> None:
    """As after a restored backup or a new volume; what is told again changes nothing in a store."""
    say(tmp_path, "a", "acknowledged")
    assert seen(tmp_path, 1) == []
    assert seen(tmp_path, 2) == [(1, "a", "acknowledged", 1.0)]


def test_many_answers_come_in_portions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "AT_ONCE", 2)
    for name in "abc":
        say(tmp_path, name, "acknowledged")
    assert [number for number, *_ in seen(tmp_path)] == [1, 2]
    assert [number for number, *_ in seen(tmp_path, 2)] == [3]


def test_file_that_cannot_be_read_is_said_once_and_read_when_it_can_be(tmp_path: Path) -> None:
    (tmp_path / LABELS).write_bytes(b"not a database, but long enough to be taken for one" * 100)
    reader = ConsoleAnswers(tmp_path)
    with capture_logs() as said:
        assert (reader.after(0), reader.after(0)) == ([], [])
        (tmp_path / LABELS).unlink()
        say(tmp_path, "a", "acknowledged")
        assert [one.alert_id for one in reader.after(0)] == ["a"]
    assert [line["log_level"] for line in said] == ["warning", "info"]
    assert LABELS in said[0]["file"]
