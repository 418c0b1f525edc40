"""``CARD.md`` of a shelf: generated from what was measured, never typed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from gateway.inference.manifest import Manifest, Metric
from models.training.ablation import Variant
from models.training.measure import Results
from models.training.network import Fitted
from models.training.recorded.rows import Row

RECORDED: Final = "## On recorded data"
APART: Final = 0.02
"""How far the best ranks of two validation sets may lie apart, average precision, before the card calls it out."""


def text(
    manifest: Manifest,
    fitted: Fitted,
    results: Results,
    pictures: Sequence[str] = (),
    compared: Sequence[Variant] = (),
) -> str:
    """Return the card; pictures are paths below the shelf, compared are the variants of the fit."""
    return "\n".join(
        [
            f"# {manifest.domain}: {manifest.rule}",
            "",
            f"Version {manifest.version}. {manifest.meaning}",
            "",
            f"Made by `{manifest.training.command}`, which measured every number here.",
            "",
            *_facts(manifest, fitted),
            "## On fleets that the model never saw",
            "",
            *_metric_table(manifest.metrics),
            "An alert is true if it begins within a fault of its device, or in the last window that reaches into it.",
            "A fault is detected if at least one alert is true of it.",
            "",
            *_events(results),
            RECORDED,
            "",
            f"Not measured yet: `edgefleet models evaluate {manifest.domain} --data DIR --card` does.",
            "",
            "## Without a model",
            "",
            *_naive_table(manifest, [metric for metric in manifest.metrics if metric.data == "test"]),
            "## How it was trained",
            "",
            f"{manifest.training.data} Seeds and calendar years of training, validation and test are disjoint.",
            f"The epoch ({fitted.epoch + 1}) was chosen on the worst of all validation sets,",
            "the thresholds on the worst of the two of fleets.",
            "",
            *_table(
                ["part", "windows that count"],
                [[part, f"{count:,}"] for part, count in manifest.training.windows.items()],
            ),
            *_table(["fleets", "seeds"], [[part, _seeds(seeds)] for part, seeds in manifest.training.seeds.items()]),
            *learned_from(manifest),
            *_curves(fitted),
            *disagreement(fitted),
            *comparison(compared, manifest.domain),
            *pictured(pictures),
            "## Inputs",
            "",
            *_table(
                ["feature", "mean", "scale"],
                [[f"`{f.name}`", f"{f.mean:g}", f"{f.scale:g}"] for f in manifest.features],
            ),
            "## Limits",
            "",
            "Trained on simulated devices"
            + (" and on the recorded data named above." if manifest.training.recorded else " only."),
            "",
        ]
    )


def _facts(manifest: Manifest, fitted: Fitted) -> list[str]:
    window, judging = manifest.window, manifest.judging
    rows = [
        ["window", f"{window.length_s:g} s every {window.hop_s:g} s, one sample a {window.period_s:g} s"],
        ["calibration", f"{window.calibration_s:g} s"],
        ["raised", f"score ≥ {judging.raise_at:g} for {judging.raise_dwell_s:g} s"],
        ["cleared", f"score < {judging.clear_at:g} for {judging.clear_dwell_s:g} s"],
        ["operators", ", ".join(manifest.ops)],
        ["size", f"{len(fitted.int8_model):,} bytes int8, {len(fitted.float_model):,} bytes float"],
        ["arena", f"{manifest.arena_bytes:,} bytes in TFLite Micro"],
        ["parity", f"TFLite Micro and LiteRT differ by {manifest.parity_quanta} quanta at most"],
    ]
    return _table(["what", "value"], rows)


def _metric_table(metrics: Sequence[Metric]) -> list[str]:
    rows = [
        [m.data, m.name, _number(m.int8), _number(m.float32), "" if m.gate is None else f"{_sign(m)} {m.gate:g}"]
        for m in metrics
    ]
    return _table(["data", "metric", "int8", "float", "bar"], rows)


def _events(results: Results) -> list[str]:
    events = results.events
    missed = [[name, str(total - count), str(total)] for name, count, total in events.missed]
    blamed = [[name, str(count)] for name, count in events.blamed] or [["none", "0"]]
    return [
        *_table(["fault (test)", "detected", "injected"], missed),
        *_table(["false alerts (test) during", "alerts"], blamed),
    ]


def _naive_table(manifest: Manifest, metrics: Sequence[Metric]) -> list[str]:
    names = list(manifest.naive[0].metrics) if manifest.naive else []
    mine = {metric.name: metric.int8 for metric in metrics}
    rows = [[naive.name, *(_number(naive.metrics[name]) for name in names)] for naive in manifest.naive]
    rows.append(["**this model**", *(_number(mine.get(name)) for name in names)])
    return _table(["rule (test)", *names], rows)


def _curves(fitted: Fitted) -> list[str]:
    """Return average precision by epoch of each validation set."""
    names = [name for name in fitted.curves if name != "loss"]
    epochs = range(len(fitted.curves["loss"]))
    rows = [
        [str(epoch + 1), f"{fitted.curves['loss'][epoch]:.4f}", *(f"{fitted.curves[n][epoch]:.4f}" for n in names)]
        for epoch in epochs
    ]
    return _table(["epoch", "loss", *(f"average precision, {name}" for name in names)], rows)


def with_recorded(card: str, rows: Sequence[Row], tries: Sequence[str]) -> str:
    """Return a card with what was measured on recorded data in the place kept for it."""
    before, _, after = card.partition(f"{RECORDED}\n")
    rest = after[after.index("\n## ") + 1 :] if "\n## " in after else ""
    body = [RECORDED, "", "The shelf as it is shipped, thresholds frozen, nothing seen before its time.", ""]
    return (
        before
        + "\n".join([*body, *_recorded_table(rows), *(line for each in tries for line in (each, ""))])
        + "\n"
        + rest
    )


def _recorded_table(rows: Sequence[Row]) -> list[str]:
    cells = [
        [
            row.data,
            row.metric,
            _number(row.int8),
            _number(row.float32),
            _bar(row.floor, met=row.passed),
            _bar(row.goal, met=row.at_goal),
            ", ".join(f"{name} {_number(value)}" for name, value in row.naive.items()),
            row.note,
        ]
        for row in rows
    ]
    return _table(["data", "metric", "int8", "float", "floor", "goal", "without this model", "rows"], cells)


def _bar(bar: float | None, *, met: bool | None) -> str:
    return "" if bar is None else f"{_number(bar)}, {'reached' if met else 'missed'}"


def disagreement(fitted: Fitted) -> list[str]:
    """Say where the validation sets disagree: on how good the model is, and on when it was best."""
    curves = {name: curve for name, curve in fitted.curves.items() if name != "loss"}
    kept = {name: curve[fitted.epoch] for name, curve in curves.items()}
    best = {name: max(range(len(curve)), key=curve.__getitem__) for name, curve in curves.items()}
    low, high = min(kept, key=kept.__getitem__), max(kept, key=kept.__getitem__)
    lines = []
    if kept[high] - kept[low] > APART:
        lines += [f"The sets disagree: {low} ranks {kept[low]:.3f} where {high} ranks {kept[high]:.3f}.", ""]
    for name, epoch in best.items():
        lost = curves[name][epoch] - kept[name]
        if lost > APART / 4.0:
            lines += [f"{name} alone would have kept epoch {epoch + 1}, {lost:.3f} better than what was kept.", ""]
    return lines or ["The sets agree: on what was reached, and on the epoch.", ""]


def pictured(pictures: Sequence[str]) -> list[str]:
    """Return the pictures, if there are any."""
    names = [path.rpartition("/")[2].removesuffix(".svg").replace("_", " ") for path in pictures]
    images = [f"![{name}]({path})" for name, path in zip(names, pictures, strict=True)]
    return ["## Pictures (test)", "", " ".join(images), ""] if pictures else []


def _seeds(seeds: Sequence[int]) -> str:
    return f"{seeds[0]} … {seeds[-1]}" if seeds else ""


def learned_from(manifest: Manifest) -> list[str]:
    """Name the recorded data that the model learned from, and who made it."""
    if not manifest.training.recorded:
        return []
    lines = ["Recorded data among it, of which nothing is in this repository:", ""]
    for source in manifest.training.recorded:
        files = ", ".join(f"`{name}` (SHA-256 {digest[:12]}…)" for name, digest in source.files.items())
        train, held_out = source.rows["train"], source.rows["validation"]
        lines += [
            f"- {source.name}, {source.licence}: {source.attribution}",
            f"  Rows before {source.until} only: {train:,} trained on, {held_out:,} of other devices, later, for",
            f"  validation. Files: {files}.",
        ]
    return [*lines, ""]


def comparison(compared: Sequence[Variant], domain: str) -> list[str]:
    """Say what each part of regularisation and augmentation changes, where it was measured."""
    head = ["### What regularisation and augmentation are worth", ""]
    if not compared:
        return [*head, f"Not measured for this shelf: `edgefleet models train {domain} --ablate` does.", ""]
    shipped, names = compared[0], list(compared[0].ranks)
    rows = []
    for variant in compared:
        change, where = variant.worst_change(shipped)
        worst = "" if variant is shipped else f"{change:+.4f}, {where}"
        rows.append([variant.name, *(f"{variant.ranks[name]:.4f}" for name in names), worst])
    return [
        *head,
        "Average precision of each set at the epoch kept, the net fitted again on the same rows.",
        "What another seed alone changes is chance; so is any change of its size.",
        "",
        *_table(["fit", *names, "worst change"], rows),
    ]


def _sign(metric: Metric) -> str:
    return "≥" if metric.better == "higher" else "≤"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows)]
    return [*lines, ""]
