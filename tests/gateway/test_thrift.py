"""Sparing an SD card: the commit interval follows what is written, within the declared loss window."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from gateway.thrift import DAY_S, MEASURED_S, SHORTEST_S, Thrift

BUDGET_BYTES = 100e6
LOSS_WINDOW_S = 1.0


@dataclass
class Disk:
    """A clock and what was written by then."""

    now_s: float = 0.0
    written: float = 0.0

    def thrift(self, *, budget: float | None = BUDGET_BYTES, loss_window_s: float = LOSS_WINDOW_S) -> Thrift:
        """Return a thrift that looks at this disk."""
        return Thrift(
            max_bytes_per_day=budget,
            loss_window_s=loss_window_s,
            monotonic_s=lambda: self.now_s,
            written_bytes=lambda: int(self.written),
        )

    def write(self, share: float) -> None:
        """Write for as long as is measured, at a share of the budget's rate."""
        self.now_s += MEASURED_S
        self.written += share * BUDGET_BYTES / DAY_S * MEASURED_S


@pytest.mark.parametrize("given", [{"budget": None}, {"loss_window_s": 0.0}])
def test_without_a_budget_and_a_loss_window_no_commit_waits(given: dict[str, float | None]) -> None:
    disk = Disk()
    thrift = disk.thrift(**given)  # type: ignore[arg-type]  # each is the type of its own argument
    disk.write(share=100.0)
    assert thrift.adjust() == 0.0


def test_interval_doubles_over_the_budget_and_never_exceeds_the_loss_window() -> None:
    disk = Disk()
    thrift = disk.thrift()
    intervals = []
    for _ in range(6):
        disk.write(share=2.0)
        intervals.append(thrift.adjust())
    assert intervals == [SHORTEST_S, 2 * SHORTEST_S, 4 * SHORTEST_S, 8 * SHORTEST_S, LOSS_WINDOW_S, LOSS_WINDOW_S]


def test_interval_stays_just_below_the_budget_and_shrinks_to_none_well_below_it() -> None:
    disk = Disk()
    thrift = disk.thrift()
    for _ in range(2):
        disk.write(share=2.0)
        thrift.adjust()
    disk.write(share=0.9)
    assert thrift.adjust() == 2 * SHORTEST_S
    disk.write(share=0.1)
    assert thrift.adjust() == SHORTEST_S
    disk.write(share=0.1)
    assert thrift.adjust() == 0.0


def test_what_was_written_is_measured_over_a_time_and_not_at_each_message() -> None:
    disk = Disk()
    thrift = disk.thrift()
    disk.now_s, disk.written = MEASURED_S / 2, BUDGET_BYTES
    assert thrift.adjust() == 0.0
