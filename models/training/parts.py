"""The rows of every part: fleets of the world, fleets that are bent, drawn and recorded devices of another make.

Fleets of the parts have seeds, sites and years of their own. A recorded source is split by device and by time at once:
what is validated on are other devices, later, an embargo away.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gateway.frames import WindowSpec
from models.training.augment import Augmentation, drop_channels
from models.training.dataset import Labeller, Rows, rows_of
from models.training.guard import Keys, split_by_time
from models.training.network import Part
from models.training.quantised import Scaling
from models.training.recipes import MOSTLY_HARMLESS, ORDINARY, Drawn, Recipe, Recorded
from models.training.recorded import Folder, needed
from models.training.simulate import FIRST_SEED, Recording, simulate

Report = Callable[[str, float], None]
"""``report(what, share)``: what is being done, and how much of the whole is done, 0 … 1."""

FLEETS: Final = "fleets"
SHARE: Final = 0.6
"""Share of the whole work that making the rows is."""
SCALED_ON: Final = 40_000
"""Rows that the scaling is read from, drawn from each group in proportion to its share."""
LACKING: Final = drop_channels(0.3)
"""How the channels of the watched set without some of them are taken away."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Examples:
    """``n`` rows that count, of any make."""

    device: NDArray[np.str_]
    """Site and device, shape ``(n,)``."""
    end_s: NDArray[np.float64]
    features: NDArray[np.float32]
    label: NDArray[np.bool_]
    weight: NDArray[np.float32]

    @property
    def keys(self) -> Keys:
        """Where the rows come from."""
        return Keys(device=self.device, end_s=self.end_s)

    def only(self, kept: NDArray[np.bool_]) -> Examples:
        """Return some of the rows, by a mask ``(n,)``."""
        return Examples(
            device=self.device[kept],
            end_s=self.end_s[kept],
            features=self.features[kept],
            label=self.label[kept],
            weight=self.weight[kept],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Training rows of one make."""

    name: str
    rows: Examples
    share: float
    """Its part of the training's weight; those of all groups need not make 1."""
    positives: float = 0.5
    """Part of that which positive rows weigh together, 0 … 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """A recording from which rows were made, for the guard to make them again."""

    recording: Recording
    spec: WindowSpec
    labeller: Labeller


@dataclass(frozen=True, slots=True, kw_only=True)
class Data:
    """The rows of every part."""

    train: list[Group]
    validation: dict[str, list[Rows]]
    """Fleets: their rows stop the fit, their alerts choose the thresholds."""
    watched: dict[str, Examples]
    """Further sets that stop the fit."""
    makes: tuple[str, ...]
    """The watched sets that are of another make and not the fleets seen another way."""
    test: list[Rows]
    samples: list[Sample]


def gather(recipe: Recipe, folder: Folder | None, report: Report, *, tried: bool = False) -> Data:
    """Simulate the fleets of every part, read what is recorded, and cut all of it into windows.

    :param tried: whether augmentations that the shelf is not trained with are made too
    :raises DataError: the recipe learns from recorded data that is not there
    """
    wanted = [augmentation for augmentation in recipe.augmentations if augmentation.used or tried]
    total, done = sum(recipe.fleets.values()) + len(recipe.makes), 0

    def step(what: str) -> None:
        nonlocal done
        report(what, SHARE * done / total)
        done += 1

    read: dict[str, list[Examples]] = {}
    makes, watched, samples = [], {}, []
    for make in recipe.makes:
        step(make.name)
        group, held_out, sample = _drawn(make, recipe) if isinstance(make, Drawn) else _recorded(make, recipe, folder)
        makes.append(Group(name=make.name, rows=group, share=make.share, positives=make.positives))
        watched[make.name] = held_out
        samples.append(sample)
    labeller = recipe.labeller(recipe.world())
    for number in range(recipe.fleets["train"]):
        step("simulating train fleets")
        recording = fleet(recipe, "train", number)
        read.setdefault(FLEETS, []).append(examples([_cut(recording, recipe, labeller)]))
        if number == 0:
            samples.append(Sample(recording=recording, spec=recipe.window.spec, labeller=labeller))
        for place, augmentation in enumerate(wanted):
            if number % augmentation.every == place % augmentation.every:
                bent = augmentation.bend(recording, np.random.default_rng([FIRST_SEED, number, place]))
                read.setdefault(augmentation.name, []).append(examples([_cut(bent, recipe, labeller)]))
    validation, lacking = [], []
    for number in range(recipe.fleets["validation"]):
        step("simulating validation fleets")
        recording = fleet(recipe, "validation", number)
        validation.append(_cut(recording, recipe, labeller))
        if number % 4 == 0:
            bent = LACKING(recording, np.random.default_rng([FIRST_SEED, number]))
            lacking.append(_cut(bent, recipe, labeller))
    test = []
    for number in range(recipe.fleets["test"]):
        step("simulating test fleets")
        test.append(_cut(fleet(recipe, "test", number), recipe, labeller))
    own = max(1.0 - sum(make.share for make in recipe.makes), 0.0)
    # what is only tried weighs like the others where it is added, and takes nothing from them where it is not
    idle = {augmentation.name for augmentation in wanted if not augmentation.used}
    taken = sum(len(parts) for name, parts in read.items() if name not in idle)
    return Data(
        train=[
            *(Group(name=name, rows=joined(rows), share=own * len(rows) / taken) for name, rows in read.items()),
            *makes,
        ],
        validation={"ordinary fleets": validation[::2], "mostly harmless": validation[1::2]},
        watched={**_seasons(validation), "fleets that lack channels": examples(lacking), **watched},
        makes=tuple(make.name for make in recipe.makes),
        test=test,
        samples=samples,
    )


def fleet(recipe: Recipe, part: str, number: int) -> Recording:
    """Simulate a fleet of a part; every second one is mostly harmless, in every part."""
    return simulate(recipe.world(), recipe.plan(part)[number], MOSTLY_HARMLESS if number % 2 else ORDINARY)


def fleet_rows(recipe: Recipe, part: str, number: int) -> Rows:
    """Return the windows of a fleet."""
    return _cut(fleet(recipe, part, number), recipe, recipe.labeller(recipe.world()))


def _cut(recording: Recording, recipe: Recipe, labeller: Labeller) -> Rows:
    return rows_of(recording, recipe.window.spec, recipe.features, labeller)


def _seasons(fleets: Sequence[Rows]) -> dict[str, Examples]:
    """Return the rows of fleets by half of the year."""
    summer = [4 <= datetime.fromtimestamp(rows.recording.start_s, UTC).month <= 9 for rows in fleets]
    halves = {
        "summer fleets": [rows for rows, warm in zip(fleets, summer, strict=True) if warm],
        "winter fleets": [rows for rows, warm in zip(fleets, summer, strict=True) if not warm],
    }
    return {name: examples(half) for name, half in halves.items() if half}


def _drawn(make: Drawn, recipe: Recipe) -> tuple[Examples, Examples, Sample]:
    spec = make.spec(recipe.window)
    parts = []
    for part in ("train", "validation"):
        recordings = [make.make(make.fleet(planned)) for planned in recipe.plan(part)[: make.fleets[part]]]
        parts.append(examples([rows_of(each, spec, recipe.features, make.labeller) for each in recordings]))
        if part == "train":
            sample = Sample(recording=recordings[0], spec=spec, labeller=make.labeller)
    return parts[0], parts[1], sample


def _recorded(make: Recorded, recipe: Recipe, folder: Folder | None) -> tuple[Examples, Examples, Sample]:
    recording = make.read(needed(folder, [make.name]), make.until_s)
    spec = make.spec(recipe.window)
    rows = examples([rows_of(recording, spec, recipe.features, make.labeller)])
    train, held_out = split(rows, make, spec.length_s)
    return rows.only(train), rows.only(held_out), Sample(recording=recording, spec=spec, labeller=make.labeller)


def split(rows: Examples, make: Recorded, window_s: float) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return masks of the training and the validation rows of a recorded source: other devices, and later."""
    names, device = np.unique(rows.device, return_inverse=True)
    aside = device % round(1.0 / make.held_out) == 0
    first_s, last_s = float(rows.end_s.min()), float(rows.end_s.max())
    at_s = last_s - make.held_out * (last_s - first_s)
    before, after = split_by_time(rows.end_s, at_s, window_s=window_s, embargo_s=make.embargo_s)
    assert len(names) > 1  # of a single device none can be held out
    return before & ~aside, after & aside


def examples(fleets: Iterable[Rows]) -> Examples:
    """Return the rows that the gateway would score and judge, and of which somebody could say."""
    return joined([_examples(rows) for rows in fleets])


def _examples(rows: Rows) -> Examples:
    kept = rows.counted
    return Examples(
        device=np.array([str(device) for device in rows.recording.devices])[rows.device[kept]],
        end_s=rows.end_s[kept],
        features=rows.features[kept],
        label=rows.label[kept],
        weight=rows.weight[kept],
    )


def joined(parts: Sequence[Examples]) -> Examples:
    """Return the rows of several."""
    return Examples(
        device=np.concatenate([part.device for part in parts]),
        end_s=np.concatenate([part.end_s for part in parts]),
        features=np.concatenate([part.features for part in parts]),
        label=np.concatenate([part.label for part in parts]),
        weight=np.concatenate([part.weight for part in parts]),
    )


def trained_on(groups: Sequence[Group], scale: Scaling) -> Part:
    """Return the training rows as the net sees them; each group weighs its share, its positives their part of that."""
    whole = sum(group.share for group in groups)
    return Part(
        features=scale(np.concatenate([group.rows.features for group in groups])),
        label=np.concatenate([group.rows.label for group in groups]),
        weight=_mean_1(np.concatenate([balanced(group) * (group.share / whole) for group in groups])),
    )


def balanced(group: Group) -> NDArray[np.float32]:
    """Return weights that make 1, of which positives weigh the group's part, half where it names no other."""
    rows = group.rows
    positive, negative = rows.weight[rows.label].sum(), rows.weight[~rows.label].sum()
    factor = np.where(rows.label, group.positives / max(positive, 1e-9), (1.0 - group.positives) / max(negative, 1e-9))
    weights: NDArray[np.float32] = (rows.weight * factor).astype(np.float32)
    return weights


def _mean_1(weights: NDArray[np.float32]) -> NDArray[np.float32]:
    scaled: NDArray[np.float32] = (weights * (len(weights) / float(weights.sum(dtype=np.float64)))).astype(np.float32)
    return scaled


def seen(rows: Examples, scale: Scaling) -> Part:
    """Return rows of a validation set as the net sees them."""
    return Part(features=scale(rows.features), label=rows.label, weight=rows.weight)


def sets(data: Data) -> Mapping[str, Examples]:
    """Return every set that stops the fit."""
    return {**{name: examples(fleets) for name, fleets in data.validation.items()}, **data.watched}


def normal(groups: Sequence[Group]) -> NDArray[np.float32]:
    """Return features of negative rows, as many of each group as its share says: what the scaling is read from."""
    rng = np.random.default_rng(FIRST_SEED)
    whole = sum(group.share for group in groups)
    parts = []
    for group in groups:
        rows = group.rows.features[~group.rows.label]
        count = round(SCALED_ON * group.share / whole)
        parts.append(rows[rng.integers(len(rows), size=count)] if len(groups) > 1 else rows)
    return np.concatenate(parts)


def used(data: Data, augmentations: Sequence[Augmentation]) -> Data:
    """Return the data without the bent fleets that the shelf is not trained with."""
    idle = {each.name for each in augmentations if not each.used}
    return replace(data, train=[group for group in data.train if group.name not in idle])
