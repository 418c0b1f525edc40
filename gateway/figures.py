"""The gateway's figures as Prometheus wants them; loaded when somebody asks for them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

from gateway.health import memory_bytes, written_bytes
from gateway.metrics import Watched
from gateway.ports import Lane

NAME: Final = "edgefleet_"


def exposition(watched: Watched) -> tuple[str, bytes]:
    """Return content type and body of ``/metrics``."""
    registry = CollectorRegistry()
    registry.register(_Figures(watched))
    return CONTENT_TYPE_LATEST, generate_latest(registry)


class _Figures(Collector):
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
