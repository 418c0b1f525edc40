"""What is given up when the outbox is full: raw is thinned, then dropped, then points go, alerts last; all is noted."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from contract.domains import INDUSTRIAL
from contract.messages import Alert
from contract.points import Point, acknowledgement_point
from gateway import ladder
from gateway.outbox.sqlite import SqliteOutbox
from gateway.ports import Outputs, Readings
from tests.batches import PUMP, START_S, acknowledgement

CHANNELS = len(INDUSTRIAL.channels)
HOP = 600
FOREVER = 1e12


def outputs(n: int) -> Outputs:
    """Return an alert, a window and ten minutes of samples."""
    times = START_S + HOP * n + np.arange(HOP, dtype="<f8")
    values = np.tile(np.arange(HOP, dtype="<f4")[:, None], (1, CHANNELS))
    at_s = float(times[-1])
    alert = Alert(
        id=f"a{n}", site="s", domain="industrial", device="p", rule="r", severity="info", state="firing",
        onset_s=at_s, at_s=at_s, trigger_s=at_s, score=1.0, summary="",
    )  # fmt: skip
    return Outputs(
        alerts=[alert],
        points=[
            Point("industrial", {"site": "s", "device": "p"}, {"score": 0.5, "text": "x" * 200}, int(at_s) * 10**9)
        ],
        readings=[
            Readings(
                "s",
                "industrial",
                "p",
                int(times[0]) * 10**9,
                late=False,
                count=HOP,
                times=times.tobytes(),
                values=values.tobytes(),
            )
        ],
    )


def filled(path: Path) -> SqliteOutbox:
    outbox = SqliteOutbox(path)
    for n in range(20):
        outbox.append(n + 1, outputs(n))
    outbox.flush()  # limits are for what is on disk
    return outbox


def entries(outbox: SqliteOutbox) -> dict[str, int]:
    return {lane: one.entries for lane, one in outbox.statistics().items()}


def test_within_the_limits_nothing_goes(tmp_path: Path) -> None:
    outbox = filled(tmp_path / "o.db")
    assert not outbox.relieve(10**9, FOREVER)
    assert outbox.reductions(10) == []
    outbox.close()


def test_raw_is_thinned_first_and_the_note_says_what_and_when(tmp_path: Path) -> None:
    outbox = filled(tmp_path / "o.db")
    assert outbox.relieve(outbox.load().size_bytes - 1, FOREVER)
    (note,) = outbox.reductions(10)
    assert (note.what, note.lane, note.stores, note.device) == ("thinned", "raw", ("local",), "p")
    assert (note.samples, note.points, note.alerts) == (20 * HOP, 0, 0)
    assert (note.first_s, note.last_s) == (START_S, START_S + 20 * HOP - 1)
    (entry,) = outbox.pending("local", "raw", 10)
    assert not entry.outputs.readings
    counts = [point.fields["count"] for point in entry.outputs.points]
    assert sum(map(int, counts)) == 20 * HOP
    first = entry.outputs.points[0]
    assert first.measurement == "industrial_thinned"
    assert first.fields["flow_l_min_min"] <= first.fields["flow_l_min_mean"] <= first.fields["flow_l_min_max"]  # type: ignore[operator]
    assert len({point.time_ns for point in entry.outputs.points}) == len(counts)
    outbox.close()


def test_ladder_ends_with_alerts(tmp_path: Path) -> None:
    """Step by step until nothing may stay: raw goes first, alerts last."""
    outbox = filled(tmp_path / "o.db")
    seen: list[str] = []
    while outbox.relieve(0, FOREVER):
        seen += [lane for lane in ("raw", "features", "alerts") if not entries(outbox)[lane] and lane not in seen]
    assert seen == ["raw", "features", "alerts"]
    whole = {note.lane: note for note in outbox.reductions(100) if note.what == "dropped"}
    assert (whole["features"].points, whole["alerts"].alerts) == (20, 20)
    outbox.close()


def test_no_more_goes_than_need_be(tmp_path: Path) -> None:
    outbox = filled(tmp_path / "o.db")
    while outbox.relieve(3000, FOREVER):
        pass
    assert entries(outbox)["raw"] == 0
    assert entries(outbox)["alerts"] > 0
    assert 2000 < outbox.load().size_bytes <= 3000
    outbox.close()


def test_age_takes_points_and_readings_but_no_alert(tmp_path: Path) -> None:
    now_s = [1000.0]
    outbox = SqliteOutbox(tmp_path / "o.db", clock=lambda: now_s[0], ticks=lambda: now_s[0])
    outbox.append(1, outputs(0))
    now_s[0] = 2000.0
    outbox.append(2, outputs(1))
    while outbox.relieve(10**9, 500.0):
        pass
    assert entries(outbox) == {"alerts": 2, "features": 1, "raw": 1}
    assert {note.reason for note in outbox.reductions(10)} == {"older than 0.00578704 days"}
    outbox.close()


def test_clock_that_is_set_makes_nothing_older(tmp_path: Path) -> None:
    """A gateway without a clock of its own is set weeks ahead while a store is away: what waits is minutes old."""
    wall_s, ticks_s = [1000.0], [50.0]
    outbox = SqliteOutbox(tmp_path / "o.db", clock=lambda: wall_s[0], ticks=lambda: ticks_s[0])

    def passes(seconds: float, *, set_by_s: float = 0.0) -> None:
        wall_s[0] += seconds + set_by_s
        ticks_s[0] += seconds

    outbox.append(1, outputs(0))
    outbox.flush()
    outbox.append(2, outputs(1))  # in memory still
    passes(100.0, set_by_s=40 * 86_400.0)
    assert not outbox.relieve(10**9, 500.0)
    assert outbox.load().oldest_age_s == 100.0
    passes(300.0, set_by_s=-9000.0)
    assert not outbox.relieve(10**9, 500.0)
    assert outbox.load().oldest_age_s == 400.0
    passes(101.0)
    while outbox.relieve(10**9, 500.0):
        pass
    assert entries(outbox) == {"alerts": 2, "features": 0, "raw": 0}
    outbox.close()


def test_acknowledgement_that_goes_is_entered_for_its_device() -> None:
    (who,) = ladder.accounts([Outputs(points=[acknowledgement_point(acknowledgement(1))])])
    assert who == PUMP


def test_notes_outlive_a_restart_until_they_are_settled(tmp_path: Path) -> None:
    outbox = filled(tmp_path / "o.db")
    while outbox.relieve(3000, FOREVER):
        pass
    notes = outbox.reductions(100)
    outbox.close()
    outbox = SqliteOutbox(tmp_path / "o.db")
    assert outbox.reductions(100) == notes != []
    outbox.settle(notes[-1].number)
    assert outbox.reductions(100) == []
    outbox.close()
