"""In-memory doubles of the gateway's ports; ``tests/conformance`` holds them to the same facts as the adapters."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import msgspec

from contract.answers import Acknowledgement
from gateway.ports import (
    Batch,
    Entry,
    Keep,
    Lane,
    Message,
    OutboxLoad,
    Outputs,
    Pruned,
    Reduction,
    Refused,
    StoreUnavailableError,
)

LANES: tuple[Lane, ...] = ("alerts", "features", "raw")


@dataclass(slots=True)
class FakeDelivery:
    """Messages that remember whether they were acknowledged."""

    messages: Sequence[Message]
    acknowledged: bool = False

    def acknowledge(self) -> None:
        """Note it."""
        self.acknowledged = True


class FakeBroker:
    """A broker without a network: a test delivers messages, and reads what was published."""

    def __init__(self) -> None:
        """Start connected and empty."""
        self.deliveries: list[FakeDelivery] = []
        """Everything delivered so far, oldest first."""
        self.published: list[tuple[str, bytes, bool]] = []
        """Topic, payload and whether retained, oldest first."""
        self.retained: dict[str, bytes] = {}
        """What a new subscriber would get; an empty payload clears."""
        self.entered = False
        self._waiting: asyncio.Queue[FakeDelivery] = asyncio.Queue()
        self._up = asyncio.Event()
        self._up.set()

    async def __aenter__(self) -> Self:
        self.entered = True
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.entered = False

    @property
    def connected(self) -> bool:
        """Whether the session is up now."""
        return self._up.is_set()

    def connect(self) -> None:
        """Bring the session up."""
        self._up.set()

    def disconnect(self) -> None:
        """Take the session down; publishing waits, and nothing is received."""
        self._up.clear()

    def deliver(self, *messages: Message) -> FakeDelivery:
        """Hand messages to the next :meth:`receive`."""
        delivery = FakeDelivery(messages)
        self.deliveries.append(delivery)
        self._waiting.put_nowait(delivery)
        return delivery

    async def receive(self) -> FakeDelivery:
        """Wait for what a test delivers."""
        await self._up.wait()
        return await self._waiting.get()

    async def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        """Note it; waits while there is no connection."""
        await self._up.wait()
        self.published.append((topic, payload, retain))
        if retain and payload:
            self.retained[topic] = payload
        elif retain:
            self.retained.pop(topic, None)


@dataclass
class FakeAnswers:
    """Operators whose answers a test gives."""

    given: list[Acknowledgement] = field(default_factory=list)

    def after(self, number: int) -> list[Acknowledgement]:
        """Return what was given after a number."""
        return [one for one in self.given if one.number > number]


class FakeJournal:
    """A journal in memory; pass its ``disk`` to a new one to see what a restart would."""

    def __init__(self, disk: FakeJournalDisk | None = None) -> None:
        """Open what is on the disk, or start empty."""
        self.disk = disk or FakeJournalDisk()
        self.error: Exception | None = None
        """Raised by the next calls of :meth:`append`, until it is ``None`` again."""

    def append(self, received_s: float, messages: Sequence[Message]) -> Batch:
        """Keep messages."""
        if self.error is not None:
            raise self.error
        self.disk.position += 1
        batch = Batch(self.disk.position, received_s, list(messages))
        self.disk.batches[batch.position] = batch
        return batch

    def read(self, after: int) -> Iterator[Batch]:
        """Yield the batches after a position, oldest first."""
        for position in sorted(self.disk.batches):
            if position > after:
                yield self.disk.batches[position]

    def save_snapshot(self, position: int, state: Iterable[bytes]) -> None:
        """Keep the two newest snapshots, and the batches after the older."""
        snapshots = self.disk.snapshots
        snapshots[position] = list(state)
        newest = sorted(snapshots)[-2:]
        self.disk.snapshots = {kept: snapshots[kept] for kept in newest}
        if len(newest) == 2:
            self.disk.batches = {p: batch for p, batch in self.disk.batches.items() if p > newest[0]}

    def load_snapshot(self) -> tuple[int, Iterator[bytes]] | None:
        """Return the newest snapshot."""
        newest = max(self.disk.snapshots.items(), default=None)
        return None if newest is None else (newest[0], iter(newest[1]))

    def close(self) -> None:
        """Do nothing."""


@dataclass(slots=True)
class FakeJournalDisk:
    """What a journal leaves behind."""

    position: int = 0
    batches: dict[int, Batch] = field(default_factory=dict)
    snapshots: dict[int, list[bytes]] = field(default_factory=dict)


class FakeOutbox:
    """An outbox in memory. Outputs are copied on the way in and out, as a file would."""

    def __init__(self, stores: Mapping[str, tuple[Lane, ...]] | None = None) -> None:
        """Start empty; ``stores`` says which lanes each store takes."""
        wanted = stores or {"local": LANES}
        self.cursors = {(store, lane): 0 for store, lanes in wanted.items() for lane in lanes}
        self.entries: dict[Lane, dict[int, bytes]] = {lane: {} for lane in LANES}
        self.flushes = 0
        """How often :meth:`flush` was called."""
        self._position = 0

    @property
    def position(self) -> int:
        """Newest journal position whose outputs are held or were delivered."""
        return self._position

    def append(self, position: int, outputs: Outputs) -> None:
        """Take outputs, once for each position."""
        if position <= self._position:
            return
        self._position = position
        parts: tuple[tuple[Lane, Outputs], ...] = (
            ("alerts", Outputs(alerts=outputs.alerts)),
            ("features", Outputs(points=outputs.points)),
            ("raw", msgspec.structs.replace(outputs, alerts=[], points=[])),
        )
        for lane, part in parts:
            if part and any(taken == lane for _, taken in self.cursors):
                self.entries[lane][position] = msgspec.msgpack.encode(part)

    def flush(self) -> None:
        """Count."""
        self.flushes += 1

    def fresh_rows(self, store: str) -> int:
        """Return 0: nothing is in memory alone."""
        return 0

    def pending(self, store: str, lane: Lane, rows: int) -> list[Entry]:
        """Return a store's oldest undelivered entries of a lane, up to so many rows and what the last has beyond."""
        if (store, lane) not in self.cursors:
            return []
        waiting = sorted(entry for entry in self.entries[lane] if entry > self.cursors[store, lane])
        found: list[Entry] = []
        for entry in waiting:
            if sum(one.outputs.rows for one in found) >= rows:
                break
            found.append(Entry(entry, msgspec.msgpack.decode(self.entries[lane][entry], type=Outputs)))
        return found

    def done(self, store: str, lane: Lane, entry_id: int) -> None:
        """Move a cursor, and forget what every store has passed."""
        self.cursors[store, lane] = max(entry_id, self.cursors[store, lane])
        passed = min(cursor for (_, taken), cursor in self.cursors.items() if taken == lane)
        self.entries[lane] = {entry: body for entry, body in self.entries[lane].items() if entry > passed}

    def load(self) -> OutboxLoad:
        """Return how much waits; entries have no age here."""
        bodies = [body for lane in LANES for body in self.entries[lane].values()]
        return OutboxLoad(entries=len(bodies), size_bytes=sum(map(len, bodies)), oldest_age_s=0.0)

    def relieve(self, max_bytes: int, max_age_s: float) -> bool:
        """Give up nothing: memory is not the disk."""
        return False

    def reductions(self, limit: int) -> list[Reduction]:
        """Return none."""
        return []

    def settle(self, number: int) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""


class FakeStore:
    """A store in memory that a test can make unavailable, or refuse measurements; also a ``Keeper``."""

    def __init__(self, name: str = "local", *, refuse: frozenset[str] = frozenset()) -> None:
        """Start empty; points of the measurements in ``refuse`` are refused for ever."""
        self._name = name
        self.refuse = refuse
        self.unavailable: StoreUnavailableError | None = None
        """Raised by every write, until it is ``None`` again."""
        self.batches: list[list[Outputs]] = []
        """What each successful write was given."""
        self.refused: list[tuple[str, Refused]] = []
        """What other stores refused, and their names."""
        self.attempts = 0
        self.closed = False
        self._changed = asyncio.Condition()

    @property
    def name(self) -> str:
        """Name given."""
        return self._name

    @property
    def contents(self) -> Outputs:
        """Everything stored, in order; rows with the same key overwrite each other, as in any store."""
        all_outputs = [outputs for batch in self.batches for outputs in batch]
        return Outputs(
            alerts=list({(a.id, a.state, a.at_s): a for o in all_outputs for a in o.alerts}.values()),
            points=[
                point
                for point in {
                    (p.measurement, tuple(sorted(p.tags.items())), p.time_ns): p for o in all_outputs for p in o.points
                }.values()
                if point.measurement not in self.refuse
            ],
            readings=list(
                {(r.site, r.domain, r.device, r.start_ns, r.late): r for o in all_outputs for r in o.readings}.values()
            ),
            quarantined=list({(q.position, q.index): q for o in all_outputs for q in o.quarantined}.values()),
            ledger=list({(x.site, x.domain, x.device): x for o in all_outputs for x in o.ledger}.values()),
        )

    async def write(self, batch: Sequence[Outputs]) -> list[Refused]:
        """Keep outputs."""
        self.attempts += 1
        try:
            if self.unavailable is not None:
                raise self.unavailable
            self.batches.append(list(batch))
        finally:
            async with self._changed:
                self._changed.notify_all()
        points = [point for outputs in batch for point in outputs.points]
        return [Refused(point, "refused by the test") for point in points if point.measurement in self.refuse]

    async def prune(self, now_s: float, keep: Keep) -> Pruned:
        """Keep everything."""
        return Pruned(readings=0, points=0, alerts=0, quarantined=0, for_room=0)

    async def write_refused(self, store: str, refused: Sequence[Refused]) -> None:
        """Keep what another store refused."""
        if self.unavailable is not None:
            raise self.unavailable
        self.refused += [(store, one) for one in refused]

    async def attempted(self, times: int) -> None:
        """Wait until there were that many writes, failed ones included."""
        async with self._changed:
            await self._changed.wait_for(lambda: self.attempts >= times)

    async def close(self) -> None:
        """Note it."""
        self.closed = True
