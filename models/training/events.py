"""How good alerts are, event by event: what an operator gets is alerts, not rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from contract.messages import Alert
from contract.truth import Truth


@dataclass(frozen=True, slots=True, kw_only=True)
class EventScore:
    """Alerts against injected faults."""

    faults: int
    detected: int
    """Faults with at least one true alert."""
    alerts: int
    true_alerts: int
    """Alerts whose onset lies within a fault of their device, or of a device that the fault reaches."""
    delays_s: tuple[float, ...]
    """From a detected fault's onset to its first true alert, seconds."""
    device_days: float
    """Time watched."""
    blamed: tuple[tuple[str, int], ...] = ()
    """False alerts by the event, look-alike or device fault, that was going on: most first."""
    missed: tuple[tuple[str, int, int], ...] = ()
    """Fault, how many were missed, of how many."""

    @property
    def precision(self) -> float:
        """Share of alerts that are true; 1 where there are none."""
        return self.true_alerts / self.alerts if self.alerts else 1.0

    @property
    def recall(self) -> float:
        """Share of faults that were detected; 1 where there were none."""
        return self.detected / self.faults if self.faults else 1.0

    @property
    def median_delay_s(self) -> float:
        """Median time to the first true alert, seconds; NaN where no fault was detected."""
        return float(np.median(self.delays_s)) if self.delays_s else float("nan")

    @property
    def false_per_device_day(self) -> float:
        """False alerts a device and day."""
        return (self.alerts - self.true_alerts) / self.device_days if self.device_days else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """What was watched, and what may be asked of it."""

    slack_s: float
    """Window length plus lateness: how long after a fault's end its last window may still close, seconds."""
    until_s: float
    """Faults that began later could not have been seen, Unix seconds; their alerts are true all the same."""
    device_days: float = 0.0


def score_events(alerts: Sequence[Alert], truths: Sequence[Truth], watch: Watch, *, rule: str) -> EventScore:
    """Match the firing alerts of a rule with the injected events."""
    slack_s = watch.slack_s
    # an alert that flaps is said to fire more than once: the first time counts
    firing = list({alert.id: alert for alert in alerts if alert.rule == rule and alert.state == "firing"}.values())
    injected = [truth for truth in truths if truth.kind == "fault"]
    faults = [fault for fault in injected if fault.onset_s <= watch.until_s]
    first = [min(onsets) for fault in faults if (onsets := [a.onset_s for a in firing if _within(a, fault, slack_s)])]
    false = [alert for alert in firing if not any(_within(alert, fault, slack_s) for fault in injected)]
    found = [fault for fault in faults if any(_within(alert, fault, slack_s) for alert in firing)]
    return EventScore(
        faults=len(faults),
        detected=len(found),
        alerts=len(firing),
        true_alerts=len(firing) - len(false),
        delays_s=tuple(onset - fault.onset_s for onset, fault in zip(first, found, strict=True)),
        device_days=watch.device_days,
        blamed=_counts([_going_on(alert, truths, slack_s) for alert in false]),
        missed=_missed(faults, found),
    )


def merge(scores: Sequence[EventScore]) -> EventScore:
    """Return the score of several fleets together."""
    blamed = [name for score in scores for name, count in score.blamed for _ in range(count)]
    names = sorted({name for score in scores for name, _, _ in score.missed})
    missed = {name: [row[1:] for score in scores for row in score.missed if row[0] == name] for name in names}
    return EventScore(
        faults=sum(score.faults for score in scores),
        detected=sum(score.detected for score in scores),
        alerts=sum(score.alerts for score in scores),
        true_alerts=sum(score.true_alerts for score in scores),
        delays_s=tuple(delay for score in scores for delay in score.delays_s),
        device_days=sum(score.device_days for score in scores),
        blamed=_counts(blamed),
        missed=tuple((name, sum(r[0] for r in rows), sum(r[1] for r in rows)) for name, rows in missed.items()),
    )


def _within(alert: Alert, truth: Truth, slack_s: float) -> bool:
    here = alert.site == truth.site and (alert.device == truth.device or alert.device in truth.affected)
    return here and truth.onset_s <= alert.onset_s <= truth.end_s + slack_s


def _going_on(alert: Alert, truths: Sequence[Truth], slack_s: float) -> str:
    return next((truth.fault for truth in truths if _within(alert, truth, slack_s)), "nothing")


def _counts(names: Sequence[str]) -> tuple[tuple[str, int], ...]:
    return tuple(sorted(((name, names.count(name)) for name in set(names)), key=lambda row: (-row[1], row[0])))


def _missed(faults: Sequence[Truth], found: Sequence[Truth]) -> tuple[tuple[str, int, int], ...]:
    labels = [fault.fault for fault in faults]
    hits = [fault.fault for fault in found]
    return tuple((label, labels.count(label) - hits.count(label), labels.count(label)) for label in sorted(set(labels)))
