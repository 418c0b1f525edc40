"""JSON payloads to messages and back.

A telemetry payload is one flat object, or an array of such objects: the burst of a logger that was offline.
Unknown fields are ignored, so that a newer device does not break an older gateway; ``null`` is a missing sample.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Final

import msgspec

from contract.domains import Domain
from contract.errors import PayloadError
from contract.messages import Alert, DeviceState, Health, Sample

RESERVED: Final = ("ts", "seq")
"""Field names of a telemetry payload that are not channels."""


class TelemetryDecoder:
    """Turns the telemetry payloads of one domain into rows, one per sample.

    A row is ``(ts, seq, channel, channel, …)`` in the channels' order: ``ts`` in Unix seconds, ``seq`` -1 where the
    device does not count, a missing channel NaN. Ranges are not checked here: that is done for many rows at once.
    """

    def __init__(self, domain: Domain) -> None:
        """Prepare for one domain's channels."""
        fields: list[tuple[str, Any, Any]] = [
            ("ts", float | datetime, msgspec.NODEFAULT),
            ("seq", Annotated[int, msgspec.Meta(ge=0, lt=2**53)] | None, -1),
            *((name, float | None, math.nan) for name in domain.channel_names),
        ]
        # required field first, then defaults; a struct's layout is fixed, so decoding allocates one object a sample
        self._type = msgspec.defstruct(f"{domain.name}_sample", fields, gc=False)
        self._decode = msgspec.json.Decoder(self._type | list[self._type]).decode  # type: ignore[name-defined]
        self._row = msgspec.structs.astuple

    def rows(self, payload: bytes | memoryview) -> list[tuple[float, ...]]:
        """Decode one payload.

        :raises PayloadError: not JSON, a required field is missing, or a field has the wrong type
        """
        try:
            decoded = self._decode(payload)
        except msgspec.MsgspecError as error:
            raise PayloadError(str(error)) from error
        samples = decoded if type(decoded) is list else (decoded,)
        return [self._row_of(sample) for sample in samples]

    def _row_of(self, sample: Any) -> tuple[float, ...]:
        row: tuple[Any, ...] = self._row(sample)
        if type(row[0]) is float and None not in row:
            return row
        return (_seconds(row[0]), -1 if row[1] is None else row[1], *(math.nan if v is None else v for v in row[2:]))


def _seconds(ts: float | datetime) -> float:
    if isinstance(ts, datetime):
        if ts.tzinfo is None:
            message = f"ts = {ts.isoformat()!r} has no offset from UTC. Write Unix seconds or RFC 3339 with an offset."
            raise PayloadError(message)
        return ts.timestamp()
    return float(ts)


def encode_sample(sample: Sample) -> bytes:
    """Return the payload of one sample."""
    return msgspec.json.encode(_flat(sample))


def encode_burst(samples: Sequence[Sample]) -> bytes:
    """Return the payload of several samples of one device, oldest first."""
    return msgspec.json.encode([_flat(sample) for sample in samples])


def _flat(sample: Sample) -> dict[str, float]:
    head: dict[str, float] = {"ts": sample.ts} if sample.seq is None else {"ts": sample.ts, "seq": sample.seq}
    return head | sample.values


def encode_state(state: DeviceState) -> bytes:
    """Return the payload of a state topic."""
    return state.value.encode()


def decode_state(payload: bytes) -> DeviceState:
    """Read the payload of a state topic.

    :raises PayloadError: it is none of the three states
    """
    try:
        return DeviceState(payload.decode())
    except ValueError as error:
        message = f"state {payload[:32]!r} is none of {', '.join(DeviceState)}"
        raise PayloadError(message) from error


def encode_alert(alert: Alert) -> bytes:
    """Return the payload of an alert topic; an empty payload instead clears the topic."""
    return msgspec.json.encode(alert)


def decode_alert(payload: bytes) -> Alert:
    """Read the payload of an alert topic.

    :raises PayloadError: it is not an alert
    """
    try:
        return msgspec.json.decode(payload, type=Alert)
    except msgspec.MsgspecError as error:
        raise PayloadError(str(error)) from error


def encode_health(health: Health) -> bytes:
    """Return the payload of the gateway's health topic."""
    return msgspec.json.encode(health)
