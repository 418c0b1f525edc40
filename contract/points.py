"""What lands in a store: points, their measurements, tags and fields.

A field keeps one type for ever: floats are floats even when whole, counts are integers, free text is a string.
Ids, sequence numbers, scores and free text are fields, never tags.
"""

from __future__ import annotations

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


_decode = msgspec.msgpack.Decoder(dict[str, FieldValue]).decode
_encode = msgspec.msgpack.Encoder().encode


class Point(msgspec.Struct, frozen=True, array_like=True, eq=False):
    """One row of a measurement; the same measurement, tags and time overwrite each other."""

    measurement: str
    tags: dict[str, str]
    content: dict[str, FieldValue] | bytes
    """The fields, or these as a MessagePack map: rows of many are packed once and never taken apart on their way."""
    time_ns: int

    @property
    def fields(self) -> dict[str, FieldValue]:
        """The fields."""
        return self.content if isinstance(self.content, dict) else _decode(self.content)

    @property
    def packed(self) -> bytes:
        """The fields as a MessagePack map."""
        return self.content if isinstance(self.content, bytes) else _encode(self.content)

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
