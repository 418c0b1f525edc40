"""Errors of the inference room: why a model is not run.

ShelfError
├── ShelfFileError     a file of the shelf is missing, cannot be read, or is not what its name says
├── ManifestError      the manifest breaks a rule
├── HashError          a file is not the one that the manifest names
├── ModelRefusedError  the model may not run here: not int8, an op outside the TFLite Micro set, too large, wrong shape
├── FeatureDriftError  the features no longer come out of the golden windows
└── ParityError        the model no longer gives the golden outputs
"""

from __future__ import annotations

from pathlib import Path


class ShelfError(Exception):
    """A shelf is not loaded: says where, what is wrong, and the remedy."""

    def __init__(self, path: Path, what: str, remedy: str) -> None:
        """Keep the three parts as attributes, for programs that read them."""
        super().__init__(f"{path}: {what}. {remedy}")
        self.path = path
        self.what = what
        self.remedy = remedy


class ShelfFileError(ShelfError):
    """A file of the shelf is missing, cannot be read, or is not what its name says."""


class ManifestError(ShelfError):
    """The manifest breaks a rule."""


class HashError(ShelfError):
    """A file is not the one that the manifest names."""


class ModelRefusedError(ShelfError):
    """The model may not run here: not int8, an op outside the TFLite Micro set, too large, or of the wrong shape."""


class FeatureDriftError(ShelfError):
    """The features no longer come out of the golden windows: serving would differ from training."""


class ParityError(ShelfError):
    """The model no longer gives the golden outputs."""
