"""How the gateway itself is: rates, lag, backlog, drops, inference time, memory, bytes written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from contract import points
from grafana.board import AlertAnnotation, Board, Dress, lines, variable
from grafana.influxql import Query, select

UID: Final = "edgefleet-gateway"
_HERE: Final = ('"gateway" =~ /^${gateway:regex}$/',)


def rate(field: str) -> str:
    """Return the increase of a total, a second; a restart does not show as a fall."""
    return f'non_negative_derivative(max("{field}"), 1s)'


def increase(field: str) -> str:
    """Return the increase of a total from one bucket to the next, also where a bucket holds one report."""
    return f'non_negative_difference(max("{field}"))'


def largest(field: str) -> str:
    """Return the largest value of each bucket: peaks matter."""
    return f'max("{field}")'


@dataclass(frozen=True, slots=True, kw_only=True)
class Gauge:
    """One chart."""

    title: str
    unit: str
    what: str
    description: str


GAUGES: Final = (
    Gauge(
        title="Messages", unit="mps", what='mean("messages_per_s")', description="Telemetry messages taken a second."
    ),
    Gauge(
        title="Samples",
        unit="ops",
        what=rate("samples_total"),
        description="Samples stored a second: a message may hold many.",
    ),
    Gauge(title="Windows", unit="ops", what=rate("windows_total"), description="Windows that closed a second."),
    Gauge(
        title="Inferences",
        unit="ops",
        what=rate("inferences_total"),
        description="Windows that a model scored a second.",
    ),
    Gauge(
        title="Lag: age of the oldest undelivered entry",
        unit="s",
        what=largest("outbox_age_s"),
        description="How long the slowest store has been behind; nothing is lost meanwhile.",
    ),
    Gauge(
        title="Backlog for the stores",
        unit="none",
        what=largest("outbox_entries"),
        description="Outbox entries that a store has not taken.",
    ),
    Gauge(title="Backlog on disk", unit="bytes", what=largest("outbox_bytes"), description="Size of these entries."),
    Gauge(
        title="Batches waiting",
        unit="none",
        what=largest("batches_waiting"),
        description="Journaled batches that are not processed yet; at the bound the broker holds the backlog.",
    ),
    Gauge(
        title="Dropped: quarantined messages",
        unit="none",
        what=increase("quarantined_total"),
        description="Messages that could not be taken, in each interval; the local store keeps them with the reason.",
    ),
    Gauge(title="Alerts open", unit="none", what=largest("alerts_open"), description="Alerts that fire."),
    Gauge(
        title="Inference time",
        unit="s",
        what=f"{increase('inference_s')} / {increase('inferences_total')}",
        description="Time in the model for one window.",
    ),
    Gauge(
        title="Time in the models",
        unit="percentunit",
        what=rate("inference_s"),
        description="Share of one core that the models use.",
    ),
    Gauge(title="Memory", unit="bytes", what=largest("memory_bytes"), description="Resident memory of the gateway."),
    Gauge(
        title="Bytes written",
        unit="Bps",
        what=rate("written_bytes"),
        description="What the gateway writes to disk a second: what wears a memory card.",
    ),
    Gauge(title="Devices", unit="none", what=largest("devices"), description="Devices that the gateway knows."),
    Gauge(title="Uptime", unit="s", what=largest("uptime_s"), description="Time since the gateway started."),
)


def gateway_board() -> Board:
    """Return the gateway's dashboard."""
    board = Board(UID, "Gateway", "Whether the gateway keeps up, and what it costs.")
    board.with_variable(variable("gateway", points.GATEWAY))
    board.annotation(AlertAnnotation())
    return board.add(*(_chart(gauge) for gauge in GAUGES))


def _chart(gauge: Gauge) -> Any:
    query = select(gauge.what, points.GATEWAY, where=_HERE, by=("gateway",), every="$__interval")
    dress = Dress(
        title=gauge.title,
        description=gauge.description,
        unit=gauge.unit,
        width=12,
        height=7,
        targets=(Query(query, alias="$tag_gateway"),),
    )
    return lines(dress).min(0)
