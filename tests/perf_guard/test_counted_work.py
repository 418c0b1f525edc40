"""Counted guards: what a message may cost in calls, allocations and invocations, whatever the machine is doing.

A clock on a shared machine says little; a count says the same everywhere. Bounds stand some 25 % above what is there
today (docs/performance.md says what that is): a guard that fails means work was added to every message or window.
"""

from __future__ import annotations

import itertools
import sys
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from contract.domains import Channel, Domain
from edgefleet.load import Load, messages
from gateway import plans as planning
from gateway.features import FeatureSet
from gateway.frames import WindowSpec
from gateway.inference.litert import BatchedModel
from gateway.inference.shelf import load_all
from gateway.mqtt.packets import Version
from gateway.mqtt.parser import Parser
from gateway.outbox.sqlite import SqliteOutbox
from gateway.pipeline import Pipeline
from gateway.ports import Batch, Message
from gateway.settings import Settings, shelves_folder
from gateway.stores.local import LocalStore
from gateway.windows import Windows

DEVICES = 500
BATCH = 2000
START_S = 1_700_000_000.0
SAMPLES = 80
Batches = list[list[Message]]


@pytest.fixture(scope="module")
def batches() -> Batches:
    stream = messages(Load(port=0, devices=DEVICES, messages=DEVICES * SAMPLES), START_S)
    parser = Parser(version=Version.V311, maximum_packet_bytes=2**20)
    chunks = iter(lambda: b"".join(itertools.islice(stream, BATCH)), b"")
    return [parser.feed(chunk).messages for chunk in chunks]


def pipeline() -> Pipeline:
    settings = Settings()
    return Pipeline(planning.plans(settings, load_all(shelves_folder(settings))), planning.limits(settings))


def calls(work: Callable[[], Any]) -> Counter[str]:
    """Return how often each function was called, Python's and C's."""
    counted: Counter[str] = Counter()

    def count(frame: FrameType, event: str, argument: Any) -> None:
        if event == "call":
            counted[frame.f_code.co_qualname] += 1
        elif event == "c_call":
            counted[argument.__qualname__] += 1

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        work()
    finally:
        sys.setprofile(before)
    return counted


def run(target: Pipeline, batches: Sequence[list[Message]], first: int = 1) -> Iterator[Any]:
    for position, batch in enumerate(batches, first):
        yield target.process(Batch(position, START_S + SAMPLES, batch))


def test_a_parsed_message_costs_five_calls() -> None:
    """The parser looks up head and topic, takes the packet apart in one call, notes message and packet id, and no more.

    All of them are C; the calls that it takes to a packet whose head is new are made once a head.
    """
    stream = messages(Load(port=0, devices=DEVICES, messages=10_000), START_S)
    parser = Parser(version=Version.V311, maximum_packet_bytes=2**20)
    chunk = b"".join(stream)
    parser.feed(chunk)
    assert calls(lambda: parser.feed(chunk)).total() / 10_000 < 5.1


def test_a_message_that_closes_nothing_costs_five_calls(batches: Batches) -> None:
    """Decoding is per message; every check after it is per batch."""
    target = pipeline()
    list(run(target, batches[:1]))  # devices are known then
    counted = calls(lambda: list(run(target, batches[1:2], 2)))
    assert counted.total() / BATCH < 5.5
    assert counted["TelemetryDecoder._timed"] == 0  # which is for bursts and what is bad


def test_a_bad_message_costs_the_others_no_call(batches: Batches) -> None:
    """One broken device must not make all others dear: payloads are decoded in one sweep, with it or without."""
    target = pipeline()
    list(run(target, batches[:1]))
    (topic, _), *rest = batches[1]
    counted = calls(lambda: list(run(target, [[(topic, b"{"), *rest]], 2)))
    assert counted.total() / BATCH < 5.5


def test_a_window_costs_a_bounded_number_of_calls(batches: Batches) -> None:
    """Windows close together and are cut, featured, scored and packed together."""
    target = pipeline()
    list(run(target, batches[:-4]))
    before = target.statistics()
    counted = calls(lambda: list(run(target, batches[-4:], len(batches) - 3)))
    windows = target.statistics().windows - before.windows
    assert windows >= DEVICES
    assert counted.total() / windows < 100  # sixteen messages of each window are in it


def test_devices_that_catch_up_are_worked_off_together() -> None:
    """Many samples of a device in one batch are a backlog, not a gap: such devices form groups like any others."""
    stream = messages(Load(port=0, devices=100, messages=100 * SAMPLES), START_S)
    parser = Parser(version=Version.V311, maximum_packet_bytes=2**20)
    target = pipeline()
    halves = [parser.feed(b"".join(itertools.islice(stream, 50 * SAMPLES))).messages for _ in range(2)]
    list(run(target, halves[:1]))
    counted = calls(lambda: list(run(target, halves[1:], 2)))
    assert counted["Windows._seal"] < 10  # one a device, else


def test_many_channels_take_no_large_arrays() -> None:
    """Arrays beyond a megabyte come from the system page by page, each time: windows are worked on by blocks."""
    spec = WindowSpec(length_s=60.0, hop_s=10.0, period_s=1.0, lateness_s=0.0)
    channels = tuple(Channel(name=f"c{n}", unit="1", low=0.0, high=1.0, description="") for n in range(16))
    domain = Domain(name="many", device="many", period_s=1.0, channels=channels)
    windows = Windows(domain, spec)
    device, ts = np.tile(np.arange(512), 61), np.repeat(np.arange(61.0), 512) + START_S
    windows.add(device, ts, np.random.default_rng(1).random((len(ts), 16)).astype(np.float32))
    frames = max(windows.close(), key=len)
    assert len(frames) >= 512
    wanted = FeatureSet([f"c{n}_{name}" for n in range(16) for name in ("mean", "std", "min", "max")], domain, spec)
    tracemalloc.start()
    try:
        wanted.compute(frames)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 8 * 2**20  # four megabytes a statistic and more, else


def test_models_are_invoked_once_for_all_windows_that_are_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    """Groups of 256 devices, of which the last holds what is left."""
    scored: list[int] = []
    invoke = BatchedModel._invoke

    def counted(model: BatchedModel, inputs: NDArray[np.int8]) -> NDArray[np.int8]:
        scored.append(len(inputs))
        return invoke(model, inputs)

    monkeypatch.setattr(BatchedModel, "_invoke", counted)
    long = messages(Load(port=0, devices=DEVICES, messages=DEVICES * 420, period_s=1.0), START_S)
    parser = Parser(version=Version.V311, maximum_packet_bytes=2**20)
    target = pipeline()
    scored.clear()  # loading proves the models
    every = iter(lambda: b"".join(itertools.islice(long, DEVICES * 60)), b"")
    for position, chunk in enumerate(every, 1):
        target.process(Batch(position, START_S + 420, parser.feed(chunk).messages))
    assert sum(scored) >= DEVICES
    assert sum(scored) / len(scored) >= 150


def test_what_a_batch_leaves_behind_is_bounded(batches: Batches) -> None:
    """State is a device's, not a message's: with all devices known, batches leave next to nothing in memory."""
    target = pipeline()
    tracemalloc.start()
    try:
        for _ in run(target, batches[:12]):
            pass
        before, _ = tracemalloc.get_traced_memory()
        for _ in run(target, batches[12:], 13):
            pass
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (after - before) / sum(map(len, batches[12:])) < 25  # bytes a message


def test_a_stored_window_costs_few_statements(batches: Batches, tmp_path: Path) -> None:
    """Rows go to SQLite by the dozen: each statement lets go of the interpreter's lock and takes it again."""
    outbox, store = SqliteOutbox(tmp_path / "outbox.db"), LocalStore(tmp_path / "store.db")
    target = pipeline()
    statements: list[str] = []
    windows = 0
    for position, outputs in enumerate(run(target, batches), 1):
        outbox.append(position, outputs)
        store._write([outputs])
        if position == 12:  # series and devices are known
            store._connection.set_trace_callback(statements.append)
            windows = target.statistics().windows
    outbox.close()
    store._connection.close()
    assert len(statements) / (target.statistics().windows - windows) < 0.5
