"""InfluxQL for the Grafana SDK, which has no query class of its own for it; and how our queries are put together.

InfluxDB 1.x, 2.x (its DBRP mapping makes database = bucket) and 3.x answer them. ``$timeFilter``, ``$__interval`` and
``${name:regex}`` are Grafana's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.variants import Dataquery
from grafana_foundation_sdk.models.dashboard import DataSourceRef

FEATURES: Final = "edgefleet-features"
"""Uid of the data source that holds windows, summaries and the gateway's own points."""
ALERTS: Final = "edgefleet-alerts"
"""Uid of the data source that holds alerts, in a bucket that is kept longer."""
MIXED: Final = "-- Mixed --"

LATELY_DAYS: Final = 90
"""How far back the present state of an alert is looked for: an alert has points only when it changes."""
LATELY: Final = f"time > now() - {LATELY_DAYS}d"
HERE: Final = ('"site" =~ /^${site:regex}$/', '"device" =~ /^${device:regex}$/')
"""The site and device that are chosen above a dashboard."""


@dataclass(frozen=True, slots=True)
class InfluxQuery(Dataquery):  # type: ignore[misc]  # the SDK is published without types
    """One raw InfluxQL query."""

    text: str
    datasource_uid: str
    alias: str
    table: bool
    ref_id: str = "A"

    def to_json(self) -> dict[str, object]:
        """Return what Grafana's InfluxDB plugin reads."""
        shown = {"alias": self.alias} if self.alias else {}
        return {
            "refId": self.ref_id,
            "datasource": {"type": "influxdb", "uid": self.datasource_uid},
            "query": self.text,
            "rawQuery": True,
            "resultFormat": "table" if self.table else "time_series",
            **shown,
        }


class Query(Builder[InfluxQuery]):  # type: ignore[misc]  # likewise
    """Builds a query; ``alias`` may hold ``$tag_device``, ``$col`` and ``$m``."""

    def __init__(
        self, text: str, *, uid: str = FEATURES, alias: str = "", table: bool = False, ref_id: str = "A"
    ) -> None:
        """Take everything at once."""
        self._query = InfluxQuery(text=text, datasource_uid=uid, alias=alias, table=table, ref_id=ref_id)

    def build(self) -> InfluxQuery:
        """Return the query."""
        return self._query


def source(uid: str) -> DataSourceRef:
    """Return a reference to a data source."""
    return DataSourceRef(type_val="datasource" if uid == MIXED else "influxdb", uid=uid)


def select(
    what: str,
    measurement: str,
    *,
    where: Sequence[str] = (),
    by: Sequence[str] = (),
    time: str = "$timeFilter",
    every: str | None = None,
    fill: str = "null",
) -> str:
    """Return one SELECT.

    :param where: further conditions, all of which must hold
    :param by: tags, each combination of which becomes a series
    :param time: condition on time
    :param every: length of the time buckets; none gives one value a series
    """
    buckets = [f"time({every})"] if every else []
    text = f'SELECT {what} FROM "{measurement}" WHERE {" AND ".join((time, *where))}{_group(buckets, by)}'  # noqa: S608  # names stand in this room
    return text + (f" fill({fill})" if every else "")


def outer(what: str, inner: str, *, where: str = "", by: Sequence[str] = ()) -> str:
    """Return a SELECT over the result of another."""
    condition = f" WHERE {where}" if where else ""
    return f"SELECT {what} FROM ({inner}){condition}{_group([], by)}"  # noqa: S608  # names stand in this room


def tag_values(measurement: str, key: str, where: str = "") -> str:
    """Return the query of a variable."""
    condition = f" WHERE {where}" if where else ""
    return f'SHOW TAG VALUES FROM "{measurement}" WITH KEY = "{key}"{condition}'


def _group(buckets: Sequence[str], tags: Sequence[str]) -> str:
    parts = [*buckets, *(f'"{tag}"' for tag in tags)]
    return f" GROUP BY {', '.join(parts)}" if parts else ""
