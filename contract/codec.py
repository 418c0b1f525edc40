"""JSON payloads to messages and back.

A telemetry payload is one flat object, or an array of such objects: the burst of a logger that was offline.
Unknown fields are ignored, so that a newer device does not break an older gateway; ``null`` is a missing sample.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from datetime import datetime
from itertools import starmap
from operator import itemgetter
from typing import Annotated, Any, Final

import msgspec

from contract.domains import Domain
from contract.errors import PayloadError
from contract.messages import Alert, DeviceState, Health, Sample

RESERVED: Final = ("ts", "seq")
"""Field names of a telemetry payload that are not channels."""

_first = itemgetter(0)

_Counter = Annotated[int, msgspec.Meta(ge=0, lt=2**53)]
"""What ``seq`` may be: a whole number that a double holds exactly."""


class TelemetryDecoder:
    """Turns the telemetry payloads of one domain into rows, one per sample.

    A row is ``ts, seq, channel, channel, …`` in the channels' order: ``ts`` in Unix seconds, ``seq`` -1 where the
    device does not count; what was sent as ``null``, or not sent, is NaN. Ranges are not checked here: that
    is done for many rows at once. Rows are packed as doubles, NaN for None: they become an array as they stand.
    """

    def __init__(self, domain: Domain) -> None:
        """Prepare for one domain's channels."""
        fields: list[tuple[str, Any, Any]] = [
            ("ts", float | datetime, msgspec.NODEFAULT),
            ("seq", _Counter | None, -1),
            *((name, float | None, math.nan) for name in domain.channel_names),
        ]
        # required field first, then defaults; a struct's layout is fixed, so decoding allocates one object a sample
        sample = msgspec.defstruct(f"{domain.name}_sample", fields, gc=False)
        self._sample = sample
        self._decode = msgspec.json.Decoder(sample | list[sample]).decode  # type: ignore[valid-type]
        self._row = msgspec.structs.astuple
        self._pack = struct.Struct(f"{len(fields)}d").pack

    def read(self, payloads: Sequence[bytes], into: bytearray) -> tuple[list[int], dict[int, PayloadError]]:
        """Append the rows of payloads, packed, in order; return how many each has, and by place what is bad.

        What is bad is not JSON, lacks a required field, or has a field of the wrong type: it has no rows, and holds up
        no other.
        """
        decoded, faults = self._decoded(payloads)
        plain = list(filter(None, decoded)) if faults else decoded
        if set(map(type, plain)) <= {self._sample}:
            rows = list(map(self._row, plain))
            if set(map(type, map(_first, rows))) <= {float}:  # the common case: no step of Python for each
                into += self.packed(rows)
                return [1 if one else 0 for one in decoded] if faults else [1] * len(decoded), faults
        counts = []
        for place, one in enumerate(decoded):
            try:
                timed = [self._timed(sample) for sample in (one if type(one) is list else (one,))]
            except PayloadError as error:
                timed, faults[place] = [], error
            into += self.packed(timed)
            counts.append(len(timed))
        return counts, faults

    def packed(self, rows: Sequence[Sequence[float | None]]) -> bytes:
        """Return rows as doubles, one after the other; NaN for None."""
        try:
            return b"".join(starmap(self._pack, rows))
        except struct.error:
            filled = (row if None not in row else [math.nan if one is None else one for one in row] for row in rows)
            return b"".join(starmap(self._pack, filled))

    def _decoded(self, payloads: Sequence[bytes]) -> tuple[list[Any], dict[int, PayloadError]]:
        """Return of each payload its sample or its list of samples, an empty one where it is bad."""
        decoded: list[Any] = []
        faults: dict[int, PayloadError] = {}
        rest = map(self._decode, payloads)
        while len(decoded) < len(payloads):
            try:
                decoded.extend(rest)  # as far as the next one that is bad; what came before it stays
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
                faults[len(decoded)] = PayloadError(str(error))
                decoded.append([])
        return decoded, faults

    def _timed(self, sample: Any) -> tuple[float | None, ...]:
        ts, *rest = self._row(sample)
        return (_seconds(ts), *rest)


class _Counted(msgspec.Struct, gc=False):
    seq: _Counter | None = None


_counted = msgspec.json.Decoder(_Counted | list[_Counted])


def counters(payload: bytes) -> list[int]:
    """Return the ``seq`` of each sample of a payload that is refused, -1 where it cannot be known; at least one."""
    try:
        decoded = _counted.decode(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return [-1]
    samples = decoded if isinstance(decoded, list) else [decoded]
    return [-1 if sample.seq is None else sample.seq for sample in samples] or [-1]


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
