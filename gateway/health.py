"""What the gateway says of itself: one report, on its health topic, in its log and as a point of its own."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec

from contract.messages import Health
from contract.points import GATEWAY, FieldValue, Point, nanoseconds
from gateway.domain_pipeline import Statistics
from gateway.pipeline import Pipeline
from gateway.ports import OutboxLoad

_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")


@dataclass(slots=True)
class Reporter:
    """Makes reports; rates are over the time since the last one."""

    pipeline: Pipeline
    wall_s: Callable[[], float]
    monotonic_s: Callable[[], float]
    inference_s: Callable[[], float]
    """Time spent in the models so far, seconds."""
    _started_s: float = field(init=False)
    _last_s: float = field(init=False)
    _last: Statistics = field(init=False)

    def __post_init__(self) -> None:
        """Start counting."""
        self._started_s = self._last_s = self.monotonic_s()
        self._last = self.pipeline.statistics()

    def report(self, *, batches_waiting: int, outbox: OutboxLoad) -> Health:
        """Return how the gateway is now."""
        now, now_s = self.pipeline.statistics(), self.monotonic_s()
        span_s = max(now_s - self._last_s, 1e-9)
        health = Health(
            ts=self.wall_s(),
            uptime_s=now_s - self._started_s,
            messages_total=now.messages,
            messages_per_s=(now.messages - self._last.messages) / span_s,
            samples_total=now.samples,
            quarantined_total=now.quarantined,
            windows_total=now.windows,
            inferences_total=now.inferences,
            alerts_total=now.alerts,
            alerts_open=len(self.pipeline.open_alerts()),
            devices=self.pipeline.devices,
            batches_waiting=batches_waiting,
            outbox_entries=outbox.entries,
            outbox_bytes=outbox.size_bytes,
            outbox_age_s=outbox.oldest_age_s,
            inference_s=self.inference_s(),
            memory_bytes=memory_bytes(),
            written_bytes=written_bytes(),
        )
        self._last, self._last_s = now, now_s
        return health


def health_point(gateway: str, health: Health) -> Point:
    """Return a report as a row of the ``gateway`` measurement."""
    fields: dict[str, FieldValue] = msgspec.structs.asdict(health)
    time_ns = nanoseconds(float(fields.pop("ts")))
    return Point(GATEWAY, {"gateway": gateway}, fields, time_ns)


def memory_bytes() -> int:
    """Return the resident memory of this process; 0 where the system does not say."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE_BYTES
    except OSError:
        return 0


def written_bytes() -> int:
    """Return what this process caused to be written to disk so far; 0 where the system does not say."""
    try:
        lines = Path("/proc/self/io").read_text().splitlines()
    except OSError:
        return 0
    return next(int(line.split()[1]) for line in lines if line.startswith("write_bytes:"))
