"""Watching the gateway from outside: ``/healthz``, ``/readyz`` and Prometheus ``/metrics`` over HTTP.

Healthy means that the stages move; ready, that readings are taken now: connected, recovered, and room on the disk.
Figures are read when they are asked for; nothing is counted a message.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Final, Protocol

import structlog
from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

from gateway.flow import Flow, Parts
from gateway.health import memory_bytes, written_bytes
from gateway.journal.sqlite import JournalStatistics
from gateway.mqtt.statistics import SessionStatistics
from gateway.outbox.sqlite import LaneStatistics
from gateway.ports import Lane

log = structlog.get_logger(__name__)

REQUEST_S: Final = 5.0
"""Time that a client has for its request, seconds."""
REQUEST_BYTES: Final = 8192
NAME: Final = "edgefleet_"


class _Counted(Protocol):
    def statistics(self) -> JournalStatistics: ...


class _CountedLanes(Protocol):
    def statistics(self) -> dict[Lane, LaneStatistics]: ...


class _CountedSession(Protocol):
    def statistics(self) -> SessionStatistics: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """Where the figures come from."""

    parts: Parts
    flow: Flow
    journal: _Counted
    outbox: _CountedLanes
    session: _CountedSession
    inference_s: Callable[[], float]

    def unready(self) -> list[str]:
        """Return why no reading is taken now; empty when they are."""
        reasons = [] if self.flow.ready.is_set() else ["recovering"]
        reasons += [] if self.parts.broker.connected else ["no connection to the broker"]
        return reasons + [f"no room: {file}: {words}" for file, words in self.flow.full.items()]


class Figures(Collector):
    """Every figure, as Prometheus wants them."""

    def __init__(self, watched: Watched) -> None:
        """Remember where they come from."""
        self._watched = watched

    def collect(self) -> Iterable[Metric]:
        """Return the figures as they are now."""
        watched, flow, parts = self._watched, self._watched.flow, self._watched.parts
        counts, session = parts.pipeline.statistics(), watched.session.statistics()
        journal, lanes = watched.journal.statistics(), watched.outbox.statistics()
        now_s, hours = parts.clock.wall_s(), (parts.clock.monotonic_s() - flow.started_s) / 3600
        written = written_bytes()
        newest = parts.pipeline.newest_s()
        yield _total("messages", "Messages processed.", counts.messages)
        yield _total("samples", "Samples taken.", counts.samples)
        yield _total("windows", "Windows closed.", counts.windows)
        yield _total("inferences", "Windows scored.", counts.inferences)
        yield _total("alerts", "Alerts raised.", counts.alerts)
        yield _totals("quarantined", "Messages refused since this start, by kind.", "kind", flow.refused)
        yield _totals(
            "given_up", "Entries given up for room since this start, by what and lane.", "what", flow.given_up
        )
        yield _total("received", "Messages read from the broker since this start.", session.messages)
        yield _total("acknowledged", "Messages acknowledged since this start.", session.acknowledged)
        yield _total("connection_failures", "Connections refused or lost since this start.", session.failures)
        yield _gauge("connected", "Whether the broker is connected.", session.connected)
        yield _gauge("devices", "Devices known.", parts.pipeline.devices)
        yield _gauge("batches_waiting", "Batches journaled and not processed.", flow.received.qsize())
        yield _gauge("batch_messages", "Messages of the last batch.", flow.batch_messages)
        yield _total("batches", "Batches processed since this start.", flow.batches)
        yield _gauges("watermark_lag_seconds", "Clock less the newest sample's time.", "domain", _behind(newest, now_s))
        yield _gauge("journal_bytes", "Batches in the journal.", journal.size_bytes)
        yield _gauge("journal_oldest_seconds", "Age of the oldest batch in the journal.", journal.oldest_age_s)
        yield _gauges("outbox_bytes", "Waiting outputs.", "lane", {k: v.size_bytes for k, v in lanes.items()})
        yield _gauges("outbox_entries", "Waiting outputs.", "lane", {k: v.entries for k, v in lanes.items()})
        yield _gauges(
            "outbox_oldest_seconds", "Age of the oldest.", "lane", {k: v.oldest_age_s for k, v in lanes.items()}
        )
        yield _gauges("store_away", "Stores that take nothing now.", "store", dict.fromkeys(flow.away, 1.0))
        yield _gauges("no_room", "Files that find no room now.", "file", dict.fromkeys(flow.full, 1.0))
        yield _total("inference_seconds", "Time in the models since this start.", watched.inference_s())
        yield _gauge("memory_bytes", "Resident memory.", memory_bytes())
        yield _total("written_bytes", "Bytes written to disk since this start.", written)
        yield _gauge("written_bytes_per_hour", "The same, an hour.", written / hours if hours > 0 else 0.0)
        yield _gauge("commit_interval_seconds", "How long a commit waits to spare the disk.", parts.thrift.interval_s)


@asynccontextmanager
async def serving(listen: str, watched: Watched) -> AsyncIterator[int | None]:
    """Answer requests while the context lasts; yield the port, ``None`` where it is off or taken.

    A port that is taken is no reason not to take readings.
    """
    host, _, port = listen.rpartition(":")
    registry = CollectorRegistry()
    registry.register(Figures(watched))
    server: asyncio.Server | None = None
    if listen != "off":
        try:
            server = await asyncio.start_server(
                lambda reader, writer: _answer(reader, writer, watched, registry), host, int(port), limit=REQUEST_BYTES
            )
        except OSError as error:
            log.warning("metrics are off: the address cannot be used", listen=listen, error=str(error))
    try:
        yield None if server is None else server.sockets[0].getsockname()[1]
    finally:
        if server is not None:
            server.close()


async def _answer(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, watched: Watched, registry: CollectorRegistry
) -> None:
    """Answer one request and close."""
    with suppress(OSError, TimeoutError, ValueError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        async with asyncio.timeout(REQUEST_S):
            head = await reader.readuntil(b"\r\n\r\n")
            method, path, *_ = head.split(b"\r\n", 1)[0].decode(errors="replace").split(" ")
            status, kind, body = _page(method, path.partition("?")[0], watched, registry)
            lines = (f"HTTP/1.1 {status}", f"Content-Type: {kind}", f"Content-Length: {len(body)}", "Connection: close")
            writer.write("".join(f"{line}\r\n" for line in (*lines, "")).encode())
            writer.write(b"" if method == "HEAD" else body)
            await writer.drain()
    writer.close()


def _page(method: str, path: str, watched: Watched, registry: CollectorRegistry) -> tuple[str, str, bytes]:
    """Return status, content type and body."""
    if method not in {"GET", "HEAD"}:
        return "405 Method Not Allowed", "text/plain", b"GET only\n"
    match path:
        case "/metrics":
            return "200 OK", CONTENT_TYPE_LATEST, generate_latest(registry)
        case "/healthz":
            stuck = not watched.flow.healthy()
            return _verdict(["a batch waits for too long"] if stuck else [])
        case "/readyz":
            return _verdict(watched.unready())
        case _:
            return "404 Not Found", "text/plain", b"/healthz /readyz /metrics\n"


def _verdict(reasons: list[str]) -> tuple[str, str, bytes]:
    status = "503 Service Unavailable" if reasons else "200 OK"
    return status, "application/json", json.dumps({"ok": not reasons, "reasons": reasons}).encode() + b"\n"


def _behind(newest_s: Mapping[str, float], now_s: float) -> dict[str, float]:
    return {domain: now_s - at_s for domain, at_s in newest_s.items()}


def _total(name: str, words: str, value: float) -> Metric:
    return CounterMetricFamily(NAME + name, words, value=value)


def _gauge(name: str, words: str, value: float) -> Metric:
    return GaugeMetricFamily(NAME + name, words, value=float(value))


def _totals(name: str, words: str, label: str, values: Mapping[str, float]) -> Metric:
    family = CounterMetricFamily(NAME + name, words, labels=[label])
    for key, value in values.items():
        family.add_metric([key], value)
    return family


def _gauges(name: str, words: str, label: str, values: Mapping[Lane, float] | Mapping[str, float]) -> Metric:
    family = GaugeMetricFamily(NAME + name, words, labels=[label])
    for key, value in values.items():
        family.add_metric([key], value)
    return family
