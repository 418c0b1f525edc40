"""InfluxDB as a store: points and alerts by ``/api/v2/write``, raw readings too where wanted.

What the server's answer means for the entries:

====================================  =======================================================
2xx                                   stored
400, 422                              a point in it is poison: halves are tried until it is found, then refused
413                                   too much at once: halves are tried
401, 403, 404, 429, 5xx, no answer    nothing is lost: try again later, after ``Retry-After`` where given
====================================  =======================================================

Writing again what was already written changes nothing, so halves may be sent freely.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import aiohttp
import numpy as np
from influxdb_client.client.influxdb_client_async import InfluxDBClientAsync
from influxdb_client.domain.write_precision import WritePrecision
from influxdb_client.rest import ApiException

from contract.domains import Domain
from contract.points import ACKNOWLEDGEMENTS, ALERTS, Point, alert_point, nanoseconds
from gateway.ports import Outputs, Readings, Refused, StoreUnavailableError
from gateway.settings import InfluxSettings, secret
from gateway.stores.cardinality import SeriesLimit
from gateway.stores.line_protocol import encode_point

LINES_A_REQUEST: Final = 5000
_POISONED: Final = {400, 413, 422}
_REASON_CHARACTERS: Final = 500
_OF_ALERTS: Final = {ALERTS, ACKNOWLEDGEMENTS}
"""Measurements of the alerts' bucket."""

Lines = Sequence[tuple[Point, str]]


class InfluxStore:
    """Implements :class:`gateway.ports.Store` on an InfluxDB 2.x, or on what speaks its write API.

    ``domains`` names the channels of raw readings; it is needed only with ``settings.raw``.
    """

    name = "influx"

    def __init__(self, settings: InfluxSettings, domains: Mapping[str, Domain] | None = None) -> None:
        """Remember where to write; nothing is opened before the first write."""
        self._settings = settings
        self._domains = domains or {}
        self._series = SeriesLimit(settings.max_series)
        self._client: InfluxDBClientAsync | None = None

    async def write(self, batch: Sequence[Outputs]) -> list[Refused]:
        """Write points and alerts, in order; return the points that the server will never take, with its words.

        :raises StoreUnavailableError: nothing is lost, try again later
        """
        # in a thread, so that the broker's connection is served meanwhile: 5,000 points take about 0.1 s
        by_bucket, refused = await asyncio.to_thread(self._lines, batch)
        for bucket, lines in by_bucket.items():
            for start in range(0, len(lines), LINES_A_REQUEST):
                refused += await self._write(bucket, lines[start : start + LINES_A_REQUEST])
        return refused

    async def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            await self._client.close()  # type: ignore[no-untyped-call]
            self._client = None

    def _lines(self, batch: Sequence[Outputs]) -> tuple[dict[str, list[tuple[Point, str]]], list[Refused]]:
        """Return lines by bucket, in order, and the points that would begin a series too many."""
        points = self._settings.bucket
        alerts = self._settings.alerts_bucket or points
        lines: dict[str, list[tuple[Point, str]]] = {alerts: [], points: []}
        refused: list[Refused] = []
        for point in self._points(batch):
            if (reason := self._series.refusal(point)) is not None:
                refused.append(Refused(point, reason))
            elif line := encode_point(point):
                lines[alerts if point.measurement in _OF_ALERTS else points].append((point, line))
        return lines, refused

    def _points(self, batch: Sequence[Outputs]) -> Iterator[Point]:
        for outputs in batch:
            yield from map(alert_point, outputs.alerts)
            yield from outputs.points
            if self._settings.raw:
                for readings in outputs.readings:
                    yield from raw_points(readings, self._domains[readings.domain])

    async def _write(self, bucket: str, lines: Lines) -> list[Refused]:
        """Write lines; on a poisoned answer halve them until each poison point stands alone."""
        answer = await self._post(bucket, lines)
        if answer is None:
            return []
        if len(lines) == 1:
            return [Refused(lines[0][0], answer)]
        middle = len(lines) // 2
        return await self._write(bucket, lines[:middle]) + await self._write(bucket, lines[middle:])

    async def _post(self, bucket: str, lines: Lines) -> str | None:
        """Send one request; return the server's words if what it holds is at fault, ``None`` if it is stored."""
        body = "\n".join([line for _, line in lines]).encode(errors="replace")
        settings = self._settings
        try:
            await self._open().write_api().write(bucket, settings.org, body, WritePrecision.NS)  # type: ignore[arg-type]
        except ApiException as error:
            if error.status in _POISONED:
                return _words(error)
            message = f"{settings.url} answered {error.status}: {_words(error)}"
            raise StoreUnavailableError(message, retry_after_s=_retry_after_s(error)) from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            message = f"{settings.url} does not answer: {error!r}"
            raise StoreUnavailableError(message) from error
        return None

    def _open(self) -> InfluxDBClientAsync:
        if self._client is None:
            settings = self._settings
            self._client = InfluxDBClientAsync(
                settings.url,
                secret(settings.token, settings.token_file) or "",
                settings.org,
                timeout=round(settings.timeout_s * 1000),
                enable_gzip=True,
            )
        return self._client


def raw_points(readings: Readings, domain: Domain) -> Iterator[Point]:
    """Yield one point a sample, in the measurement ``<domain>_raw``; a missing channel has no field."""
    times = np.frombuffer(readings.times, "<f8").tolist()
    rows = np.frombuffer(readings.values, "<f4").reshape(readings.count, -1).tolist()
    tags = {"site": readings.site, "device": readings.device}
    for time_s, row in zip(times, rows, strict=True):
        fields = dict(zip(domain.channel_names, row, strict=False))
        yield Point(f"{readings.domain}_raw", tags, fields, nanoseconds(time_s))


def _words(error: ApiException) -> str:
    body = error.body
    text = body.decode(errors="replace") if isinstance(body, bytes) else str(body or error.reason or "")
    return text.strip()[:_REASON_CHARACTERS]


def _retry_after_s(error: ApiException) -> float | None:
    headers: Mapping[str, str] = error.headers or {}
    text = headers.get("Retry-After", "")
    return float(text) if text.isdecimal() else None
