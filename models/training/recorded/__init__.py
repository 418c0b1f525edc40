"""Recorded public data, read where the user keeps it: never copied, every file checked by its hash.

What a shelf learns from it, its recipe names, and docs/decisions/0007 says why: data under a permissive licence, its
earlier part, an embargo before what is scored. Data under copyleft or without a licence is only ever evaluated on.
Each domain's module has ``evaluate(folder, shelf) -> list[Row]``: the shelf as it is shipped, windows and features by
the gateway's own code, thresholds frozen, nothing seen before its time.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from models.training.recorded.hashes import SHA256

VARIABLE: Final = "EDGEFLEET_DATA"
"""Environment variable that names the folder where no option does."""


class DataError(Exception):
    """Recorded data is not there, or not what the figures were agreed on."""


@dataclass(frozen=True, slots=True)
class Folder:
    """The user's folder of original files; reading is the only way in, and reading checks the hash."""

    path: Path
    unchecked: bool = False
    """Whether other versions and further parts of the data are welcome: then the figures are not comparable."""

    def read(self, name: str) -> bytes:
        """Return a file's bytes.

        :param name: path below the folder, such as ``skab/valve1/0.csv``
        :raises DataError: it is not there, or another file than the one that is known by this name
        """
        path = self.path / name
        try:
            content = path.read_bytes()
        except OSError as error:
            raise DataError(f"{path}: cannot be read ({error.strerror}). Point --data at the recorded data.") from error
        if not self.unchecked and hashlib.sha256(content).hexdigest() != SHA256.get(name):
            known = (
                "is another version than the one that is known" if name in SHA256 else "is not among the known files"
            )
            raise DataError(f"{path}: {known}. Get the original, or measure what is there with --unchecked.")
        return content

    def names(self, pattern: str) -> list[str]:
        """Return the files below the folder that match a pattern such as ``skab/*/*.csv``, in order.

        :raises DataError: there are none
        """
        found = sorted(path.relative_to(self.path).as_posix() for path in self.path.glob(pattern))
        if not found:
            raise DataError(f"{self.path}: holds no {pattern}. Point --data at the recorded data.")
        return found

    def holds(self, pattern: str) -> bool:
        """Return whether any file matches."""
        return next(self.path.glob(pattern), None) is not None


def needed(folder: Folder | None, names: Sequence[str]) -> Folder:
    """Return the folder of recorded data that is to be learned from.

    :raises DataError: there is none; says what is missing and what to do
    """
    if folder is None:
        raise DataError(
            f"This shelf learns from recorded data too: {', '.join(names)}. Get the original files from their source "
            f"(the shelf's card names it), and point --data or {VARIABLE} at the folder that holds them."
        )
    return folder


def folder_of(given: Path | None, *, unchecked: bool = False) -> Folder | None:
    """Return the folder that the user named, by option or by :data:`VARIABLE`; None where there is none.

    :raises DataError: it is named and not there
    """
    path = given or (Path(os.environ[VARIABLE]) if os.environ.get(VARIABLE) else None)
    if path is None:
        return None
    if not path.is_dir():
        raise DataError(f"{path}: is not a folder. Point --data or {VARIABLE} at the recorded data.")
    return Folder(path, unchecked)
