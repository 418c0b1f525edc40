"""What was injected and what became of it, as the Truth page shows it. Whoever starts the console computes it.

The judgement itself stands in one place, with the command that scores; the console only draws its result.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from contract.messages import Alert
from contract.truth import Truth

Outcome = Literal["caught", "missed", "too_late", "noticed", "unnoticed", "quiet", "fooled"]
"""``caught``, ``missed``: a fault. ``too_late``: one that began too close to the end of the data to be seen.
``noticed``, ``unnoticed``: a device fault, by the sensor rules. ``quiet``, ``fooled``: a look-alike."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One injected event."""

    truth: Truth
    outcome: Outcome
    delay_s: float | None = None
    """From onset to the first true alert, device time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """One alert of a model, as it began."""

    alert: Alert
    true: bool
    circumstance: str = ""
    """What was going on where a false one arose: the label of a look-alike or device fault, or ``clean``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """One domain's figures; ``None`` where there is nothing to divide by."""

    faults: int
    detected: int
    alerts: int
    true_alerts: int
    precision: float | None
    recall: float | None
    median_delay_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """Everything on one time line."""

    events: tuple[Event, ...]
    alerts: tuple[Judged, ...]
    figures: Mapping[str, Figures]


TruthSource = Callable[[], Picture | None]
"""Returns the picture, or ``None`` where nothing was injected: a real fleet has no truth file."""
