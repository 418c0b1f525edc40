"""The gateway's own pipeline over a recorded file, on the file's time: what it would have scored, what would fire."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any, Final, Literal, get_args

import msgspec
from rich.table import Table

from contract import codec, topics
from contract.messages import Alert, Sample
from contract.points import COVERAGE, SCORE
from edgefleet.errors import StateError
from gateway import plans
from gateway.alerts import Rule
from gateway.domain_pipeline import Plan
from gateway.inference.shelf import load_all
from gateway.intake import IntakeLimits
from gateway.pipeline import Pipeline
from gateway.ports import Batch, Message
from gateway.settings import Settings, shelves_folder
from simulator.replay import Recording

SAMPLES_A_BATCH: Final = 1000
NO_LIMITS: Final = IntakeLimits(max_messages_per_s=1e9, max_future_s=math.inf)
"""A file is not a hostile device."""

State = Literal["insufficient", "warming", "normal", "firing"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One window."""

    window_end: float
    """Unix seconds."""
    score: float | None
    coverage: float
    state: State
    """``insufficient``: too few samples; ``warming``: the baseline is not known yet; else whether the alert fires."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backtest:
    """What a gateway would have said."""

    rows: list[Row]
    alerts: list[Alert]
    """Transitions, by time."""

    @property
    def fired(self) -> list[Alert]:
        """The alerts, each as it began."""
        return [alert for alert in self.alerts if alert.state == "firing"]


def plan_for(domain: str, settings: Settings) -> Plan:
    """Return the plan of one domain, as the gateway of these settings has it.

    :raises StateError: the domain has no shelf, so nothing would be scored
    """
    for plan in plans.plans(settings, load_all(shelves_folder(settings))):
        if plan.domain.name == domain and plan.model is not None:
            return plan
    message = f"{domain} has no shelf in {shelves_folder(settings)}: nothing would be scored. Train or place one."
    raise StateError(message)


def with_thresholds(plan: Plan, raise_at: float, clear_at: float | None) -> Plan:
    """Return the plan with another threshold for its model; ``clear_at`` stays below it."""

    def changed(rule: Rule) -> Rule:
        lower = min(rule.clear_at, raise_at) if clear_at is None else clear_at
        return replace(rule, raise_at=raise_at, clear_at=lower) if rule.kind == "model" else rule

    return replace(plan, rules=tuple(map(changed, plan.rules)))


def backtest(recording: Recording, plan: Plan) -> Backtest:
    """Run a recording through the pipeline, as if its rows had come one by one.

    As on a gateway, the last windows stay open: nothing came after them.
    """
    pipeline = Pipeline([plan], NO_LIMITS)
    topic = topics.telemetry(recording.devices[0])
    windows: list[tuple[float, float | None, float]] = []
    alerts: list[Alert] = []
    for batch in _batches(topic, recording):
        outputs = pipeline.process(batch)
        alerts += outputs.alerts
        windows += [
            (point.time_ns / 1e9, point.fields.get(SCORE), point.fields[COVERAGE])  # type: ignore[misc]  # both floats
            for point in outputs.points
            if point.measurement == plan.domain.name
        ]
    return Backtest(rows=list(_rows(windows, alerts, plan)), alerts=alerts)


def _batches(topic: str, recording: Recording) -> Iterator[Batch]:
    samples = _samples(recording)
    position = 0
    while part := list(islice(samples, SAMPLES_A_BATCH)):
        position += 1
        messages: list[Message] = [(topic, codec.encode_sample(sample)) for sample in part]
        yield Batch(position, part[-1].ts, messages)


def _samples(recording: Recording) -> Iterator[Sample]:
    while recording.next_s < math.inf:
        yield from recording.advance()[0]


def _rows(windows: Sequence[tuple[float, float | None, float]], alerts: Sequence[Alert], plan: Plan) -> Iterator[Row]:
    """Yield windows with the state of the model's alert behind each."""
    rule = None if plan.model is None else plan.model.rule
    changes = {alert.at_s: alert.state == "firing" for alert in alerts if alert.rule == rule}
    firing = False
    for end_s, score, coverage in windows:
        firing = changes.get(end_s, firing)
        state: State = "firing" if firing else "normal"
        if coverage < plan.window.min_coverage:
            state = "insufficient"
        elif score is None:
            state = "warming"
        yield Row(window_end=end_s, score=score, coverage=coverage, state=state)


def write_rows(rows: Sequence[Row], file: Path) -> None:
    """Write a row a window: ``window_end,score,coverage,state``."""
    with file.open("w", newline="") as out:
        writer = csv.DictWriter(out, ["window_end", "score", "coverage", "state"])
        writer.writeheader()
        writer.writerows(asdict(row) for row in rows)


def as_json(found: Backtest, other: Backtest | None) -> dict[str, Any]:
    """Return figures for a program; ``other`` is the same file under the threshold that was tried."""
    return {
        "windows": len(found.rows),
        "states": {state: sum(row.state == state for row in found.rows) for state in get_args(State)},
        "alerts": [msgspec.to_builtins(alert) for alert in found.alerts],
        "fired": len(found.fired),
        "fired_with_raise_at": None if other is None else len(other.fired),
    }


def alert_table(found: Backtest) -> Table:
    """Return the alerts that would have fired, for people."""
    table = Table("onset (UTC)", "rule", "score", "why")
    for alert in found.fired:
        table.add_row(_utc(alert.onset_s), alert.rule, f"{alert.score:.2f}", alert.summary)
    return table


def _utc(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")
