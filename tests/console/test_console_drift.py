"""Drift is told from how training was spread: what moved is found, and chance, site and season are not cried over."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import yaml
from numpy.typing import NDArray

from console.drift import FEWEST, FEWEST_DEVICES, Bins, Drift, Verdict, drift, overall
from console.pages.models_page import WINDOWS, drifts_of, recent, view
from console.rendering import render
from console.shelves import Shelf, read_shelves
from contract.points import SCORE
from contract.topics import DeviceId
from gateway.ports import Outputs
from gateway.stores.reader import LocalReader
from models.training import reference
from models.training.dataset import rows_of
from models.training.domains import RECIPES
from models.training.simulate import Fleet, simulate
from tests.console_stores import T0, windows, write

SHELVES = Path(__file__).parents[2] / "models"
HALVES = Bins(edges=np.array([0.0], np.float32), shares=(0.5, 0.5), usual=0.0)
"""Half of training's values at 0 or below."""


def of(*shares: float, rows: int = 400, then: Bins = HALVES) -> Drift:
    """Return the drift of devices of which such a share is above zero."""
    values = np.concatenate([np.where(np.arange(rows) < share * rows, 1.0, -1.0) for share in shares])
    return drift("x", then, values.astype(np.float32), np.repeat(np.arange(len(shares)), rows))


def test_devices_that_agree_on_what_training_never_saw_have_moved() -> None:
    """Halves against 0.9 and 0.1: 0.4 ln 1.8 - 0.4 ln 0.2 = 0.879, and no chance in it."""
    found = of(0.9, 0.9, 0.9, 0.9, 0.9, 0.9)
    assert found.index == pytest.approx(0.879, abs=1e-3)
    assert found.usual == pytest.approx(0.0)
    assert found.verdict == "moved"


def test_what_devices_differ_among_themselves_is_not_held_against_the_model() -> None:
    """Four devices wholly above and two wholly below have the mean of six that are two thirds above."""
    found = of(1.0, 1.0, 1.0, 1.0, 0.0, 0.0)
    assert found.index == pytest.approx(of(*[2 / 3] * 6).index, abs=0.01)
    assert found.index < found.usual
    assert (of(*[2 / 3] * 6).verdict, found.verdict) == ("moving", "steady")


def test_what_the_oddest_training_fleet_had_is_usual() -> None:
    odd = Bins(edges=HALVES.edges, shares=HALVES.shares, usual=0.9)
    assert of(*[0.9] * 6, then=odd).verdict == "steady"
    assert of(*[0.97] * 6, then=odd).verdict == "moved"


def test_too_few_devices_or_windows_say_nothing() -> None:
    assert of(*[0.9] * (FEWEST_DEVICES - 1)).verdict == "unknown"
    assert of(*[0.9] * FEWEST_DEVICES, rows=FEWEST // FEWEST_DEVICES - 1).verdict == "unknown"
    assert drift("x", HALVES, np.full(1000, np.nan, np.float32), np.arange(1000) % 10).verdict == "unknown"


def test_device_that_talks_much_counts_as_one() -> None:
    values = np.concatenate([np.ones(5000), *([[-1.0, 1.0]] * 500)]).astype(np.float32)
    device = np.concatenate([np.zeros(5000, np.int64), np.repeat(np.arange(1, 11), 100)])
    assert drift("x", HALVES, values, device).index == pytest.approx(of(1.0, *[0.5] * 10).index, abs=0.01)


@pytest.mark.parametrize(
    ("verdicts", "whole"),
    [
        (["moved"], "moved"),
        (["moved", *["steady"] * 18], "moved"),
        (["moved", *["steady"] * 19], "steady"),
        (["moved", "moving", *["steady"] * 18], "moving"),
        (["unknown", "steady"], "steady"),
        (["unknown"], "unknown"),
        ([], "unknown"),
    ],
)
def test_one_input_in_ten_must_reach_what_is_said_of_the_model(verdicts: list[Verdict], whole: Verdict) -> None:
    assert overall([Drift(name="x", index=0.0, usual=0.0, verdict=one) for one in verdicts]) == whole


def test_fleet_that_training_never_saw_is_steady_and_other_pumps_are_not() -> None:
    """Pumps of a held-out fleet as they are, and as if they were of three times the size."""
    recipe = RECIPES["industrial"]
    world, names = recipe.world(), ("pressure_bar_mean", "current_a_mean", "vibration_1_g_cal_z", "flow_l_min_cal_z")

    def fleet(seed: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        plan = Fleet(seed=seed, start_s=T0 + seed, length_s=1200.0, live_s=600.0, devices=12)
        rows = rows_of(simulate(world, plan), recipe.window.spec, names, recipe.labeller(world))
        return rows.features, rows.device

    train = [fleet(1_950_000 + i)[0] for i in range(6)]
    spread = [reference.bins([rows[:, column] for rows in train]) for column in range(len(names))]
    known = [Bins(edges=np.array(b.edges, np.float32), shares=b.shares, usual=b.usual) for b in spread]
    features, device = fleet(1_950_100)
    larger = features * np.array([3.0, 3.0, 1.0, 1.0], np.float32)
    assert verdicts_of(known, features, device) == ["steady"] * 4
    assert verdicts_of(known, larger, device) == ["moved", "moved", "steady", "steady"]


def verdicts_of(known: Sequence[Bins], features: NDArray[np.float32], device: NDArray[np.int64]) -> list[str]:
    return [drift("x", then, features[:, column], device).verdict for column, then in enumerate(known)]


def shelf(tmp_path: Path, stated: object) -> Shelf:
    """Return industrial's shelf with such a reference in its manifest."""
    folder = tmp_path / "models" / "industrial"
    folder.mkdir(parents=True)
    manifest = yaml.safe_load((SHELVES / "industrial" / "manifest.yaml").read_text())
    manifest.pop("reference", None)
    manifest |= {} if stated is None else {"reference": stated}
    (folder / "manifest.yaml").write_text(yaml.safe_dump(manifest))
    return read_shelves(tmp_path / "models")["industrial"]


def test_shelf_without_a_reference_says_so(tmp_path: Path) -> None:
    one = shelf(tmp_path, None)
    assert drifts_of(one, []) == []
    text = render("models.html", shelves=[view(one, [])])
    assert "No reference in this shelf" in text
    assert "as in training" not in text


def test_page_says_in_words_that_the_present_is_not_what_was_trained_on(tmp_path: Path) -> None:
    bins = {"edges": [0.0], "shares": [0.5, 0.5], "usual": 0.1}
    one = shelf(tmp_path, {"windows": 1000, "devices": 50, "bins": {SCORE: bins, "pressure_bar_mean": bins}})
    pumps = [DeviceId("plant-1", "industrial", f"pump-{i}") for i in range(6)]
    times = T0 + 60.0 * np.arange(100)
    write(tmp_path, Outputs(points=[p for pump in pumps for p in windows(pump, times, 0.1, pressure_bar_mean=4.0)]))
    text = render("models.html", shelves=[view(one, recent(LocalReader(tmp_path / "store.db"), "industrial"))])
    assert "600 windows of the last day, of 6 devices" in text
    assert "no longer what the model was trained on" in text
    assert "pressure_bar_mean" in text


@pytest.mark.parametrize("stated", [[1], {"bins": {}}, {"bins": {"x": {"edges": "?"}}}])
def test_reference_that_cannot_be_read_is_told_as_the_shelfs_fault(tmp_path: Path, stated: object) -> None:
    one = shelf(tmp_path, stated)
    assert one.fault
    assert "This shelf cannot be read" in render("models.html", shelves=[view(one, [])])


def test_windows_that_stand_for_the_present_are_of_all_devices_and_hours_of_the_last_day(tmp_path: Path) -> None:
    """Of two days of ten devices' windows about 2,000 are taken, none from the day before, each device as often."""
    cows = [DeviceId("farm-1", "agriculture", f"cow-{i}") for i in range(10)]
    times = T0 + 60.0 * np.arange(2880)
    write(tmp_path, *(Outputs(points=[p for cow in cows for p in windows(cow, [at_s])]) for at_s in times))
    found = recent(LocalReader(tmp_path / "store.db"), "agriculture")
    assert len(found) == pytest.approx(WINDOWS, rel=0.1)
    assert min(point.time_ns for point in found) >= (times[-1] - 86400.0) * 1e9
    by_device = np.unique([point.tags["device"] for point in found], return_counts=True)[1]
    by_hour = np.unique(
        [(point.time_ns - found[0].time_ns) // 3600_000_000_000 for point in found], return_counts=True
    )[1]
    assert len(by_device) == 10
    assert len(by_hour) >= 24
    assert by_device.min() > 0.7 * by_device.mean()
    assert by_hour[:24].min() > 0.5 * by_hour[:24].mean()
