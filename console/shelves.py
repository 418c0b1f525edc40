"""The shelves as the console shows them: ``manifest.yaml`` and its golden vectors, read as data.

The console does not import the gateway's loader: it shows what a shelf says, broken or not, and refuses nothing.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import yaml
from numpy.typing import NDArray

from contract.points import SCORE

_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shelf:
    """One model."""

    domain: str
    manifest: Mapping[str, Any]
    """As it stands in ``manifest.yaml``; empty where that cannot be read."""
    size_bytes: int
    """Size of the int8 model; 0 where it is missing."""
    golden: Mapping[str, NDArray[np.float32]]
    """Feature values of the golden windows, by name, and their ``score``: a sample of what the model was made from."""
    golden_devices: int = 0
    """Devices that these windows come from."""
    fault: str = ""
    """Why the shelf cannot be shown."""

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the model's inputs, in order."""
        return tuple(feature["name"] for feature in self.manifest.get("features", ()))

    @property
    def rule(self) -> str:
        """Name of the alerts that come of this model."""
        return str(self.manifest.get("rule", ""))

    @property
    def window_s(self) -> float | None:
        """Length of a window, seconds."""
        length_s = self.manifest.get("window", {}).get("length_s")
        return None if length_s is None else float(length_s)

    @property
    def raise_at(self) -> float | None:
        """Score at which its alert is raised."""
        return self._judging("raise_at")

    @property
    def clear_at(self) -> float | None:
        """Score below which it clears."""
        return self._judging("clear_at")

    def _judging(self, name: str) -> float | None:
        value = self.manifest.get("judging", {}).get(name)
        return None if value is None else float(value)


def read_shelves(models_dir: Path) -> dict[str, Shelf]:
    """Return every shelf of a folder, by domain."""
    folders = sorted(path.parent for path in models_dir.glob("*/manifest.yaml"))
    return {folder.name: _read(folder) for folder in folders}


def _read(folder: Path) -> Shelf:
    model = folder / "model.tflite"
    size_bytes = model.stat().st_size if model.is_file() else 0
    try:
        text = (folder / "manifest.yaml").read_text(encoding="utf-8")
        manifest = yaml.load(text, Loader=_LOADER)  # noqa: S506  # a safe loader, see there
        names = [feature["name"] for feature in manifest["features"]]
        golden, devices = _golden(folder / "vectors.npz", names, manifest["output"])
    except (OSError, UnicodeDecodeError, yaml.YAMLError, TypeError, KeyError, ValueError, zipfile.BadZipFile) as error:
        return Shelf(domain=folder.name, manifest={}, size_bytes=size_bytes, golden={}, fault=str(error))
    return Shelf(domain=folder.name, manifest=manifest, size_bytes=size_bytes, golden=golden, golden_devices=devices)


def _golden(file: Path, names: list[str], output: Mapping[str, float]) -> tuple[dict[str, NDArray[np.float32]], int]:
    with np.load(file, allow_pickle=False) as vectors:
        table: NDArray[np.float32] = vectors["features"]
        scores = (vectors["outputs"].astype(np.float32) - output["zero_point"]) * output["scale"]
        devices = len(np.unique(vectors["device"]))
    return {name: table[:, column] for column, name in enumerate(names)} | {SCORE: scores}, devices
