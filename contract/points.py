"""What lands in a store: points, their measurements, tags and fields.

A field keeps one type for ever: floats are floats even when whole, counts are integers, free text is a string.
Ids, sequence numbers, scores and free text are fields, never tags.
"""

from __future__ import annotations

import functools
import math
import struct
from collections.abc import Sequence
from typing import Final, Literal

import msgspec

from contract.answers import Acknowledgement
from contract.domains import Domain
from contract.messages import Alert

FieldValue = float | int | str | bool

ALERTS: Final = "alerts"
GATEWAY: Final = "gateway"
ACKNOWLEDGEMENTS: Final = "acknowledgements"
Unit = Literal["hourly", "daily", "monthly"]
STATISTICS: Final = ("mean", "min", "max", "std", "count")
"""Statistics of a channel in hourly, daily and monthly points."""
SCORE: Final = "score"
COVERAGE: Final = "coverage"
MODEL_VERSION: Final = "model_version"
CLOCK_QUALITY: Final = "clock_quality"
"""Field of a window's point whose times are in doubt: 1 repeated, 2 ahead, 3 stepped back, 4 the gateway's clock."""


class Row(msgspec.Struct, frozen=True, array_like=True):
    """What the rows of one kind have in common: the names of their fields, which then stand once, not in every row."""

    names: tuple[str, ...]
    model_version: str = ""
    """Stands beside a :data:`SCORE`, where there is a model."""

    def fields(self, numbers: bytes) -> dict[str, FieldValue]:
        """Return a row's fields: little-endian float32 in the order of the names; NaN is left out."""
        values = struct.unpack(f"<{len(self.names)}f", numbers)
        found: dict[str, FieldValue] = {
            name: value for name, value in zip(self.names, values, strict=True) if not math.isnan(value)
        }
        if self.model_version and SCORE in found:
            found[MODEL_VERSION] = self.model_version
        return found


def row_kind(names: Sequence[str], model_version: str = "") -> bytes:
    """Return the names of a kind of rows as :attr:`Point.row` holds them."""
    return _encode(Row(tuple(names), model_version))


@functools.lru_cache(maxsize=64)
def kind_of(row: bytes) -> Row:
    """Return what :func:`row_kind` was made of."""
    return _decode_row(row)


_decode = msgspec.msgpack.Decoder(dict[str, FieldValue]).decode
_decode_row = msgspec.msgpack.Decoder(Row).decode
_encode = msgspec.msgpack.Encoder().encode


class Point(msgspec.Struct, frozen=True, array_like=True, eq=False):
    """One row of a measurement; the same measurement, tags and time overwrite each other."""

    measurement: str
    tags: dict[str, str]
    content: dict[str, FieldValue] | bytes
    """The fields, or these as a MessagePack map; where :attr:`row` is given, their numbers. What is one of many is
    packed once and never taken apart on its way."""
    time_ns: int
    row: bytes = b""
    """The kind of row (:func:`row_kind`) that the content is the numbers of."""

    @property
    def fields(self) -> dict[str, FieldValue]:
        """The fields."""
        if isinstance(self.content, dict):
            return self.content
        return kind_of(self.row).fields(self.content) if self.row else _decode(self.content)

    @property
    def packed(self) -> bytes:
        """The fields as a MessagePack map."""
        return self.content if isinstance(self.content, bytes) and not self.row else _encode(self.fields)

    def __eq__(self, other: object) -> bool:
        """Compare what is said, however it is held."""
        return isinstance(other, Point) and self._said() == other._said()

    __hash__ = None  # type: ignore[assignment]  # tags and fields may be dictionaries

    def _said(self) -> tuple[str, dict[str, str], dict[str, FieldValue], int]:
        return self.measurement, self.tags, self.fields, self.time_ns


def summary(domain: Domain, unit: Unit) -> str:
    """Return the measurement of a domain's hourly, daily or monthly summaries."""
    return f"{domain.name}_{unit}"


def thinned(domain: str) -> str:
    """Return the measurement of a domain's raw readings where only minimum, mean and maximum a bucket are left."""
    return f"{domain}_thinned"


def nanoseconds(seconds: float) -> int:
    """Return Unix seconds as whole nanoseconds, exact to the microsecond."""
    return round(seconds * 1_000_000) * 1_000


def acknowledgement_point(one: Acknowledgement) -> Point:
    """Return the row of the ``acknowledgements`` measurement: somebody took an alert on."""
    tags = {"site": one.site, "domain": one.domain, "device": one.device, "rule": one.rule}
    fields: dict[str, FieldValue] = {"id": one.alert_id, "verdict": one.verdict, "delay_s": one.at_s - one.onset_s}
    return Point(ACKNOWLEDGEMENTS, tags, fields, nanoseconds(one.at_s))


def alert_point(alert: Alert) -> Point:
    """Return the row of the ``alerts`` measurement for one transition."""
    return Point(
        ALERTS,
        {
            "site": alert.site,
            "domain": alert.domain,
            "device": alert.device,
            "rule": alert.rule,
            "severity": alert.severity,
        },
        {
            "id": alert.id,
            "state": 1 if alert.state == "firing" else 0,
            "score": alert.score,
            "summary": alert.summary,
            "duration_s": alert.at_s - alert.onset_s,
        },
        nanoseconds(alert.at_s),
    )
