"""What the pages share: read once, only when something changed, and kept when the store cannot be read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from console.labels import label
from console.watch import Watch, gateway_now
from gateway.ports import Outputs
from tests.console_stores import PUMP, T0, alert, health, line, small, write


@dataclass(slots=True)
class Clock:
    """A clock that is set."""

    now_s: float = T0 + 2000.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def watch(tmp_path: Path, clock: Clock) -> Watch:
    return Watch(tmp_path, tmp_path, tmp_path / "models", wall_s=clock)


def test_folder_without_a_store_says_so_and_recovers(watch: Watch, tmp_path: Path, clock: Clock) -> None:
    assert "no store" in watch.look().fault
    small(tmp_path, clock.now_s)
    found = watch.look()
    assert found.fault == ""
    assert len(found.fleet.devices) == 3
    assert found.fleet.by_id[PUMP].status == "alerting"


def test_nothing_new_is_not_read_again(watch: Watch, tmp_path: Path, clock: Clock) -> None:
    small(tmp_path, clock.now_s)
    assert watch.look() is watch.look()
    write(tmp_path, Outputs(ledger=[line(PUMP, stored=200, last_s=T0 + 900.0)]))
    assert watch.look().fleet.by_id[PUMP].stored == 200


def test_store_that_breaks_leaves_what_is_still_known(watch: Watch, tmp_path: Path, clock: Clock) -> None:
    small(tmp_path, clock.now_s)
    seen_s = watch.look().seen_s
    (tmp_path / "store.db").write_bytes(b"rubbish" * 10_000)
    clock.now_s += 60.0
    found = watch.look()
    assert found.fault
    assert found.seen_s == seen_s
    assert len(found.fleet.devices) == 3


def test_answered_alert_is_no_longer_open(watch: Watch, tmp_path: Path, clock: Clock) -> None:
    small(tmp_path, clock.now_s)
    assert watch.look().open_alerts == 1
    watch.labels.add(label(alert(), "acknowledged", at_s=clock.now_s, operator="ann"))
    found = watch.look()
    assert found.open_alerts == 0
    assert found.labels[alert().id].acknowledged


def test_rate_is_what_the_ledger_gained(watch: Watch, tmp_path: Path, clock: Clock) -> None:
    write(tmp_path, Outputs(ledger=[line(PUMP, stored=100)]))
    watch.look()
    clock.now_s += 20.0
    write(tmp_path, Outputs(ledger=[line(PUMP, stored=300, published=300)]))
    assert watch.look().rates["plant-1", "industrial"] == 10.0


def test_gateway_is_down_once_reports_are_missing() -> None:
    now = gateway_now([health(T0), health(T0 + 10.0)])
    assert (now.name, now.every_s) == ("edge-1", 10.0)
    assert not now.down(T0 + 45.0)
    assert now.down(T0 + 55.0)


def test_gateway_that_never_reported_is_down() -> None:
    assert gateway_now([]).down(T0)


def test_shelf_that_cannot_be_read_is_shown_with_its_fault(watch: Watch, tmp_path: Path) -> None:
    folder = tmp_path / "models" / "industrial"
    folder.mkdir(parents=True)
    (folder / "manifest.yaml").write_text("version: [")
    shelf = watch.shelves()["industrial"]
    assert shelf.fault
    assert shelf.window_s is None
