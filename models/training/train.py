"""A shelf from nothing: simulate, window, fit, quantise, choose thresholds, measure, write.

Each step knows only the parts that it may: the net and its scaling see the training fleets, the choice of epoch and
thresholds the validation fleets, and the test fleets are looked at once, at the end.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gateway.inference import flatbuffer, micro
from gateway.inference import manifest as manifests
from gateway.inference.litert import LiteRtScorer
from gateway.inference.manifest import Judging, Manifest, Quantisation, Training
from gateway.inference.shelf import Vectors, check_model, write_vectors
from models.training import card, golden, judging, measure
from models.training.dataset import Rows, rows_of
from models.training.guard import Keys, check_disjoint
from models.training.network import Fitted, Part, fit
from models.training.quantised import Scaling, scaling
from models.training.recipes import MOSTLY_HARMLESS, ORDINARY, Recipe
from models.training.reference import reference
from models.training.simulate import simulate

Report = Callable[[str, float], None]
"""``report(what, share)``: what is being done, and how much of the whole is done, 0 … 1."""

GATE: Final = 0.9
"""Least precision and recall of events on the test fleets; a model below it is not written."""
PLACEHOLDER: Final = Judging(raise_at=0.5, clear_at=0.25, raise_dwell_s=0.0, clear_dwell_s=0.0, cooldown_s=0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Data:
    """The windows of every part."""

    train: list[Rows]
    validation: dict[str, list[Rows]]
    test: list[Rows]


class GateError(Exception):
    """A model did not reach its bar and was not written."""


def train(domain: str, recipe: Recipe, shelves: Path, report: Report) -> Manifest:
    """Make the shelf of a domain in the folder ``shelves/domain``.

    :raises GateError: the model did not reach its bar; nothing was written
    :raises MicroMissingError: TFLite Micro is not installed, so its arena cannot be measured
    """
    data = simulate_all(recipe, report)
    guard(data, recipe)
    report("fitting", 0.6)
    scale = scaling(_normal(data.train), recipe.clip)
    fitted = fit(part_of(data.train, scale), {n: part_of(r, scale) for n, r in data.validation.items()}, recipe.net)
    report("choosing thresholds", 0.8)
    draft = describe(domain, recipe, fitted, scale)
    chosen = choose(draft, fitted, recipe, data)
    draft = draft.model_copy(update={"judging": chosen})
    report("measuring", 0.9)
    model = measure.Model(manifest=draft, fitted=fitted, scale=scale, recipe=recipe)
    results = measure.measure(model, data.validation, data.test, GATE)
    vectors = golden.vectors(draft, fitted.int8_model, data.test[0])
    folder = shelves / domain
    final = draft.model_copy(
        update={
            "metrics": results.metrics,
            "naive": results.naive,
            "training": _training(domain, recipe, data),
            "parity_quanta": golden.parity_quanta(fitted.int8_model, vectors),
            "reference": reference(draft, fitted.int8_model, data.train),
        }
    )
    failed = [metric for metric in final.metrics if not metric.passed]
    if failed:
        raise GateError("; ".join(f"{m.name} on {m.data} is {m.int8:.3f}, its bar is {m.gate}" for m in failed))
    _write(folder, final, fitted, vectors, results)
    report("done", 1.0)
    return final


def simulate_all(recipe: Recipe, report: Report) -> Data:
    """Simulate the fleets of every part and cut them into windows."""
    total = sum(recipe.fleets.values())
    done = 0

    def run(part: str, numbers: Sequence[int]) -> list[Rows]:
        nonlocal done
        rows = []
        for number in numbers:
            report(f"simulating {part} fleets", 0.6 * done / total)
            rows.append(fleet_rows(recipe, part, number))
            done += 1
        return rows

    validation = range(recipe.fleets["validation"])
    return Data(
        train=run("train", range(recipe.fleets["train"])),
        validation={
            "ordinary fleets": run("validation", validation[::2]),
            "mostly harmless": run("validation", validation[1::2]),
        },
        test=run("test", range(recipe.fleets["test"])),
    )


def fleet_rows(recipe: Recipe, part: str, number: int) -> Rows:
    """Every second fleet is mostly harmless, in every part."""
    world = recipe.world()
    shares = MOSTLY_HARMLESS if number % 2 else ORDINARY
    recording = simulate(world, recipe.plan(part)[number], shares)
    return rows_of(recording, recipe.window.spec, recipe.features, recipe.labeller(world))


def guard(data: Data, recipe: Recipe) -> None:
    """Refuse parts that know of each other.

    :raises LeakError: they do
    """
    window_s = recipe.window.length_s
    train, test = keys(data.train), keys(data.test)
    for rows in data.validation.values():
        check_disjoint(train, keys(rows), window_s=window_s, embargo_s=window_s)
        check_disjoint(keys(rows), test, window_s=window_s, embargo_s=window_s)
    check_disjoint(train, test, window_s=window_s, embargo_s=window_s)


def keys(parts: Sequence[Rows]) -> Keys:
    """Return where the rows of a part come from."""
    return Keys(
        device=np.concatenate(
            [np.array([str(device) for device in rows.recording.devices])[rows.device] for rows in parts]
        ),
        end_s=np.concatenate([rows.end_s for rows in parts]),
    )


def part_of(parts: Sequence[Rows], scale: Scaling) -> Part:
    """Return the rows of a part that the gateway would score and judge, as the net sees them."""
    kept = [rows.scored & ~rows.broken for rows in parts]
    return Part(
        features=scale(np.concatenate([rows.features[keep] for rows, keep in zip(parts, kept, strict=True)])),
        label=np.concatenate([rows.label[keep] for rows, keep in zip(parts, kept, strict=True)]),
        weight=np.concatenate([rows.weight[keep] for rows, keep in zip(parts, kept, strict=True)]),
    )


def _normal(parts: Sequence[Rows]) -> NDArray[np.float32]:
    return np.concatenate([rows.features[rows.scored & ~rows.label & (rows.weight > 0.0)] for rows in parts])


def describe(domain: str, recipe: Recipe, fitted: Fitted, scale: Scaling) -> Manifest:
    """Return the manifest of a fitted net, its thresholds and metrics still open."""
    anatomy = flatbuffer.read(fitted.int8_model)
    given, taken = anatomy.inputs[0], anatomy.outputs[0]
    return Manifest(
        version=recipe.version,
        domain=domain,
        rule=recipe.rule,
        severity=recipe.severity,
        meaning=recipe.meaning,
        channels=recipe.world().domain.channel_names,
        window=recipe.window,
        features=scale.features(recipe.features),
        clip=recipe.clip,
        input=Quantisation(scale=given.scale, zero_point=given.zero_point),
        output=Quantisation(scale=taken.scale, zero_point=taken.zero_point),
        judging=PLACEHOLDER,
        ops=anatomy.ops,
        arena_bytes=micro.arena_bytes(fitted.int8_model),
        parity_quanta=0,
        sha256=dict.fromkeys(manifests.HASHED, "0" * 64),
        training=Training(command="", data=""),
    )


def choose(draft: Manifest, fitted: Fitted, recipe: Recipe, data: Data) -> Judging:
    """Return the thresholds whose worst validation set is best."""
    scorer = LiteRtScorer(fitted.int8_model, draft)
    sets = {name: [(rows, scorer.score(rows.features)) for rows in fleets] for name, fleets in data.validation.items()}
    ways = judging.candidates(recipe.window.hop_s, recipe.dwell_hops, recipe.cooldown_s)
    return judging.choose(sets, ways, recipe).judging


def _training(domain: str, recipe: Recipe, data: Data) -> Training:
    parts = {"train": data.train, **data.validation, "test": data.test}
    names = {part: "validation" if part in data.validation else part for part in parts}
    return Training(
        command=f"edgefleet models train {domain}",
        data=(
            f"Simulated fleets of {recipe.devices} devices, {recipe.life_s / 3600.0:g} h each, every second one mostly "
            f"harmless events. A positive row is {recipe.label_words}."
        ),
        seeds={part: tuple(fleet.seed for fleet in recipe.plan(part)) for part in dict.fromkeys(names.values())},
        windows={part: sum(int(rows.scored.sum()) for rows in fleets) for part, fleets in parts.items()},
    )


def _write(folder: Path, final: Manifest, fitted: Fitted, vectors: Vectors, results: measure.Results) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    check_model(folder / manifests.MODEL, fitted.int8_model, final)
    (folder / manifests.MODEL).write_bytes(fitted.int8_model)
    (folder / manifests.FLOAT_MODEL).write_bytes(fitted.float_model)
    write_vectors(folder / manifests.VECTORS, vectors)
    hashes = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in manifests.HASHED}
    final = final.model_copy(update={"sha256": hashes})
    manifests.write(folder, final)
    (folder / manifests.CARD).write_text(card.text(final, fitted, results), encoding="utf-8")
