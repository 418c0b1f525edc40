"""The shelves as the console shows them: ``manifest.yaml``, read as data.

The console does not import the gateway's loader: it shows what a shelf says, broken or not, and refuses nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import yaml

from console.drift import Bins

_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shelf:
    """One model."""

    domain: str
    manifest: Mapping[str, Any]
    """As it stands in ``manifest.yaml``; empty where that cannot be read."""
    size_bytes: int
    """Size of the int8 model; 0 where it is missing."""
    reference: Mapping[str, Bins]
    """How its inputs and its ``score`` were spread in training; empty where the shelf does not say."""
    fault: str = ""
    """Why the shelf cannot be shown."""

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
        manifest = _manifest(folder / "manifest.yaml")
        reference = _reference(manifest)
    except (OSError, UnicodeDecodeError, yaml.YAMLError, TypeError, KeyError, ValueError) as error:
        return Shelf(domain=folder.name, manifest={}, size_bytes=size_bytes, reference={}, fault=str(error))
    return Shelf(domain=folder.name, manifest=manifest, size_bytes=size_bytes, reference=reference)


def _manifest(file: Path) -> dict[str, Any]:
    manifest = yaml.load(file.read_text(encoding="utf-8"), Loader=_LOADER)  # noqa: S506  # a safe loader, see there
    if not isinstance(manifest, dict):
        raise TypeError(f"{file} is not a table")
    return manifest


def _reference(manifest: Mapping[str, Any]) -> dict[str, Bins]:
    stated = manifest.get("reference")
    if stated is None:
        return {}
    _ = stated["windows"], stated["devices"]  # the page names them
    return {
        name: Bins(edges=np.array(one["edges"], np.float32), shares=one["shares"], usual=one["usual"])
        for name, one in stated["bins"].items()
    }
