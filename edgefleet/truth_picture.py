"""The truth as the console draws it: each injected event and each alert, judged as ``edgefleet score`` judges them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from console.truth import Event, Figures, Judged, Outcome, Picture
from contract.messages import Alert
from contract.truth import Truth
from edgefleet import scoring, state
from edgefleet.errors import StateError
from edgefleet.scoring import Tolerance, Watched
from gateway.settings import Settings, shelves_folder


def picture(truth_file: Path, state_dir: Path) -> Picture | None:
    """Return the picture as of now; ``None`` while truth or store cannot be read."""
    try:
        truths = state.read_truths(truth_file)
        store = state.reader(state_dir)
    except StateError:  # the demo has not written them yet
        return None
    watched = state.watched(store.ledger(), truths)
    shelves = shelves_folder(Settings())
    tolerances = {domain: state.tolerance(domain, shelves) for domain in watched}
    firings = state.firings(store)
    scores = scoring.score(truths, firings, tolerances, watched)
    return Picture(
        events=tuple(
            _event(truth, truths, firings, tolerances[truth.domain], watched[truth.domain]) for truth in truths
        ),
        alerts=tuple(
            _judged(alert, truths, tolerances[alert.domain].grace_s)
            for alert in firings
            if alert.model_version is not None and alert.domain in tolerances
        ),
        figures={
            domain: Figures(
                faults=one.faults,
                detected=one.detected,
                alerts=one.alerts,
                true_alerts=one.true_alerts,
                precision=one.precision,
                recall=one.recall,
                median_delay_s=one.median_delay_s,
            )
            for domain, one in scores.items()
        },
    )


def _event(
    truth: Truth, truths: Sequence[Truth], firings: Sequence[Alert], tolerance: Tolerance, watched: Watched
) -> Event:
    by_model = [alert for alert in firings if alert.domain == truth.domain and alert.model_version is not None]
    by_sensor = [alert for alert in firings if alert.domain == truth.domain and alert.model_version is None]
    if truth.kind == "look_alike":  # an alert is its doing only where no fault explains it
        faults = [one for one in truths if one.kind == "fault" and one.domain == truth.domain]
        by_model = [
            alert
            for alert in by_model
            if not any(scoring.explains(fault, alert, tolerance.grace_s) for fault in faults)
        ]
    of_kind = by_sensor if truth.kind == "device_fault" else by_model
    delay_s = scoring.delay_s(truth, of_kind, tolerance.grace_s)
    return Event(truth=truth, outcome=_outcome(truth, delay_s, tolerance, watched), delay_s=delay_s)


def _outcome(truth: Truth, delay_s: float | None, tolerance: Tolerance, watched: Watched) -> Outcome:
    if truth.kind == "look_alike":
        return "quiet" if delay_s is None else "fooled"
    if truth.kind == "device_fault":
        return "unnoticed" if delay_s is None else "noticed"
    if delay_s is not None:
        return "caught"
    return "missed" if scoring.detectable(truth, tolerance, watched) else "too_late"


def _judged(alert: Alert, truths: Sequence[Truth], grace_s: float) -> Judged:
    near = [truth for truth in truths if truth.domain == alert.domain]
    true = any(truth.kind == "fault" and scoring.explains(truth, alert, grace_s) for truth in near)
    harmless = [truth for truth in near if truth.kind != "fault"]
    return Judged(alert=alert, true=true, circumstance="" if true else scoring.circumstance(alert, harmless, grace_s))
