"""Copies of the committed shelves, to be spoilt."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import yaml

SHELVES = Path(__file__).parents[3] / "models"
DOMAINS = ("agriculture", "industrial", "retail", "traffic")


def copy(domain: str, to: Path) -> Path:
    """Copy a committed shelf into a folder; return the copy."""
    return Path(shutil.copytree(SHELVES / domain, to / domain))


def edit_manifest(shelf: Path, edit: Callable[[dict[str, Any]], None]) -> None:
    """Change a shelf's manifest in place."""
    path = shelf / "manifest.yaml"
    stated = yaml.safe_load(path.read_text())
    edit(stated)
    path.write_text(yaml.safe_dump(stated))


def replace_file(shelf: Path, name: str, content: bytes) -> None:
    """Put other bytes in a file's place, and their hash in the manifest."""
    (shelf / name).write_bytes(content)
    edit_manifest(shelf, lambda stated: stated["sha256"].update({name: hashlib.sha256(content).hexdigest()}))


def edit_vectors(shelf: Path, edit: Callable[[dict[str, Any]], None]) -> None:
    """Change a shelf's golden vectors in place, and their hash in the manifest."""
    path = shelf / "vectors.npz"
    with np.load(path) as file:
        arrays = {name: file[name].copy() for name in file.files}
    edit(arrays)
    np.savez_compressed(path, **arrays)
    replace_file(shelf, "vectors.npz", path.read_bytes())
