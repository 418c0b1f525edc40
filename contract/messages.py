"""Messages on the wire, as Python holds them; :mod:`contract.codec` turns them into bytes and back."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

import msgspec

Severity = Literal["info", "warning", "critical"]


class DeviceState(StrEnum):
    """Retained state of a device or gateway; ``OFFLINE`` is what the broker says in its name (the will)."""

    ONLINE = "online"
    STOPPED = "stopped"
    OFFLINE = "offline"


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """One reading of one device at one time."""

    ts: float
    """Time of measurement, Unix seconds."""
    seq: int | None = None
    """Counter of the device's samples; with it the gateway proves loss."""
    values: dict[str, float]
    """Channel name to value; a channel that was not measured is absent."""


class Reason(msgspec.Struct, frozen=True, kw_only=True):
    """One feature that moved, and how far from what is usual for this device."""

    feature: str
    value: float
    baseline: float
    sigma: float
    """Distance from the baseline in the device's own standard deviations, signed."""


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """One transition of one alert, as it stands on the device's alert topic and in the stores."""

    id: str
    """Deterministic: the same onset of the same rule on the same device is the same alert."""
    site: str
    domain: str
    device: str
    rule: str
    """What was judged: a model's rule (``disease``) or a sensor rule (``silent``, ``flat_line``)."""
    severity: Severity
    state: Literal["firing", "resolved"]
    onset_s: float
    """Event time at which the alert began to fire, Unix seconds (a window's end)."""
    at_s: float
    """Event time of this transition, Unix seconds."""
    trigger_s: float
    """Measurement time of the sample that closed the deciding window, Unix seconds."""
    score: float
    summary: str
    """One sentence that says why, in words; of a resolved sensor alert, what ended it and what it was."""
    reasons: tuple[Reason, ...] = ()
    model_version: str | None = None
    """Version of the model that scored; ``None`` for a sensor rule."""


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """What the gateway says of itself, on its health topic and as ``gateway`` points; totals since its first start."""

    ts: float
    """Clock of the gateway, Unix seconds."""
    uptime_s: float
    messages_total: int
    messages_per_s: float
    samples_total: int
    quarantined_total: int
    windows_total: int
    inferences_total: int
    alerts_total: int
    alerts_open: int
    devices: int
    batches_waiting: int
    """Batches that are journaled but not yet processed."""
    outbox_entries: int
    outbox_bytes: int
    outbox_age_s: float
    """Age of the oldest entry that a store has not taken, seconds."""
    inference_s: float
    """Time in the models since this start, seconds."""
    memory_bytes: int
    written_bytes: int
    """Bytes that this process caused to be written to disk since this start."""
