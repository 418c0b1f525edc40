"""A shelf from nothing: simulate, read, window, fit, quantise, choose thresholds, measure, write.

Each step knows only the parts that it may: the net and its scaling see the training rows, the choice of epoch and
thresholds the validation rows, and the test fleets are looked at once, at the end. The same commit, data and processor
give the same bytes: every draw is seeded, and TensorFlow runs its deterministic kernels in one thread. Elsewhere its
sums may round otherwise; figures then agree within a hundredth.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gateway.inference import flatbuffer, micro
from gateway.inference import manifest as manifests
from gateway.inference.litert import LiteRtScorer
from gateway.inference.manifest import Judging, Manifest, Quantisation, Training
from gateway.inference.shelf import Vectors, check_model, write_vectors
from models.training import ablation, card, golden, judging, measure, plots
from models.training.dataset import Rows, rows_of
from models.training.guard import check_before, check_causal, check_disjoint, check_no_clock, check_no_label
from models.training.network import Fitted, fit
from models.training.parts import Data, Report, Sample, examples, gather, joined, normal, seen, sets, trained_on, used
from models.training.quantised import Scaling, scaling
from models.training.recipes import Recipe, Recorded
from models.training.recorded import Folder, needed
from models.training.reference import reference
from models.training.simulate import Recording

GATE: Final = 0.9
"""Least precision and recall of events on the test fleets; a model below it is not written."""
PLACEHOLDER: Final = Judging(raise_at=0.5, clear_at=0.25, raise_dwell_s=0.0, clear_dwell_s=0.0, cooldown_s=0.0)
GUARDED_DEVICES: Final = 8
"""Devices of a recording whose features are made again for the guard."""


class GateError(Exception):
    """A model did not reach its bar and was not written."""


def train(
    domain: str,
    recipe: Recipe,
    shelves: Path,
    report: Report,
    data_folder: Folder | None = None,
    *,
    ablate: bool = False,
) -> Manifest:
    """Make the shelf of a domain in the folder ``shelves/domain``.

    :param data_folder: recorded data, where the recipe learns from some
    :param ablate: fit again without each part of regularisation and augmentation, and say in the card what it changes
    :raises DataError: the recipe learns from recorded data that is not there; nothing was simulated or written
    :raises LeakError: training would see what it is tested on
    :raises GateError: the model did not reach its bar; nothing was written
    :raises MicroMissingError: TFLite Micro is not installed, so its arena cannot be measured
    """
    everything = gather(recipe, data_folder, report, tried=ablate)
    data = used(everything, recipe.augmentations)
    guard(data, recipe)
    report("fitting", 0.6)
    scale = scaling(normal(data.train), recipe.clip)
    fitted = fit(
        trained_on(data.train, scale), {name: seen(rows, scale) for name, rows in sets(data).items()}, recipe.net
    )
    report("choosing thresholds", 0.7)
    draft = describe(domain, recipe, fitted, scale)
    model = measure.Model(manifest=draft, fitted=fitted, scale=scale, recipe=recipe)
    draft = draft.model_copy(update={"judging": choose(model, data)})
    report("measuring", 0.75)
    model = replace(model, manifest=draft)
    results = measure.measure(model, data.validation, data.test, GATE, data.watched)
    vectors = golden.vectors(draft, fitted.int8_model, data.test[0])
    final = draft.model_copy(
        update={
            "metrics": results.metrics,
            "naive": results.naive,
            "training": _training(domain, recipe, data, data_folder),
            "parity_quanta": golden.parity_quanta(fitted.int8_model, vectors),
            "reference": reference(
                draft, fitted.int8_model, [each for fleets in data.validation.values() for each in fleets]
            ),
        }
    )
    failed = [f"{m.name} on {m.data} is {m.int8:.3f}, its bar is {m.gate}" for m in final.metrics if not m.passed]
    if failed := failed + measure.lost(final.metrics):
        raise GateError("; ".join(failed))
    folder = shelves / domain
    final = _write(folder, final, fitted, vectors)
    pictures = plots.draw(folder, fitted, results.scored, results.events.delays_s)
    compared: list[ablation.Variant] = []
    _write_card(folder, card.text(final, fitted, results, pictures, compared))
    if ablate:
        compared = ablation.compare(recipe, everything, scale, fitted, lambda what: report(f"fitting {what}", 0.8))
        _write_card(folder, card.text(final, fitted, results, pictures, compared))
    report("done", 1.0)
    return final


def guard(data: Data, recipe: Recipe) -> None:
    """Refuse parts that know of each other, and features that know too much.

    :raises LeakError: they do
    """
    window_s = recipe.window.length_s
    makes = {make.name: make for make in recipe.makes}
    fleets = joined([group.rows for group in data.train if group.name not in makes]).keys
    test = examples(data.test).keys
    for name, rows in sets(data).items():
        if name in makes:
            continue
        check_disjoint(fleets, rows.keys, window_s=window_s, embargo_s=window_s)
        check_disjoint(rows.keys, test, window_s=window_s, embargo_s=window_s)
    check_disjoint(fleets, test, window_s=window_s, embargo_s=window_s)
    for group in data.train:
        check_no_label(group.rows.features, group.rows.label, recipe.features)
        if (make := makes.get(group.name)) is not None:
            length_s, held_out = make.spec(recipe.window).length_s, data.watched[make.name].keys
            embargo_s = make.embargo_s if isinstance(make, Recorded) else length_s
            check_disjoint(group.rows.keys, held_out, window_s=length_s, embargo_s=embargo_s)
            if isinstance(make, Recorded):
                check_before(group.rows.keys, make.until_s)
                check_before(held_out, make.until_s)
    for sample in data.samples:
        guard_features(sample, recipe)


def guard_features(sample: Sample, recipe: Recipe) -> None:
    """Refuse features of a recording that know the future, or how long ago a device began.

    :raises LeakError: one does
    """
    recording = _few(sample.recording)
    lengths = np.cumsum([len(times) for times in recording.times])[:-1]

    def cut(values: NDArray[np.float32]) -> Rows:
        changed = replace(recording, values=tuple(np.split(values, lengths)))
        return rows_of(changed, sample.spec, recipe.features, sample.labeller)

    def features(values: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
        found = cut(values)
        return found.end_s, found.features

    values = np.concatenate(recording.values)
    rows = cut(values)
    kept = rows.scored
    check_no_clock(rows.features[kept], rows.device[kept], rows.end_s[kept], recipe.features)
    at_s = recording.start_s + 0.6 * (recording.end_s - recording.start_s)
    check_causal(features, np.concatenate(recording.times), values, at_s)


def _few(recording: Recording) -> Recording:
    """Return a recording of the first devices alone."""
    few = slice(GUARDED_DEVICES)
    return replace(
        recording,
        devices=recording.devices[few],
        times=recording.times[few],
        values=recording.values[few],
        sent_s=recording.sent_s[few],
        physical=recording.physical[few],
        truths=(),
    )


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


def choose(model: measure.Model, data: Data) -> Judging:
    """Return the thresholds whose worst validation set of fleets is best; where several are, makes have their say.

    No threshold is put where int8 costs more F1 than the gate allows, if there is a choice.
    """
    recipe, scorer = model.recipe, LiteRtScorer(model.fitted.int8_model, model.manifest)
    fleets = {name: [(rows, scorer.score(rows.features)) for rows in each] for name, each in data.validation.items()}
    others = [(data.watched[name].label, scorer.score(data.watched[name].features)) for name in data.makes]
    ways = judging.candidates(
        recipe.window.hop_s, recipe.dwell_hops, recipe.cooldown_s, recipe.raise_at, recipe.clear_share
    )
    loss = {raise_at: measure.loss_at(model, list(sets(data).values()), raise_at) for raise_at in recipe.raise_at}
    kept = [way for way in ways if loss[way.raise_at] <= measure.QUANTISATION_LOSS]
    return judging.choose(fleets, kept or ways, recipe, others).judging


def _training(domain: str, recipe: Recipe, data: Data, folder: Folder | None) -> Training:
    windows = {f"train: {group.name}": len(group.rows.label) for group in data.train}
    windows |= {f"validation: {name}": len(rows.label) for name, rows in sets(data).items()}
    beside = "".join(f" Beside them {make.words}." for make in recipe.makes)
    return Training(
        command=f"edgefleet models train {domain}" + (" --data DIR" if recipe.recorded else ""),
        data=(
            f"Simulated fleets of {recipe.devices} devices, {recipe.life_s / 3600.0:g} h each, every second one mostly "
            f"harmless events. A positive row is {recipe.label_words}.{beside}"
        ),
        seeds={part: tuple(fleet.seed for fleet in recipe.plan(part)) for part in recipe.fleets},
        windows={**windows, "test": len(examples(data.test).label)},
        recorded=tuple(_origin(make, data, folder) for make in recipe.recorded),
    )


def _origin(make: Recorded, data: Data, folder: Folder | None) -> manifests.Recorded:
    given = needed(folder, [make.name])
    names = [name for pattern in make.files for name in given.names(pattern)]
    (group,) = [group for group in data.train if group.name == make.name]
    return manifests.Recorded(
        name=make.name,
        files={name: hashlib.sha256(given.read(name)).hexdigest() for name in names},
        licence=make.licence,
        attribution=make.attribution,
        rows={"train": len(group.rows.label), "validation": len(data.watched[make.name].label)},
        until=datetime.fromtimestamp(make.until_s, UTC).isoformat(),
    )


def _write_card(folder: Path, text: str) -> None:
    (folder / manifests.CARD).write_text(text, encoding="utf-8")


def _write(folder: Path, final: Manifest, fitted: Fitted, vectors: Vectors) -> Manifest:
    folder.mkdir(parents=True, exist_ok=True)
    check_model(folder / manifests.MODEL, fitted.int8_model, final)
    (folder / manifests.MODEL).write_bytes(fitted.int8_model)
    (folder / manifests.FLOAT_MODEL).write_bytes(fitted.float_model)
    write_vectors(folder / manifests.VECTORS, vectors)
    hashes = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in manifests.HASHED}
    final = final.model_copy(update={"sha256": hashes})
    manifests.write(folder, final)
    return final
