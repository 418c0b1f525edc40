"""The gateway's ports: what the wiring needs of the outside world; adapters and test fakes both implement them.

Journal, outbox and stores hold the same few types, so these stand here too: a batch going in, outputs coming out.
Blocking ports (journal, outbox) are called from a worker thread of the wiring, never from two threads at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Literal, Protocol, Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from contract.answers import Acknowledgement
from contract.messages import Alert
from contract.points import Point

Message = tuple[str, bytes]
"""Topic and payload as they came from the broker. A bare tuple: one is made for every message."""

ANSWER: Final = "+answer"
"""Stands for the topic where a journaled message is an operator's answer, an ``Acknowledgement`` as JSON.

A batch holds answers alone, or none. With its ``+`` it can be no topic on the wire: nobody answers by publishing."""

Lane = Literal["alerts", "features", "raw"]
"""Outbox lanes, in order of delivery, and of what is kept longest: alerts, points, and last readings and accounts."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Messages that were received and made durable together. One without messages is a tick: time passed."""

    position: int
    """Place in the journal: 1, 2, 3, …"""
    received_s: float
    """Wall clock of the gateway at receipt, Unix seconds."""
    messages: Sequence[Message]


class Readings(msgspec.Struct, frozen=True, array_like=True):
    """Raw samples of one device between two window ends, as received.

    Key in a store: ``site, domain, device, start_ns, late``; writing twice overwrites.
    """

    site: str
    domain: str
    device: str
    start_ns: int
    """Start of the span, Unix nanoseconds."""
    late: bool
    """Whether these samples came after their window had closed."""
    count: int
    times: bytes
    """``count`` little-endian float64, Unix seconds."""
    values: bytes
    """``count`` x channels little-endian float32 in the domain's channel order; NaN where missing."""


class Quarantined(msgspec.Struct, frozen=True, array_like=True):
    """A message that could not be taken, kept for a person to look at."""

    position: int
    """Journal position of its batch; with ``index`` it is the key."""
    index: int
    """Place within the batch."""
    received_s: float
    topic: str
    reason: str
    payload: bytes


class LedgerLine(msgspec.Struct, frozen=True, array_like=True):
    """What became of one device's samples so far. Key in a store: ``site, domain, device``; the newest wins."""

    site: str
    domain: str
    device: str
    published: int
    """Samples that the device counted (``seq``), or that arrived, where it does not count."""
    stored: int
    """Samples that are in readings or will be when their window closes."""
    duplicate: int
    """Samples that repeated a slot or a ``seq`` already held."""
    late: int
    """Samples that came after their window had closed; stored, not scored."""
    quarantined: int
    lost: int
    """``seq`` numbers that never arrived, up to the newest that did."""
    gaps: tuple[tuple[int, int], ...]
    """First and last ``seq`` of the newest missing runs."""
    last_s: float
    """Newest measurement time, Unix seconds."""


class Reduction(msgspec.Struct, frozen=True, array_like=True):
    """What was given up of one device, because a limit of bytes or age was reached. Key in a store: ``number``."""

    number: int
    """Given by the outbox, or by the store itself below 0."""
    at_s: float
    """Wall clock of the gateway, Unix seconds."""
    what: Literal["thinned", "dropped"]
    """``thinned``: readings became minimum, mean and maximum a bucket."""
    lane: Lane
    stores: tuple[str, ...]
    """Stores that had not taken it."""
    reason: str
    site: str
    domain: str
    device: str
    samples: int
    """Raw samples that went."""
    points: int
    alerts: int
    first_s: float
    """Event time of the oldest, Unix seconds."""
    last_s: float


class Outputs(msgspec.Struct, array_like=True):
    """What one batch gave. Every part is idempotent: writing it twice changes nothing."""

    alerts: list[Alert] = []
    points: list[Point] = []
    readings: list[Readings] = []
    quarantined: list[Quarantined] = []
    ledger: list[LedgerLine] = []
    reductions: list[Reduction] = []

    def __bool__(self) -> bool:
        """Tell whether there is anything to deliver."""
        return self.rows > 0

    @property
    def rows(self) -> int:
        """What a store writes for it, rows."""
        of_stores = len(self.alerts) + len(self.points) + len(self.readings)
        return of_stores + len(self.quarantined) + len(self.ledger) + len(self.reductions)


class Delivery(Protocol):
    """Messages read from the broker in one go, not yet acknowledged."""

    @property
    def messages(self) -> Sequence[Message]:
        """The messages, in the broker's order."""

    def acknowledge(self) -> None:
        """Tell the broker that the messages are safe; a no-op when the connection they came by is gone."""


class Broker(Protocol):
    """A session with an MQTT broker that lives through lost connections."""

    async def __aenter__(self) -> Self:
        """Start connecting; does not wait for the broker to be there."""

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Disconnect cleanly."""

    @property
    def connected(self) -> bool:
        """Whether the session is up now."""

    async def receive(self) -> Delivery:
        """Wait for messages; return all that have come, up to a bound. Reconnects are not visible here."""

    async def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        """Publish with QoS 1; return when the broker has it. Waits while there is no connection."""


class Answers(Protocol):
    """What operators answer in the console."""

    def after(self, number: int) -> list[Acknowledgement]:
        """Return the acknowledgements after a number, oldest first, up to a bound; all, where numbers began anew.

        None while they cannot be read: they are kept there.
        """


class Journal(Protocol):
    """Durable log of received batches, and the last snapshots of the state that they led to."""

    def append(self, received_s: float, messages: Sequence[Message]) -> Batch:
        """Make messages durable; when this returns they may be acknowledged.

        :raises StorageFullError: nothing was taken
        """

    def read(self, after: int) -> Iterator[Batch]:
        """Yield the batches after a position, oldest first."""

    def save_snapshot(self, position: int, state: Iterable[bytes]) -> None:
        """Keep the state as of a position, all of its parts or none; batches up to the oldest kept one are deleted.

        Parts are not empty, and each is taken when the one before is written.
        """

    def load_snapshot(self) -> tuple[int, Iterator[bytes]] | None:
        """Return position and parts of the newest whole snapshot, or ``None``; read them before anything else."""

    def close(self) -> None:
        """Release the file."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of the outbox."""

    id: int
    outputs: Outputs


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxLoad:
    """How much waits for the slowest store."""

    entries: int
    size_bytes: int
    oldest_age_s: float
    """Time since the oldest entry was appended, seconds; 0 when there is none."""


class Outbox(Protocol):
    """Durable queue of outputs with one cursor per store and lane."""

    @property
    def position(self) -> int:
        """Newest journal position whose outputs are held or were delivered."""

    def fresh_rows(self, store: str) -> int:
        """Return how many rows in memory alone wait for a store: it spares them the disk if it takes them soon.

        Any thread may ask.
        """

    def append(self, position: int, outputs: Outputs) -> None:
        """Take the outputs of one batch; a position already taken is ignored, so that replay adds nothing."""

    def flush(self) -> None:
        """Make everything appended so far durable."""

    def pending(self, store: str, lane: Lane, rows: int) -> list[Entry]:
        """Return a store's oldest undelivered entries of a lane; none of a lane that the store does not take.

        No more than hold so many rows, but for what the last one has beyond: that bounds the memory of a backlog.
        """

    def done(self, store: str, lane: Lane, entry_id: int) -> None:
        """Move a store's cursor past an entry; entries that every store has passed are deleted."""

    def load(self) -> OutboxLoad:
        """Return how much waits, over all lanes; touches no disk."""

    def relieve(self, max_bytes: int, max_age_s: float) -> bool:
        """Give up the least of what is over a limit, alerts last, and note what went; tell whether anything did."""

    def reductions(self, limit: int) -> list[Reduction]:
        """Return the oldest notes of what was given up that are not settled yet."""

    def settle(self, number: int) -> None:
        """Forget the notes up to a number: a store has entered them in its ledger."""

    def close(self) -> None:
        """Release the file."""


class StorageFullError(Exception):
    """Journal or outbox cannot take more now: nothing was taken; the same call may work later."""


class StoreUnavailableError(Exception):
    """A store cannot take anything now: keep the entries and try again."""

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        """Say what happened and, where the store said so, when to come back."""
        super().__init__(message)
        self.retry_after_s = retry_after_s


@dataclass(frozen=True, slots=True)
class Refused:
    """One point that a store will never take."""

    point: Point
    reason: str


class Store(Protocol):
    """Where outputs end. Three outcomes: stored, refused for ever (returned), keep (raised)."""

    @property
    def name(self) -> str:
        """Stable name; the outbox keeps this store's cursors under it."""

    async def write(self, batch: Sequence[Outputs]) -> list[Refused]:
        """Write outputs; return what is refused for ever.

        :raises StoreUnavailableError: nothing is lost, try again later
        """

    async def close(self) -> None:
        """Release what is open."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Keep:
    """Ages and size beyond which the local store deletes rows."""

    readings_s: float
    points_s: float
    alerts_s: float
    quarantine_s: float
    max_bytes: int | None = None
    """Size that the rows may take in the file; beyond it the oldest readings go, then the oldest points but for
    acknowledgements, which are kept as alerts are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruned:
    """Rows that were deleted."""

    readings: int
    points: int
    alerts: int
    quarantined: int
    for_room: int
    """How many of the readings and points had not reached their age: the store was too large."""


class Keeper(Store, Protocol):
    """The local store: besides taking outputs, it keeps what the other stores refuse."""

    async def prune(self, now_s: float, keep: Keep) -> Pruned:
        """Delete what is older than it need be, and the oldest beyond the limit of bytes.

        :raises StoreUnavailableError: try again later
        """

    async def write_refused(self, store: str, refused: Sequence[Refused]) -> None:
        """Keep points that a store will never take, with its words.

        :raises StoreUnavailableError: try again later
        """


class Scorer(Protocol):
    """A model behind its features: one rule of one domain."""

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Names of the model's inputs, in order."""

    @property
    def inference_s(self) -> float:
        """Time spent in :meth:`score` so far, seconds."""

    def score(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return scores 0…1, shape ``(n,)``, of features of shape ``(n, len(feature_names))``; all in one call."""
