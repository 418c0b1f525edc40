"""The judge: turns scores into alerts that rise, hold and clear, without flapping. A pure state machine.

::

    quiet ── score ≥ raise_at ──▶ pending ── held raise_dwell_s ──▶ firing ── below clear_at for clear_dwell_s ──▶ resolved
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from contract.messages import Alert, Reason, Severity
from contract.topics import DeviceId
from gateway.sensors import SensorFaults

Explain = Callable[[int, str], tuple[str, tuple[Reason, ...]]]
"""``explain(window, rule)`` returns one sentence and the reasons for a model's alert; called for alerts only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """When one kind of alert rises and clears."""

    name: str
    """What is judged, such as ``disease`` or ``flat_line``."""
    domain: str
    kind: Literal["model", "sensor"]
    """A ``sensor`` alert suspends the ``model`` rules of its device."""
    severity: Severity
    raise_at: float = 0.5
    """Score from which the alert rises, 0 … 1."""
    clear_at: float = 0.5
    """Score below which it clears, at most ``raise_at``."""
    raise_dwell_s: float = 0.0
    """How long the score must stay up before the alert fires, seconds of event time."""
    clear_dwell_s: float = 0.0
    """How long the score must stay down before the alert resolves, seconds of event time."""
    cooldown_s: float = 0.0
    """How long after resolving the alert stays quiet, seconds of event time."""
    max_flaps_per_hour: int = 6
    """Most times an hour the alert fires; after that it stays firing, marked as flapping, until the hour has passed."""
    model_version: str | None = None
    """Version of the model whose score this judges."""


@dataclass(frozen=True, slots=True)
class Windows:
    """What there is to judge in ``n`` windows of one domain; each device's in order of time."""

    device: NDArray[np.int64]
    end_s: NDArray[np.float64]
    trigger_s: NDArray[np.float64]
    covered: NDArray[np.bool_]
    """Enough samples; where not, nothing is judged and everything holds."""
    warming: NDArray[np.bool_]
    """The device's baseline is not known yet; model rules are not judged."""


class Judge:
    """Judges the devices of one domain."""

    def __init__(self, domain: str, rules: Sequence[Rule]) -> None:
        """Take the rules of this domain; others are ignored."""
        raise NotImplementedError

    def judge(
        self,
        windows: Windows,
        scores: Mapping[str, NDArray[np.float32]],
        faults: SensorFaults,
        devices: Sequence[DeviceId],
        explain: Explain,
    ) -> list[Alert]:
        """Judge windows; return transitions in the windows' order. ``scores`` by model rule, shape ``(n,)``, NaN: not scored."""
        raise NotImplementedError

    def silence(self, device: DeviceId, index: int, *, silent: bool, at_s: float, words: str) -> list[Alert]:
        """Judge the rule ``silent`` for one device at event time ``at_s``."""
        raise NotImplementedError

    def open_alerts(self) -> list[Alert]:
        """Return the alerts that are firing, as they were last emitted."""
        raise NotImplementedError

    def dump(self) -> bytes:
        """Return the state."""
        raise NotImplementedError

    def load(self, state: bytes) -> None:
        """Take over a state that :meth:`dump` returned."""
        raise NotImplementedError


def sensor_rules(domain: str) -> tuple[Rule, ...]:
    """Return the rules for broken sensors and silent devices of a domain."""
    raise NotImplementedError
