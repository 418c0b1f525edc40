"""Where the time goes: one batch after the other through every room, in this process, each room on a stopwatch.

The rooms are called in the order in which the gateway calls them, without sockets and threads. What remains between
their sum and the CPU time of the whole process (:mod:`benchmarks.running`) is the event loop, sockets and threads.
"""

from __future__ import annotations

import asyncio
import itertools
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from edgefleet.load import Load, messages
from gateway import plans as planning
from gateway.alerts import Judge
from gateway.app import LANES, ROWS_A_WRITE
from gateway.domain_pipeline import DomainPipeline
from gateway.features import FeatureSet
from gateway.inference.litert import LiteRtScorer
from gateway.inference.shelf import load_all
from gateway.intake import Intake
from gateway.journal.sqlite import SqliteJournal
from gateway.ledger import Ledger
from gateway.mqtt.packets import Version, acknowledge
from gateway.mqtt.parser import Parser
from gateway.outbox.sqlite import SqliteOutbox
from gateway.pipeline import Pipeline
from gateway.sensors import Sensors
from gateway.settings import Settings, shelves_folder
from gateway.silence import Silence
from gateway.stores.line_protocol import encode_point
from gateway.stores.local import LocalStore
from gateway.summaries import Summaries
from gateway.tuning import tune
from gateway.windows import Windows

ROOMS: Final[tuple[tuple[str, type, tuple[str, ...]], ...]] = (
    ("intake: decode, check", Intake, ("take",)),
    ("ledger", Ledger, ("take", "lines", "late", "repeated", "refuse")),
    ("windows", Windows, ("add", "close", "blocks", "strays", "open_blocks")),
    ("summaries", Summaries, ("add",)),
    ("features", FeatureSet, ("compute",)),
    ("inference", LiteRtScorer, ("score",)),
    ("sensors", Sensors, ("check",)),
    ("judge", Judge, ("judge", "silence")),
    ("silence", Silence, ("check",)),
    ("points", DomainPipeline, ("_points",)),
    ("pipeline, the rest", Pipeline, ("process",)),
    ("outbox", SqliteOutbox, ("append", "pending", "done")),
)
"""Name of a row, class, and its methods; time in a room that is called from another counts for the inner one only."""
Cell = dict[str, float]


class Stopwatch:
    """CPU time by name, without what is inside of it under another name."""

    def __init__(self) -> None:
        """Start at nothing."""
        self.ns: Counter[str] = Counter()
        self._open: list[list[int]] = []

    @contextmanager
    def on(self, name: str) -> Iterator[None]:
        """Count what runs inside."""
        started, inner = time.process_time_ns(), [0]
        self._open.append(inner)
        try:
            yield
        finally:
            spent = time.process_time_ns() - started
            self._open.pop()
            if self._open:
                self._open[-1][0] += spent
            self.ns[name] += spent - inner[0]

    @contextmanager
    def rooms(self) -> Iterator[None]:
        """Count the methods of every room while the context lasts."""
        put_back = [(kind, method, kind.__dict__[method]) for _, kind, names in ROOMS for method in names]
        for name, kind, methods in ROOMS:
            for method in methods:
                setattr(kind, method, self._counted(name, kind.__dict__[method]))
        try:
            yield
        finally:
            for kind, method, original in put_back:
                setattr(kind, method, original)

    def _counted(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*given: Any, **named: Any) -> Any:
            with self.on(name):
                return call(*given, **named)

        return counted


def stages(load: Load, *, batch_messages: int) -> Cell:
    """Return µs of CPU a message by room, for a load in batches of this many messages; tunes this process."""
    tune()
    watch = Stopwatch()
    settings = Settings()
    shelves = load_all(shelves_folder(settings))
    stream = messages(load, load.start_s or time.time() - load.messages / load.devices)
    parser = Parser(version=Version.V311, maximum_packet_bytes=2**20)
    with tempfile.TemporaryDirectory() as folder, watch.rooms():
        pipeline = Pipeline(planning.plans(settings, shelves), planning.limits(settings))
        journal, outbox = SqliteJournal(Path(folder) / "journal.db"), SqliteOutbox(Path(folder) / "outbox.db")
        store = LocalStore(Path(folder) / "store.db")
        while chunk := b"".join(itertools.islice(stream, batch_messages)):
            with watch.on("codec: parse, acknowledge"):
                read = parser.feed(chunk)
                acknowledge(read.packet_ids)
            with watch.on("journal at FULL"):
                batch = journal.append(time.time(), read.messages)
            outbox.append(batch.position, pipeline.process(batch))
            for lanes in LANES:
                entries = {lane: outbox.pending("local", lane, ROWS_A_WRITE) for lane in lanes}
                outputs = [entry.outputs for lane in lanes for entry in entries[lane]]
                with watch.on("local store"):
                    store._write(outputs)  # noqa: SLF001  # its thread left out
                with watch.on("line protocol, where InfluxDB is set"):
                    for one in outputs:
                        for point in one.points:
                            encode_point(point)
                for lane in lanes:
                    if entries[lane]:
                        outbox.done("local", lane, entries[lane][-1].id)
        asyncio.run(store.close())
        journal.close()
        outbox.close()
    return {name: ns / 1000 / load.messages for name, ns in watch.ns.items()}
