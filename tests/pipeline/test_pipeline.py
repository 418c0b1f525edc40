"""The path from a batch to its outputs: what goes in comes out once, whatever the batching and wherever it is cut."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contract.domains import INDUSTRIAL
from contract.messages import DeviceState
from contract.points import Point
from contract.topics import DeviceId, state
from gateway.ports import Batch, Message, Outputs
from tests.batches import PUMP, START_S, acknowledgement, answers, batches, minutes, pipeline, reading

OTHER = DeviceId("plant", "industrial", "pump-2")


def merged(parts: list[Outputs]) -> Outputs:
    """Return outputs as a store would hold them: in order, the newest ledger line of each device."""
    whole = Outputs()
    for part in parts:
        whole.alerts += part.alerts
        whole.points += part.points
        whole.readings += part.readings
        whole.quarantined += part.quarantined
        whole.ledger += part.ledger
    whole.ledger = list({(line.site, line.domain, line.device): line for line in whole.ledger}.values())
    return whole


def run(messages: Sequence[Message], *, size: int) -> Outputs:
    """Process messages in batches of a size, then close what is open."""
    through = pipeline()
    parts = [through.process(batch) for batch in batches(messages, size=size)]
    return merged([*parts, through.flush()])


def test_every_sample_is_stored_once_as_it_was_sent() -> None:
    whole = run(minutes(3), size=7)
    times = np.concatenate([np.frombuffer(block.times, "<f8") for block in whole.readings])
    assert times.tolist() == [START_S + second for second in range(180)]
    values = np.concatenate([np.frombuffer(block.values, "<f4") for block in whole.readings]).reshape(180, 8)
    flow = INDUSTRIAL.channel_names.index("flow_l_min")
    assert values[0, flow] == np.float32(32.0)


def test_redelivery_stores_nothing_twice() -> None:
    """What the broker sends again after a crash changes no row, even when its window closed long ago."""
    messages = minutes(3)
    once, again = run(messages, size=50), run([*messages, *messages], size=50)
    assert again.readings == once.readings
    assert again.points == once.points
    assert (again.ledger[0].stored, again.ledger[0].duplicate) == (180, 180)


def test_late_sample_is_stored_under_its_own_time() -> None:
    messages = minutes(3)
    whole = run([*messages[:20], *messages[21:], messages[20]], size=1)
    (late,) = (block for block in whole.readings if block.late)
    assert np.frombuffer(late.times, "<f8").tolist() == [START_S + 20]
    assert (whole.ledger[0].stored, whole.ledger[0].late, whole.ledger[0].lost) == (180, 1, 0)


def test_sample_of_an_open_window_is_stored_when_nothing_more_arrives() -> None:
    """A tick, or the device's goodbye, brings what waits for its window into the stores; closing changes nothing."""
    through = pipeline()
    part = through.process(Batch(1, START_S, minutes(0.1)))
    assert not part.readings
    idle = through.process(Batch(2, START_S + 5, ()))
    assert [block.count for block in idle.readings] == [6]
    assert [line.stored for line in idle.ledger] == [6]
    assert not through.process(Batch(3, START_S + 10, ())).readings
    through.process(Batch(4, START_S + 11, [reading(6)]))
    goodbye = through.process(Batch(5, START_S + 12, [(state(PUMP), b"stopped")]))
    assert [(block.start_ns, block.count) for block in goodbye.readings] == [(idle.readings[0].start_ns, 7)]


def test_ledger_accounts_for_every_sample() -> None:
    lost = {50, 51, 52, 120}
    messages = [message for second, message in enumerate(minutes(3)) if second not in lost]
    (line,) = run(messages, size=11).ledger
    assert (line.published, line.stored, line.lost, line.gaps) == (180, 176, 4, ((50, 52), (120, 120)))


def test_account_of_a_device_that_sends_on_is_stored_twice_a_minute() -> None:
    """Not with each window; and what it changed since is stored as soon as nothing arrives."""
    through = pipeline()
    lines = [line for batch in batches(minutes(5), size=1) for line in through.process(batch).ledger]
    assert len(lines) >= 9
    assert {later.stored - earlier.stored for earlier, later in itertools.pairwise(lines)} == {30}
    assert [line.stored for line in through.process(Batch(301, START_S + 310, ())).ledger] == [300]


def test_accounts_of_neighbours_are_stored_at_different_times() -> None:
    """A thousand devices whose windows close together do not have their accounts written together too."""
    through = pipeline()
    who = [DeviceId("plant", "industrial", f"pump-{number}") for number in range(12)]
    messages = [reading(second, device=one) for second in range(120) for one in who]
    stored = [len(through.process(batch).ledger) for batch in batches(messages, size=len(who))]
    assert sum(stored) >= len(who)
    assert max(stored) == 4


def test_windows_close_at_multiples_of_the_hop_and_hold_statistics() -> None:
    windows = [point for point in run(minutes(3), size=13).points if point.measurement == "industrial"]
    ends = [point.time_ns / 1e9 - START_S for point in windows]
    assert ends[:-1] == [float(end) for end in range(10, 190, 10)][: len(ends) - 1]
    assert windows[5].tags == {"site": "plant", "device": "pump-1"}
    assert windows[5].fields["flow_l_min_mean"] == pytest.approx(32.0, rel=0.01)
    assert windows[5].fields["coverage"] == 1.0


def test_window_without_enough_samples_is_reported_but_not_scored() -> None:
    windows = [point for point in run(minutes(1), size=60).points if point.measurement == "industrial"]
    thin, half = windows[0], windows[2]
    assert thin.fields["coverage"] == pytest.approx(10 / 60)
    assert "score" not in thin.fields
    assert half.fields["coverage"] == pytest.approx(30 / 60)
    assert "score" in half.fields


def test_low_flow_fires_and_clears_with_a_reason() -> None:
    messages = [*minutes(5), *minutes(3, first=300, flow_l_min=2.0), *minutes(5, first=480)]
    alerts = run(messages, size=100).alerts
    assert [(alert.rule, alert.state) for alert in alerts] == [("anomaly", "firing"), ("anomaly", "resolved")]
    assert len({alert.id for alert in alerts}) == 1
    assert START_S + 300 < alerts[0].onset_s <= START_S + 360
    assert "flow_l_min" in alerts[0].summary


def test_silence_is_judged_by_receive_times_alone() -> None:
    through = pipeline()
    parts = [through.process(Batch(1, START_S + 5, minutes(0.1)))]
    parts += [through.process(Batch(2 + tick, START_S + 10 + 5 * tick, ())) for tick in range(10)]
    fired = [(alert.rule, alert.state) for part in parts for alert in part.alerts]
    assert fired == [("silent", "firing")]
    spoke = through.process(Batch(20, START_S + 61, [reading(60)]))
    assert [(alert.rule, alert.state) for alert in spoke.alerts] == [("silent", "resolved")]


def test_will_of_a_device_is_an_alert_at_once() -> None:
    through = pipeline()
    through.process(Batch(1, START_S + 1, [reading(0)]))
    dead = through.process(Batch(2, START_S + 2, [(state(PUMP), DeviceState.OFFLINE.value.encode())]))
    assert [(alert.rule, alert.state) for alert in dead.alerts] == [("silent", "firing")]


def test_bad_message_is_quarantined_and_its_neighbours_are_not() -> None:
    good = minutes(1)
    whole = run([*good[:30], (good[0][0], b"{"), *good[30:]], size=20)
    assert [(one.topic, one.payload) for one in whole.quarantined] == [(good[0][0], b"{")]
    assert sum(block.count for block in whole.readings) == 60


def test_answer_of_an_operator_is_a_point_and_lets_no_time_pass() -> None:
    """Nobody listened meanwhile, so a device that is quiet while operators answer is not silent."""
    through = pipeline()
    through.process(Batch(1, START_S + 1, [reading(0)]))
    for position in range(2, 100):
        outputs = through.process(answers(position, acknowledgement(position), received_s=START_S + 5 * position))
        (point,) = outputs.points
        assert (point.measurement, point.tags["device"], point.fields["delay_s"]) == (
            "acknowledgements",
            "pump-1",
            90.0,
        )
        assert outputs == Outputs(points=[point])


def test_newest_answer_is_part_of_the_state_and_absent_from_that_of_an_older_release() -> None:
    first, second = pipeline(), pipeline()
    first.process(Batch(1, START_S, minutes(1)))
    first.process(answers(2, acknowledgement(7), acknowledgement(9)))
    second.load(first.dump())
    assert second.answered == 9
    head, *rest = first.dump()
    third = pipeline()
    third.load([msgspec.msgpack.encode(msgspec.msgpack.decode(head)[:-1]), *rest])
    assert (third.answered, third.statistics()) == (0, first.statistics())


MIXED = [
    message
    for second in range(240)
    for message in (
        reading(second, flow_l_min=2.0 if 100 <= second < 170 else 32.0),
        reading(second, device=OTHER, flow_l_min=31.0),
        *([(f"fleet/v1/plant/industrial/bad-{second}/telemetry", b"no json")] if second % 50 == 0 else []),
        *([reading(second - 3)] if second % 20 == 5 else []),
    )
]


@given(size=st.integers(1, 200), cut=st.integers(1, 400))
@settings(max_examples=12, deadline=None)
def test_restart_from_a_snapshot_gives_what_an_uninterrupted_run_gives(size: int, cut: int) -> None:
    """Whatever the batching, and wherever the state is dumped and loaded, the outputs are the same."""
    cuts = list(batches(MIXED, size=size))
    straight, first = pipeline(), pipeline()
    expected = [straight.process(batch) for batch in cuts]
    at = min(cut, len(cuts) - 1)
    before = [first.process(batch) for batch in cuts[:at]]
    second = pipeline()
    second.load(first.dump())
    after = [second.process(batch) for batch in cuts[at:]]
    assert [*before, *after] == expected
    assert second.statistics() == straight.statistics()


@given(size=st.integers(1, 300))
@settings(max_examples=12, deadline=None)
def test_batching_changes_nothing_that_is_stored(size: int) -> None:
    one_by_one, together = run(MIXED, size=1), run(MIXED, size=size)
    assert sorted(one_by_one.points, key=key) == sorted(together.points, key=key)
    assert [(a.id, a.state, a.at_s) for a in one_by_one.alerts] == [(a.id, a.state, a.at_s) for a in together.alerts]
    assert sorted(map(str, one_by_one.ledger)) == sorted(map(str, together.ledger))


def key(point: Point) -> tuple[str, str, int]:
    """Return what identifies a point in a store."""
    return point.measurement, str(point.tags), point.time_ns
