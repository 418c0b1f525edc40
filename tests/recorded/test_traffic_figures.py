"""The traffic shelf and the gateway's notion of the unusual on recorded data: what the card claims, measured again."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gateway.inference.shelf import load
from models.training.recorded import Folder, traffic

pytestmark = [pytest.mark.data, pytest.mark.timeout(240)]


def test_every_figure_of_traffic_reaches_its_floor_and_stands_in_the_card() -> None:
    """Congestion and onsets 15 and 30 minutes ahead, NAB: shelf and thresholds as shipped."""
    if "EDGEFLEET_DATA" not in os.environ:
        pytest.skip("needs the recorded public data: set EDGEFLEET_DATA to its folder")
    shelf = load(Path("models") / "traffic")
    card = (shelf.folder / "CARD.md").read_text()
    rows = traffic.evaluate(Folder(Path(os.environ["EDGEFLEET_DATA"])), shelf)
    assert len([row for row in rows if row.floor is not None]) == 7
    for row in rows:
        assert row.passed is not False, row
        assert row.data in card
        assert row.note in card
    persistence = {row.data: row.naive["persistence"] for row in rows if row.metric == "F1"}
    assert all(row.int8 > persistence[row.data] for row in rows if row.metric == "F1")
