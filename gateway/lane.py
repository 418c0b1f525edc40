"""One domain's part of the intake: the register of its devices, and the checks that run over a whole batch at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from contract import codec
from contract.codec import TelemetryDecoder
from contract.domains import Domain
from contract.errors import PayloadError
from contract.topics import DeviceId
from gateway.records import from_bytes, grown, records

OLDEST_S: Final = 946_684_800.0
"""2000-01-01: an earlier time comes from a clock that was never set."""
LATEST_S: Final = 4_102_444_800.0
"""2100-01-01: no sample is from then on, not even where the gateway's own clock cannot tell what is the future."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IntakeLimits:
    """What an untrusted device may do."""

    max_payload_bytes: int = 65536
    """Largest payload, bytes."""
    max_devices: int = 10_000
    """Most devices over all domains; messages of further ones are quarantined."""
    max_messages_per_s: float = 100.0
    """Most messages a second of one device, averaged over ``burst_s``."""
    burst_s: float = 600.0
    """Depth of a device's token bucket, seconds at the full rate: a backlog of this size passes at once."""
    max_future_s: float = 300.0
    """How far a device's clock may be ahead of the gateway's, seconds."""
    max_pause_s: float = 15.0
    """Longest time between two batches that counts as listening, seconds; at least the interval of ticks."""


@dataclass(frozen=True, slots=True)
class Columns:
    """Samples of one domain that passed every check, in order of arrival."""

    domain: Domain
    device: NDArray[np.int64]
    """Shape ``(n,)``: index of the device in its domain."""
    ts: NDArray[np.float64]
    """Shape ``(n,)``: time of measurement, Unix seconds."""
    seq: NDArray[np.int64]
    """Shape ``(n,)``: the device's counter, -1 where it does not count."""
    values: NDArray[np.float32]
    """Shape ``(n, channels)``; NaN is missing."""


@dataclass(frozen=True, slots=True)
class Refusals:
    """Samples of one domain that were quarantined, for the ledger."""

    device: NDArray[np.int64]
    """Shape ``(n,)``: index of the device in its domain."""
    seq: NDArray[np.int64]
    """Shape ``(n,)``: the device's counter, -1 where it is not known."""


_BLANK: Final = records((0.0, 0.0, 0.0), [("heard_s", "f8"), ("tokens", "f8"), ("filled_s", "f8")])


class Lane:
    """Devices of one domain, and their messages of the batch at hand."""

    def __init__(self, domain: Domain, limits: IntakeLimits) -> None:
        """Prepare for one domain; no device is known yet."""
        self.domain = domain
        self.devices: list[DeviceId] = []
        self._decoder = TelemetryDecoder(domain)
        self._limits = limits
        self._low, self._high = (
            np.array([[getattr(channel, side)] for channel in domain.channels]) for side in ("low", "high")
        )
        self._table = _BLANK.copy()
        self.begin()

    def begin(self) -> None:
        """Forget the batch before."""
        self.place: list[int] = []
        """By message, its place in the batch."""
        self.index: list[int] = []
        """By message, its device."""
        self.payloads: list[bytes] = []
        """Of the newest messages, those that are not read yet."""
        self._count: list[int] = []
        self._rows = bytearray()
        self.reasons: dict[int, str] = {}
        self._refused: list[tuple[int, int]] = []

    def add(self, device: DeviceId, listening_s: float, received_s: float) -> int:
        """Register a device, heard of now; return its index."""
        index = len(self.devices)
        self.devices.append(device)
        self._table = grown(self._table, len(self.devices), _BLANK)
        depth = self._limits.max_messages_per_s * self._limits.burst_s
        self._table[index] = (listening_s, depth, received_s)
        return index

    def take_rows(self, place: int, index: int, rows: Sequence[Sequence[float | None]]) -> None:
        """Take the samples of a message that somebody else has read."""
        self._read()
        self.place.append(place)
        self.index.append(index)
        self._count.append(len(rows))
        self._rows += self._decoder.packed(rows)

    def heard_s(self) -> NDArray[np.float64]:
        """Return when each device last sent telemetry, shape ``(devices,)``."""
        heard: NDArray[np.float64] = self._table["heard_s"][: len(self.devices)]
        return heard

    def finish(self, listening_s: float, received_s: float) -> Columns | None:
        """Check what came together; ``None`` without a good sample. Reasons and refusals stand ready afterwards."""
        if not self.place:
            return None
        self._read()
        index, count = np.array(self.index), np.array(self._count)
        self._table["heard_s"][index] = listening_s
        passes = self._passes(index, received_s)
        rows = np.frombuffer(self._rows).reshape(-1, 2 + len(self.domain.channels))
        message = np.repeat(np.arange(len(index)), count)
        columns, values = np.ascontiguousarray(rows.T), rows[:, 2:]
        ts, seq, found = columns[0], np.where(np.isnan(columns[1]), -1.0, columns[1]).astype(np.int64), columns[2:]
        good = (ts >= OLDEST_S) & (ts < LATEST_S) & ~((found < self._low) | (found > self._high)).any(axis=0)
        if received_s >= OLDEST_S:  # a gateway whose own clock is not set yet cannot tell what is the future
            good &= ts <= received_s + self._limits.max_future_s
        device, passes = index[message], passes[message]
        if not (good & passes).all():
            self._explain(rows, message, ~good & passes, received_s)
            good &= passes
            self._refused += zip(device[~good].tolist(), seq[~good].tolist(), strict=True)
            device, ts, seq, values = device[good], ts[good], seq[good], values[good]
        return Columns(self.domain, device, ts, seq, values.astype(np.float32)) if len(device) else None

    def refusals(self) -> Refusals | None:
        """Return the samples of this batch that were quarantined; ``None`` if there are none."""
        if not self._refused:
            return None
        device, seq = np.array(self._refused, dtype=np.int64).T.copy()
        return Refusals(device, seq)

    def dump(self) -> tuple[list[tuple[str, str]], bytes]:
        """Return the devices' sites and names, and the table."""
        return [(device.site, device.device) for device in self.devices], self._table[: len(self.devices)].tobytes()

    def load(self, devices: list[tuple[str, str]], rows: bytes) -> None:
        """Take over what :meth:`dump` returned."""
        self.devices = [DeviceId(site, self.domain.name, name) for site, name in devices]
        self._table = grown(from_bytes(rows, _BLANK), 1, _BLANK)

    def _read(self) -> None:
        """Read the payloads that wait, or note why one is quarantined."""
        payloads, self.payloads = self.payloads, []
        longest, start = self._limits.max_payload_bytes, len(self._count)
        fitting = payloads
        if max(map(len, payloads), default=0) > longest:
            fitting = [one if len(one) <= longest else b"" for one in payloads]  # nothing is no JSON either
        counts, faults = self._decoder.read(fitting, self._rows)
        self._count += counts
        for number, error in faults.items():
            self._refuse(start + number, payloads[number], error)

    def _refuse(self, number: int, payload: bytes, error: PayloadError) -> None:
        """Note why a message is quarantined."""
        if len(payload) > self._limits.max_payload_bytes:
            reason, counters = f"size: {len(payload)} bytes, the limit is {self._limits.max_payload_bytes}", [-1]
        else:
            reason, counters = f"json: {error}", codec.counters(payload)
        self.reasons[self.place[number]] = reason
        self._refused += [(self.index[number], counter) for counter in counters]

    def _passes(self, index: NDArray[np.int64], received_s: float) -> NDArray[np.bool_]:
        """Take a token for each message; tell which messages had one, shape ``(messages,)``."""
        rate = self._limits.max_messages_per_s
        counted = np.bincount(index)
        device = np.flatnonzero(counted)
        wanted = counted[device]
        waited_s = np.maximum(received_s - self._table["filled_s"][device], 0.0)
        tokens = np.minimum(self._table["tokens"][device] + waited_s * rate, rate * self._limits.burst_s)
        given = np.minimum(wanted, np.floor(tokens))
        self._table["tokens"][device] = tokens - given
        self._table["filled_s"][device] = received_s
        passes = np.ones(len(index), dtype=np.bool_)
        for one in np.flatnonzero(given < wanted):
            beyond = np.flatnonzero(index == device[one])[int(given[one]) :]
            passes[beyond] = False
            self._over_rate([self.place[message] for message in beyond])
        return passes

    def _over_rate(self, places: list[int]) -> None:
        """Keep one message of a flood, so that the flood does not go on in the quarantine."""
        for place in places:
            self.reasons.pop(place, None)
        limit = f"more than {self._limits.max_messages_per_s:g} messages a second"
        self.reasons[places[0]] = f"rate: {limit}; {len(places)} of this batch refused, of which this is the first"

    def _explain(
        self, rows: NDArray[np.float64], message: NDArray[np.int64], bad: NDArray[np.bool_], received_s: float
    ) -> None:
        """Give each message with bad samples the reason of its first one, and say how many of a burst are bad."""
        numbers, first, bad_count = np.unique(message[bad], return_index=True, return_counts=True)
        for number, row, count in zip(numbers, rows[bad][first], bad_count, strict=True):
            burst = f"; {count} of {self._count[number]} samples refused, of which this is the first"
            self.reasons[self.place[number]] = self._fault(row, received_s) + (burst if self._count[number] > 1 else "")

    def _fault(self, row: NDArray[np.float64], received_s: float) -> str:
        if row[0] < OLDEST_S:
            return f"clock: ts = {row[0]:.3f} is before the year 2000; the device's clock is not set"
        if row[0] >= LATEST_S:
            return f"clock: ts = {row[0]:g} is after the year 2099; seconds are wanted"
        if row[0] > received_s + self._limits.max_future_s and received_s >= OLDEST_S:
            return f"future: ts = {row[0]:.3f} is {row[0] - received_s:.0f} s ahead of the gateway's clock"
        values = row[2:]
        which = int(np.argmax((values < self._low[:, 0]) | (values > self._high[:, 0])))
        channel = self.domain.channels[which]
        return f"range: {channel.name} = {values[which]:g} is outside {channel.low:g} … {channel.high:g} {channel.unit}"
