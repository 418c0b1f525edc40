"""From messages to columns: decodes a batch, checks it, and gives every device a small number.

Pure: the clock is the batch's. Bytes come from anyone, so everything that is not as the wire contract says ends as a
quarantined message with a reason, and what one device may cost is bounded (payload size, message rate, device count).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from contract.domains import Domain
from contract.messages import DeviceState
from contract.topics import DeviceId
from gateway.ports import Batch, Quarantined


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


@dataclass(frozen=True, slots=True)
class StateChange:
    """A device, or the broker in its name, said how it is."""

    device: DeviceId
    index: int
    """Index of the device in its domain."""
    state: DeviceState


@dataclass(frozen=True, slots=True)
class Taken:
    """What one batch held."""

    columns: dict[str, Columns]
    """By domain; only domains that have samples."""
    refusals: dict[str, Refusals]
    """By domain; only domains that have some."""
    states: list[StateChange]
    quarantined: list[Quarantined]


class Intake:
    """Decodes batches and keeps the register of devices."""

    def __init__(self, domains: Mapping[str, Domain], limits: IntakeLimits) -> None:
        """Prepare for the devices of these domains; none is known yet."""
        raise NotImplementedError

    def take(self, batch: Batch) -> Taken:
        """Decode and check one batch; never raises for what a message holds."""
        raise NotImplementedError

    def devices(self, domain: str) -> list[DeviceId]:
        """Return the devices of a domain; the position is the index used everywhere else. Do not change it."""
        raise NotImplementedError

    def received_s(self, domain: str) -> NDArray[np.float64]:
        """Return when each device of a domain was last heard of, gateway's clock, Unix seconds, shape ``(devices,)``."""
        raise NotImplementedError

    def dump(self) -> bytes:
        """Return the state."""
        raise NotImplementedError

    def load(self, state: bytes) -> None:
        """Take over a state that :meth:`dump` returned."""
        raise NotImplementedError
