"""How good the alerts were, against what the simulator injected. Pure.

An alert of a model's rule is true if it began while a fault was there, or within the grace after it (a window that
still holds the fault, and the lateness for which it waits), on the fault's device or on one that the fault affects.
Every other alert of a model is false, whatever caused it. Sensor rules are counted apart, against the device faults.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any, Final

from contract.messages import Alert
from contract.truth import Truth

DAY_S: Final = 86400.0
CLEAN: Final = "clean"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tolerance:
    """What a domain's windows ask of the score, seconds."""

    grace_s: float
    """After the end of a fault its windows still hold it: a window and the lateness."""
    margin_s: float
    """A fault that began less than this before the end of the device's data could not have been seen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """How much of a domain was watched."""

    last_s: Mapping[tuple[str, str], float]
    """Newest measurement of each (site, device), Unix seconds."""
    device_days: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """One domain's figures. ``None`` where there is nothing to divide by."""

    faults: int
    """Faults that a model could have found."""
    detected: int
    undetectable: int
    """Faults that began too close to the end of the data; in no other figure, but their alerts are true."""
    alerts: int
    """Alerts of model rules."""
    true_alerts: int
    precision: float | None
    recall: float | None
    median_delay_s: float | None
    """From a fault's onset to its first true alert, device time."""
    false_alarms_per_device_day: float | None
    false_alarms: dict[str, int]
    """What was going on where a false alarm arose: the label of a look-alike or device fault, or ``clean``."""
    missed: dict[str, int]
    """Labels of the faults that were not found."""
    device_faults: int
    device_faults_noticed: int
    """Device faults during which a sensor rule fired on the device."""

    def as_dict(self) -> dict[str, Any]:
        """Return the figures for JSON."""
        return asdict(self)


def score(
    truths: Sequence[Truth],
    firings: Iterable[Alert],
    tolerances: Mapping[str, Tolerance],
    watched: Mapping[str, Watched],
) -> dict[str, Score]:
    """Return the score of every domain that was watched.

    ``firings`` holds each alert once, as it began. A rule is a model's if it names its version.
    """
    by_domain: dict[str, list[Alert]] = defaultdict(list)
    for alert in firings:
        by_domain[alert.domain].append(alert)
    return {
        domain: _domain_score(
            [truth for truth in truths if truth.domain == domain], by_domain[domain], tolerances[domain], seen
        )
        for domain, seen in watched.items()
    }


def _domain_score(truths: Sequence[Truth], firings: Sequence[Alert], tolerance: Tolerance, watched: Watched) -> Score:
    faults = [truth for truth in truths if truth.kind == "fault"]
    harmless = [truth for truth in truths if truth.kind != "fault"]
    hardware = [truth for truth in truths if truth.kind == "device_fault"]
    by_model = [alert for alert in firings if alert.model_version is not None]
    by_sensor = [alert for alert in firings if alert.model_version is None]
    grace_s = tolerance.grace_s
    false = [alert for alert in by_model if not any(explains(truth, alert, grace_s) for truth in faults)]
    findable = [truth for truth in faults if detectable(truth, tolerance, watched)]
    delays = {id(truth): delay_s(truth, by_model, grace_s) for truth in findable}
    found = [one for one in delays.values() if one is not None]
    return Score(
        faults=len(findable),
        detected=len(found),
        undetectable=len(faults) - len(findable),
        alerts=len(by_model),
        true_alerts=len(by_model) - len(false),
        precision=_ratio(len(by_model) - len(false), len(by_model)),
        recall=_ratio(len(found), len(findable)),
        median_delay_s=median(found) if found else None,
        false_alarms_per_device_day=_ratio(len(false), watched.device_days),
        false_alarms=dict(Counter(circumstance(alert, harmless, grace_s) for alert in false)),
        missed=dict(Counter(truth.fault for truth in findable if delays[id(truth)] is None)),
        device_faults=len(hardware),
        device_faults_noticed=sum(any(explains(truth, alert, grace_s) for alert in by_sensor) for truth in hardware),
    )


def explains(truth: Truth, alert: Alert, grace_s: float) -> bool:
    """Tell whether an event is what an alert is about, each being there at that time."""
    return (
        alert.site == truth.site
        and (alert.device == truth.device or alert.device in truth.affected)
        and truth.onset_s <= alert.onset_s <= truth.end_s + grace_s
    )


def detectable(truth: Truth, tolerance: Tolerance, watched: Watched) -> bool:
    """Tell whether a fault began early enough in the device's data to be found."""
    last_s = watched.last_s.get((truth.site, truth.device))
    # a device without any data should have been heard of: its faults count
    return last_s is None or truth.onset_s <= last_s - tolerance.margin_s


def delay_s(truth: Truth, alerts: Sequence[Alert], grace_s: float) -> float | None:
    """Return the time from an event's onset to the first alert about it, seconds; ``None`` where there is none."""
    return min((alert.onset_s - truth.onset_s for alert in alerts if explains(truth, alert, grace_s)), default=None)


def circumstance(alert: Alert, harmless: Sequence[Truth], grace_s: float) -> str:
    """Return what was going on where a false alarm arose: the label of something harmless, or ``clean``."""
    return next((truth.fault for truth in harmless if explains(truth, alert, grace_s)), CLEAN)


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole > 0 else None
