"""The ledger against sets: every number is stored, quarantined, lost or a repetition, whatever the order of arrival."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from contract.domains import TRAFFIC
from contract.topics import DeviceId
from gateway.counts import KEPT_GAPS, LONGEST_GAP
from gateway.lane import Columns, Refusals
from gateway.ledger import Ledger
from gateway.ports import LedgerLine

DEVICES = [DeviceId("town", "traffic", f"loop-{i}") for i in range(4)]
Arrival = tuple[int, int, float]
"""Device, number, measurement time."""


def columns(arrivals: list[Arrival]) -> Columns:
    device, seq, ts = ([row[i] for row in arrivals] for i in range(3))
    values = np.zeros((len(arrivals), len(TRAFFIC.channels)), np.float32)
    return Columns(TRAFFIC, np.array(device, np.int64), np.array(ts, float), np.array(seq, np.int64), values)


def refusals(device: int, seqs: list[int]) -> Refusals:
    return Refusals(np.full(len(seqs), device), np.array(seqs))


def numbers(*seqs: int, device: int = 0, start_s: float = 0.0) -> list[Arrival]:
    """Return arrivals whose time is their number: what a device with a steady clock sends."""
    return [(device, seq, start_s + seq) for seq in seqs]


def line(ledger: Ledger, device: int = 0) -> LedgerLine:
    return ledger.lines([device], DEVICES)[0]


def entered(*arrivals: Arrival) -> LedgerLine:
    ledger = Ledger()
    ledger.take(columns(list(arrivals)))
    return line(ledger)


def test_a_device_that_counts_on_is_all_stored() -> None:
    found = entered(*numbers(*range(100)))
    assert (found.site, found.domain, found.device) == ("town", "traffic", "loop-0")
    assert (found.published, found.stored, found.lost, found.duplicate, found.gaps) == (100, 100, 0, 0, ())
    assert found.last_s == 99.0


def test_what_came_before_the_first_number_seen_is_not_called_lost() -> None:
    found = entered(*numbers(1000, 1001))
    assert (found.published, found.lost) == (2, 0)


def test_missing_runs_are_reported_as_ranges() -> None:
    found = entered(*numbers(0, 1, 5, 6, 9))
    assert (found.published, found.stored, found.lost) == (10, 5, 5)
    assert found.gaps == ((2, 4), (7, 8))


def test_a_gap_that_is_filled_later_disappears() -> None:
    ledger = Ledger()
    ledger.take(columns(numbers(0, 1, 5)))
    assert line(ledger).lost == 3
    ledger.take(columns(numbers(3)))
    assert line(ledger).gaps == ((2, 2), (4, 4))
    ledger.take(columns(numbers(4, 2)))
    assert (line(ledger).lost, line(ledger).gaps, line(ledger).stored) == (0, (), 6)
    assert ledger._odd == {}  # nothing is left to look at one by one


def test_a_redelivered_sample_is_a_duplicate_and_not_new() -> None:
    ledger = Ledger()
    assert ledger.take(columns(numbers(0, 1, 2))).tolist() == [True] * 3
    assert ledger.take(columns(numbers(1, 2, 3))).tolist() == [False, False, True]
    found = line(ledger)
    assert (found.published, found.stored, found.duplicate, found.lost) == (4, 4, 2, 0)


def test_a_restart_begins_a_new_count_and_the_totals_add_up() -> None:
    first = numbers(*range(10), 12)
    second = numbers(0, 1, 3, start_s=100.0)
    found = entered(*first, *second)
    assert (found.published, found.stored, found.lost, found.duplicate) == (13 + 4, 14, 3, 0)
    assert found.gaps == ((10, 11), (2, 2))


def test_a_restart_with_a_clock_set_back_is_seen_at_its_first_number() -> None:
    found = entered(*numbers(*range(5), start_s=500.0), *numbers(*range(5), start_s=100.0))
    assert (found.published, found.stored, found.duplicate) == (10, 10, 0)


def test_late_samples_of_the_count_before_a_restart_find_their_place() -> None:
    found = entered(*numbers(0, 1, 3), *numbers(0, 1, start_s=100.0), *numbers(2, 3), *numbers(2, start_s=100.0))
    assert (found.published, found.stored, found.duplicate, found.lost) == (4 + 3, 7, 1, 0)


def test_a_clock_that_jumps_back_costs_nothing_while_the_device_counts_on() -> None:
    arrivals = [(0, seq, 1000.0 - seq if seq > 5 else 2000.0 + seq) for seq in range(12)]
    found = entered(*arrivals)
    assert (found.published, found.stored, found.lost, found.duplicate) == (12, 12, 0, 0)


def test_a_device_that_does_not_count_has_published_what_arrived() -> None:
    ledger = Ledger()
    assert ledger.take(columns([(0, -1, 5.0), (0, -1, 4.0)])).all()
    ledger.refuse(refusals(0, [-1]))
    found = line(ledger)
    assert (found.published, found.stored, found.quarantined, found.lost, found.last_s) == (3, 2, 1, 0, 5.0)


def test_a_quarantined_sample_is_neither_lost_nor_stored() -> None:
    ledger = Ledger()
    ledger.take(columns(numbers(0, 1, 3, 4)))
    ledger.refuse(refusals(0, [2, 5]))
    ledger.take(columns(numbers(6)))
    found = line(ledger)
    assert (found.published, found.stored, found.quarantined, found.lost) == (7, 5, 2, 0)


def test_late_and_repeated_samples_are_marked_after_the_windows_saw_them() -> None:
    ledger = Ledger()
    ledger.take(columns([(1, -1, 1.0), (1, -1, 1.0), (1, -1, 0.0)]))
    ledger.late(np.array([1]))
    ledger.repeated(np.array([1]))
    found = line(ledger, 1)
    assert (found.published, found.stored, found.duplicate, found.late) == (3, 2, 1, 1)


def test_gaps_are_bounded_and_counts_stay_exact() -> None:
    found = entered(*numbers(*range(0, 4 * KEPT_GAPS, 2)))
    assert found.lost == 2 * KEPT_GAPS - 1
    assert len(found.gaps) == 16
    assert found.gaps[-1] == (4 * KEPT_GAPS - 3, 4 * KEPT_GAPS - 3)


def test_an_absurd_jump_is_a_new_count_and_not_a_loss() -> None:
    found = entered(*numbers(0, 1), (0, LONGEST_GAP + 5, 2.0), (0, LONGEST_GAP + 6, 3.0))
    assert (found.published, found.lost) == (4, 0)


def test_one_devices_trouble_leaves_the_others_alone() -> None:
    ledger = Ledger()
    mixed = [arrival for seq in range(6) for arrival in numbers(seq, device=0) + numbers(2 * seq, device=1)]
    ledger.take(columns(mixed))
    assert (line(ledger, 0).lost, line(ledger, 1).lost) == (0, 5)


def test_a_device_of_which_nothing_came_has_an_empty_line() -> None:
    found = line(Ledger(), 3)
    assert (found.published, found.stored, found.lost, found.last_s) == (0, 0, 0, 0.0)


@dataclass
class Model:
    """What the ledger must say, by sets: valid as long as clocks are steady and counts do not overlap in time."""

    counts: dict[tuple[int, int], set[int]] = field(default_factory=dict)
    duplicates: dict[int, int] = field(default_factory=dict)

    def arrive(self, device: int, epoch: int, seq: int) -> bool:
        """Enter one arrival; tell whether it is new."""
        held = self.counts.setdefault((device, epoch), set())
        new = seq not in held
        held.add(seq)
        if not new:
            self.duplicates[device] = self.duplicates.get(device, 0) + 1
        return new

    def totals(self, device: int) -> tuple[int, int, int, int]:
        """Return published, stored, lost, duplicate."""
        sets = [held for (who, _), held in self.counts.items() if who == device]
        published = sum(max(held) - min(held) + 1 for held in sets)
        stored = sum(map(len, sets))
        return published, stored, published - stored, self.duplicates.get(device, 0)


@st.composite
def traffic(draw: st.DrawFn) -> list[tuple[int, int, int]]:
    """Draw (device, epoch, number): lost, repeated and reordered samples within each count of each device."""
    streams = []
    for device in range(draw(st.integers(1, 3))):
        stream = []
        for epoch in range(draw(st.integers(1, 3))):
            start = draw(st.sampled_from([0, 7])) if epoch == 0 else 0
            seqs = draw(st.lists(st.integers(0, 30), min_size=1, max_size=25))
            steps = seqs if draw(st.booleans()) else sorted(set(seqs))
            first = min(steps) if epoch == 0 else 0  # a restart is known by a number that was passed before
            stream += [(device, epoch, start + seq) for seq in [first, *steps]]
        streams.append(stream)
    merged = []
    while any(streams):
        stream = draw(st.sampled_from([stream for stream in streams if stream]))
        merged.append(stream.pop(0))
    return merged


@given(sent=traffic(), size=st.integers(1, 9), restart=st.booleans())
def test_the_ledger_agrees_with_sets(sent: list[tuple[int, int, int]], size: int, *, restart: bool) -> None:
    """Any order, loss and repetition, three counts a device, batches of any size, with the gateway restarted or not."""
    ledger, model = Ledger(), Model()
    for at in range(0, len(sent), size):
        part = sent[at : at + size]
        new = ledger.take(columns([(device, seq, epoch * 1000.0 + seq) for device, epoch, seq in part]))
        assert new.tolist() == [model.arrive(*one) for one in part]
        if restart:
            state = ledger.dump()
            ledger = Ledger()
            ledger.load(state)
    for device in {device for device, _, _ in sent}:
        found = line(ledger, device)
        assert (found.published, found.stored, found.lost, found.duplicate) == model.totals(device)
