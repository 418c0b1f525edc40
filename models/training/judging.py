"""From scores to alerts with the gateway's own judge, and the choice of its thresholds on validation fleets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from contract.messages import Alert, Reason
from gateway.alerts import Judge, Rule, Windows, sensor_rules
from gateway.inference.manifest import Judging
from models.training.dataset import Rows
from models.training.events import EventScore, Watch, merge, score_events
from models.training.metrics import f1
from models.training.recipes import CLEAR_SHARE, RAISE_AT, Recipe


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One way to judge, and what it reaches in each validation set."""

    judging: Judging
    scores: dict[str, EventScore]
    row_f1: float = 0.0
    """Lowest F1 of rows of the sets that have rows and no alerts."""

    @property
    def worst(self) -> float:
        """Lowest precision or recall of any set."""
        return min(min(score.precision, score.recall) for score in self.scores.values())

    @property
    def mean(self) -> float:
        """Mean of precision and recall over all sets: breaks ties of the worst."""
        return float(np.mean([(score.precision + score.recall) / 2.0 for score in self.scores.values()]))


def candidates(
    hop_s: float,
    dwell_hops: Sequence[int],
    cooldown_s: float,
    raise_at: Sequence[float] = RAISE_AT,
    clear_share: float = CLEAR_SHARE,
) -> list[Judging]:
    """Return the ways to judge that are tried."""
    return [
        Judging(
            raise_at=score,
            clear_at=round(score * clear_share, 3),
            raise_dwell_s=hops * hop_s,
            clear_dwell_s=2 * hop_s,
            cooldown_s=cooldown_s,
        )
        for score, hops in product(raise_at, dwell_hops)
    ]


def choose(
    sets: Mapping[str, Sequence[tuple[Rows, NDArray[np.float32]]]],
    ways: Sequence[Judging],
    recipe: Recipe,
    others: Sequence[tuple[NDArray[np.bool_], NDArray[np.float32]]] = (),
) -> Candidate:
    """Return the way to judge whose worst validation set is best.

    :param others: label and score ``(n,)`` of sets of another make, which have rows and no alerts: among ways that do
        as well on the fleets, the one under which their rows fare best is taken
    """
    results = {name: judged(fleets, ways, recipe) for name, fleets in sets.items()}
    tried = [
        Candidate(
            judging=way,
            scores={name: scores[place] for name, scores in results.items()},
            row_f1=min((f1(label, score >= way.raise_at) for label, score in others), default=0.0),
        )
        for place, way in enumerate(ways)
    ]
    return max(tried, key=lambda one: (round(one.worst, 2), round(one.row_f1, 2), one.mean, -one.judging.raise_dwell_s))


def judged(
    fleets: Sequence[tuple[Rows, NDArray[np.float32]]], ways: Sequence[Judging], recipe: Recipe
) -> list[EventScore]:
    """Return the event score of each way to judge over fleets and their scores ``(n,)``."""
    by_fleet = [_judged_fleet(rows, scores, ways, recipe) for rows, scores in fleets]
    return [merge([scores[place] for scores in by_fleet]) for place in range(len(ways))]


def _judged_fleet(rows: Rows, scores: NDArray[np.float32], ways: Sequence[Judging], recipe: Recipe) -> list[EventScore]:
    domain = rows.recording.domain.name
    rules = [rule(f"way_{place}", domain, way) for place, way in enumerate(ways)]
    recording, window = rows.recording, recipe.window
    alerts = alerts_of(rows, scores, rules, window.length_s)
    watch = Watch(
        slack_s=window.length_s + window.lateness_s,
        until_s=recording.end_s - recipe.margin_s,
        device_days=recording.device_days,
    )
    return [score_events(alerts, recording.truths, watch, rule=one.name) for one in rules]


def rule(name: str, domain: str, way: Judging) -> Rule:
    """Return the judge's rule for one way to judge."""
    return Rule(name=name, domain=domain, kind="model", severity="warning", **way.model_dump())


def alerts_of(rows: Rows, scores: NDArray[np.float32], rules: Sequence[Rule], window_s: float) -> list[Alert]:
    """Return the transitions that the gateway would report; all rules judge the same scores ``(n,)``."""
    domain = rows.recording.domain
    judge = Judge(domain.name, [*rules, *sensor_rules(domain, window_s=window_s)])
    shown = np.where(rows.scored, scores, np.float32(np.nan)).astype(np.float32)
    alerts: list[Alert] = []
    start = 0
    for length, faults in zip(rows.runs, rows.faults, strict=True):
        part = slice(start, start + length)
        windows = Windows(
            rows.device[part], rows.end_s[part], rows.trigger_s[part], rows.covered[part], rows.warming[part]
        )
        by_rule = {one.name: shown[part] for one in rules}
        alerts += judge.judge(windows, by_rule, faults, rows.recording.devices, _no_words)
        start += length
    return alerts


def _no_words(_window: int, _rule: str) -> tuple[str, tuple[Reason, ...]]:
    return "", ()
