"""The protocols of recorded data, on series made up here: lead-ins, causality, NAB's score."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from gateway.inference.shelf import load
from models.training.recorded import Folder, nab, skab
from models.training.recorded.course import course

SHELVES = Path(__file__).parents[2] / "models"


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """Return a folder with one file in SKAB's form: 1000 rows, each of its own value."""
    (tmp_path / "skab" / "valve1").mkdir(parents=True)
    rows = [
        f"2020-03-09 10:{row // 60 % 60:02d}:{row % 60:02d};" + ";".join([str(float(row))] * 8) + f";{int(row > 500)};0"
        for row in range(1000)
    ]
    head = "datetime;" + ";".join(skab.CHANNELS) + ";anomaly;changepoint"
    (tmp_path / "skab" / "valve1" / "0.csv").write_text("\n".join([head, *rows]))
    return Folder(tmp_path, unchecked=True)


def test_lead_in_is_drawn_in_blocks_from_the_files_own_first_rows(folder: Folder) -> None:
    """Whole blocks of 60 successive rows, all of the first 400, none of them scored; the file follows as it is."""
    stream = skab.stream(folder, "skab/valve1/0.csv")
    flow = stream.channels["flow_l_min"]
    lead, file = flow[:-1000], flow[-1000:]
    assert len(lead) % 60 == 0
    assert len(lead) <= 3600
    assert lead.max(initial=0.0) < 400
    assert (np.diff(lead.reshape(-1, 60), axis=1) == 1.0).all()
    assert file.tolist() == list(range(1000))
    assert np.flatnonzero(stream.counted).tolist() == list(range(len(lead) + 400, len(flow)))
    assert (np.diff(stream.times_s) == 1.0).all()


def test_a_decision_knows_nothing_of_later_rows() -> None:
    """Whatever comes after a row, its newest score stays what it was."""
    shelf = load(SHELVES / "industrial")
    rng = np.random.default_rng(1)
    times_s = np.arange(1200.0)
    values = {"flow_l_min": 30.0 + rng.normal(size=1200), "vibration_1_g": 0.1 + 0.001 * rng.normal(size=1200)}
    changed = {name: np.where(times_s < 800.0, column, 3.0 * column) for name, column in values.items()}
    before, after = (course(shelf, times_s, each) for each in (values, changed))
    asked = times_s[:800]
    np.testing.assert_array_equal(before.newest(asked, before.score), after.newest(asked, after.score))
    assert not np.array_equal(before.score, after.score)


def series(length: int = 1000) -> nab.Series:
    """Return a series with one labelled window."""
    return nab.Series(
        name="x", times_s=np.arange(length, dtype=np.float64), level=np.zeros(length), windows=((500, 599),)
    )


def flags(*rows: int) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Return flags with some rows raised."""
    raised = np.zeros(1000, np.bool_)
    raised[list(rows)] = True
    return raised


def test_nab_score_of_nothing_is_0_and_of_the_first_row_of_the_window_100() -> None:
    """By definition of its scale; probation is not scored, and a second detection adds nothing."""
    assert nab.score([series()], [flags()]) == 0.0
    assert nab.score([series()], [flags(500)]) == pytest.approx(100.0)
    assert nab.score([series()], [flags(10, 149, 500, 550)]) == pytest.approx(100.0)


def test_nab_false_detection_costs_its_weight() -> None:
    """Far before the window: 0.11 of a window; right after it: next to nothing."""
    assert nab.score([series()], [flags(300)]) == pytest.approx(-100.0 * 0.11 / 2.0)
    at_99 = 2.0 / (1.0 + math.exp(5.0 / 99.0)) - 1.0
    assert nab.score([series()], [flags(600)]) == pytest.approx(100.0 * 0.11 * at_99 / 2.0)
