"""What a model reaches: rows and events, int8 beside float, and what one reaches without a model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gateway.inference.litert import LiteRtScorer
from gateway.inference.manifest import Judging, Manifest, Metric, Naive
from models.training import judging
from models.training.dataset import Rows
from models.training.events import EventScore
from models.training.metrics import auc, average_precision, f1, rates
from models.training.network import Fitted
from models.training.parts import Examples
from models.training.quantised import Scaling, float_scores
from models.training.recipes import Recipe

Scores = NDArray[np.float32]
Scored = Sequence[tuple[Rows, Scores]]

QUANTISATION_LOSS: Final = 0.01
"""Most that the int8 model may lose of the float model's row AUC or F1, on any set: else it is not written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """What was measured."""

    metrics: tuple[Metric, ...]
    naive: tuple[Naive, ...]
    events: EventScore
    """The int8 model on the test fleets."""
    scored: tuple[NDArray[np.bool_], Scores, Scores]
    """Label, int8 and float score of the test rows that count, each of shape ``(n,)``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A fitted model and its description."""

    manifest: Manifest
    fitted: Fitted
    scale: Scaling
    recipe: Recipe


def measure(
    model: Model,
    validation: Mapping[str, Sequence[Rows]],
    test: Sequence[Rows],
    gate: float | None,
    watched: Mapping[str, Examples] | None = None,
) -> Results:
    """Measure a model on every set, and the naive rules on the test fleets; watched sets have rows and no alerts."""
    scorer = LiteRtScorer(model.fitted.int8_model, model.manifest)
    way, recipe = model.manifest.judging, model.recipe
    metrics: list[Metric] = []
    sets = {**{f"validation: {name}": rows for name, rows in validation.items()}, "test": test}
    for name, fleets in sets.items():
        int8 = [(rows, scorer.score(rows.features)) for rows in fleets]
        floats = [(rows, float_scores(model.fitted.float_model, model.scale(rows.features))) for rows in fleets]
        (events,), (float_events,) = judging.judged(int8, [way], recipe), judging.judged(floats, [way], recipe)
        metrics += _metrics(name, (int8, events), (floats, float_events), way, gate if name == "test" else None)
    for name, rows in (watched or {}).items():
        floating = float_scores(model.fitted.float_model, model.scale(rows.features))
        quantised = _row_numbers(rows.label, scorer.score(rows.features), way.raise_at)
        plain = _row_numbers(rows.label, floating, way.raise_at)
        metrics += _as_metrics(f"validation: {name}", quantised, plain, {})
    # the test set is the last: its events and rows are still at hand
    scored = (*counted(int8), counted(floats)[1])
    return Results(metrics=tuple(metrics), naive=_naive(recipe, validation, test), events=events, scored=scored)


def _metrics(
    name: str, int8: tuple[Scored, EventScore], floats: tuple[Scored, EventScore], way: Judging, gate: float | None
) -> list[Metric]:
    quantised, plain = _numbers(*int8, way.raise_at), _numbers(*floats, way.raise_at)
    return _as_metrics(name, quantised, plain, {"event precision": gate, "event recall": gate})


def _as_metrics(
    name: str, quantised: Mapping[str, float], plain: Mapping[str, float], gates: Mapping[str, float | None]
) -> list[Metric]:
    return [
        Metric(
            name=what,
            data=name,
            int8=_short(value),
            float32=_short(plain[what]),
            gate=gates.get(what),
            better="lower" if "false" in what or "delay" in what else "higher",
        )
        for what, value in quantised.items()
    ]


def _numbers(scored: Scored, events: EventScore, raise_at: float) -> dict[str, float]:
    return {
        "event precision": events.precision,
        "event recall": events.recall,
        "median delay s": events.median_delay_s if events.delays_s else 0.0,
        "false alerts per device-day": events.false_per_device_day,
        **_row_numbers(*counted(scored), raise_at),
    }


def _row_numbers(label: NDArray[np.bool_], score: Scores, raise_at: float) -> dict[str, float]:
    recall, false_rate = rates(label, score >= raise_at)
    return {
        "row AUC": auc(label, score),
        "row average precision": average_precision(label, score),
        "row F1": f1(label, score >= raise_at),
        "row recall": recall,
        "row false-alarm rate": false_rate,
    }


def loss_at(model: Model, rows: Sequence[Examples], raise_at: float) -> float:
    """Return how much F1 int8 costs at most, of any set, where scores are held against a threshold."""
    scorer = LiteRtScorer(model.fitted.int8_model, model.manifest)
    losses = []
    for each in rows:
        floats = float_scores(model.fitted.float_model, model.scale(each.features))
        whole = f1(each.label, floats >= raise_at)
        losses.append(whole - f1(each.label, scorer.score(each.features) >= raise_at))
    return max(losses)


def lost(metrics: Sequence[Metric]) -> list[str]:
    """Say where int8 costs more than :data:`QUANTISATION_LOSS` of the float model's AUC or F1."""
    losses = {
        f"{metric.name} on {metric.data}": metric.float32 - metric.int8
        for metric in metrics
        if metric.float32 is not None and metric.name in {"row AUC", "row F1"}
    }
    return [f"int8 loses {loss:.3f} of {what}" for what, loss in losses.items() if loss > QUANTISATION_LOSS]


def counted(scored: Scored) -> tuple[NDArray[np.bool_], Scores]:
    """Return label and score of the rows that count: scored, sensors whole, and somebody could say."""
    label = np.concatenate([rows.label[rows.counted] for rows, _ in scored])
    score = np.concatenate([score[rows.counted] for rows, score in scored])
    return label, score


def _naive(recipe: Recipe, validation: Mapping[str, Sequence[Rows]], test: Sequence[Rows]) -> tuple[Naive, ...]:
    """Return what needs no model; thresholds are chosen on the validation fleets, as the model's are."""
    known = [rows for fleets in validation.values() for rows in fleets]
    rng = np.random.default_rng(0)
    rules: dict[str, tuple[Scored, Scored]] = {
        "always positive": (_with(known, _ones), _with(test, _ones)),
        "random": (_with(known, lambda rows: _random(rows, rng)), _with(test, lambda rows: _random(rows, rng))),
        "clock only": (_with(known, _clock(known)), _with(test, _clock(known))),
    }
    for rule in recipe.naive:
        at = recipe.features.index(rule.feature)

        def taken(rows: Rows, at: int = at, sign: float = rule.sign) -> Scores:
            values: Scores = np.nan_to_num(sign * rows.features[:, at], nan=-1e9).astype(np.float32)
            return values

        rules[rule.name] = (_with(known, taken), _with(test, taken))
    return tuple(Naive(name=name, metrics=_naive_metrics(*pair, recipe)) for name, pair in rules.items())


def _naive_metrics(known: Scored, test: Scored, recipe: Recipe) -> dict[str, float]:
    label, score = counted(test)
    known_label, known_score = counted(known)
    bounds = np.unique(np.quantile(known_score, np.linspace(0.0, 0.999, 200)))
    bound = max(bounds, key=lambda bound: f1(known_label, known_score >= bound))
    # a bound is a bound whatever its unit: the judge gets 0 or 1
    (events,) = judging.judged(
        [(rows, (values >= bound).astype(np.float32)) for rows, values in test],
        [judging.candidates(recipe.window.hop_s, (0,), recipe.cooldown_s)[0]],
        recipe,
    )
    return {
        "event precision": _short(events.precision),
        "event recall": _short(events.recall),
        "row AUC": _short(auc(label, score)),
        "row average precision": _short(average_precision(label, score)),
        "row F1": _short(f1(label, score >= bound)),
    }


def _with(fleets: Sequence[Rows], score: Callable[[Rows], Scores]) -> Scored:
    return [(rows, score(rows)) for rows in fleets]


def _ones(rows: Rows) -> Scores:
    return np.ones(len(rows.device), np.float32)


def _random(rows: Rows, rng: np.random.Generator) -> Scores:
    return rng.random(len(rows.device)).astype(np.float32)


def _clock(known: Sequence[Rows]) -> Callable[[Rows], Scores]:
    """Return a score that knows the hour of the day and how long a device has been there, and no sensor."""
    label, bins = counted([(rows, _bins(rows)) for rows in known])
    count, hits = (
        np.bincount(bins.astype(np.int64), minlength=24 * 64),
        np.bincount(bins.astype(np.int64), weights=label, minlength=24 * 64),
    )
    share = (hits + 1.0) / (count + 2.0)

    def score(rows: Rows) -> Scores:
        known_share: Scores = share[_bins(rows).astype(np.int64)].astype(np.float32)
        return known_share

    return score


def _bins(rows: Rows) -> Scores:
    recording = rows.recording
    hour = (rows.end_s % 86400.0 // 3600.0).astype(np.int64)
    life_s = recording.physical.shape[1] * recording.domain.period_s
    age = np.clip((rows.end_s - recording.start_s) / life_s * 64, 0, 63).astype(np.int64)
    bins: Scores = (hour * 64 + age).astype(np.float32)
    return bins


def _short(value: float) -> float:
    return float(f"{value:.4g}")
