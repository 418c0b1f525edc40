"""A shelf as it stands, measured again on fleets that it never saw."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np

from gateway.inference.manifest import CARD, FLOAT_MODEL
from gateway.inference.shelf import Shelf
from models.training import card
from models.training.dataset import Rows
from models.training.measure import Model, Results, measure
from models.training.network import Fitted
from models.training.parts import fleet_rows
from models.training.quantised import Scaling
from models.training.recipes import Recipe
from models.training.recorded import Folder
from models.training.recorded.rows import Row


def recorded(shelf: Shelf, folder: Folder) -> list[Row]:
    """Measure a shelf on the recorded data of its domain; empty where there is none for it.

    :raises DataError: a file is not there, or is not the one that is known by its name
    """
    room = _room(shelf)
    rows: list[Row] = [] if room is None else room.evaluate(folder, shelf)
    return rows


def write_card(shelf: Shelf, rows: list[Row]) -> Path:
    """Write what was measured on recorded data, and which tries led to it, into the shelf's card; return its path."""
    path = shelf.folder / CARD
    tries = getattr(_room(shelf), "TRIES", ())
    path.write_text(card.with_recorded(path.read_text(encoding="utf-8"), rows, tries), encoding="utf-8")
    return path


def _room(shelf: Shelf) -> ModuleType | None:
    name = f"models.training.recorded.{shelf.manifest.domain}"
    return None if importlib.util.find_spec(name) is None else importlib.import_module(name)


def evaluate(shelf: Shelf, recipe: Recipe, report: Callable[[str, float], None]) -> Results:
    """Simulate a recipe's test fleets and measure a shelf on them; windows and features are the shelf's own."""
    stated = shelf.manifest
    own = replace(recipe, window=stated.window, features=stated.feature_names)
    fleets = [(part, number) for part in ("validation", "test") for number in range(recipe.fleets[part])]
    parts: dict[str, list[Rows]] = {"validation": [], "test": []}
    for done, (part, number) in enumerate(fleets):
        report(f"simulating {part} fleets", done / len(fleets))
        parts[part].append(fleet_rows(own, part, number))
    float_model = (shelf.folder / FLOAT_MODEL).read_bytes()
    scale = Scaling(
        mean=np.array([feature.mean for feature in stated.features]),
        scale=np.array([feature.scale for feature in stated.features]),
        clip=stated.clip,
    )
    fitted = Fitted(float_model=float_model, int8_model=shelf.content, curves={}, epoch=0)
    model = Model(manifest=stated, fitted=fitted, scale=scale, recipe=own)
    return measure(model, {"all fleets": parts["validation"]}, parts["test"], None)
