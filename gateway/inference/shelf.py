"""A shelf loaded from its folder, refused unless everything about it holds: hashes, types, operators, sizes, features.

Loading opens no socket and needs no device: what a shelf promises, it brings the golden vectors to prove.
"""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from contract.domains import DOMAINS, Domain
from gateway.features import FeatureSet
from gateway.inference import flatbuffer, manifest
from gateway.inference.errors import (
    FeatureDriftError,
    HashError,
    ManifestError,
    ModelRefusedError,
    ParityError,
    ShelfFileError,
)
from gateway.inference.flatbuffer import Anatomy
from gateway.inference.litert import LiteRtScorer, Quantiser
from gateway.inference.manifest import MODEL, VECTORS, Manifest, Quantisation
from gateway.inference.runtime import Kernels
from gateway.windows import Windows

REBUILD: Final = "Build the shelf again with `edgefleet models train`."
RESTORE: Final = "Restore the shelf from where it came, or build it again with `edgefleet models train`."


@dataclass(frozen=True, slots=True, kw_only=True)
class Vectors:
    """Golden vectors: raw samples of a few devices, the features they must give, the model's inputs and outputs."""

    sample_device: NDArray[np.int64]
    """Device of each sample, shape ``(m,)``, in order of arrival."""
    sample_s: NDArray[np.float64]
    """Time of each sample, Unix seconds, shape ``(m,)``."""
    sample_values: NDArray[np.float32]
    """Shape ``(m, channels)``."""
    device: NDArray[np.int64]
    """Device of each window, shape ``(n,)``."""
    end_s: NDArray[np.float64]
    """End of each window, Unix seconds, shape ``(n,)``."""
    features: NDArray[np.float32]
    """Shape ``(n, features)``; NaN where undefined."""
    inputs: NDArray[np.int8]
    """Shape ``(n, features)``."""
    outputs: NDArray[np.int8]
    """Shape ``(n,)``, by LiteRT's reference kernels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shelf:
    """A model that may run."""

    folder: Path
    manifest: Manifest
    content: bytes
    """The int8 model."""
    vectors: Vectors

    def scorer(self, kernels: Kernels = "reference") -> LiteRtScorer:
        """Return a runner of the model."""
        return LiteRtScorer(self.content, self.manifest, kernels=kernels)


def load(folder: Path, domains: Mapping[str, Domain] = DOMAINS) -> Shelf:
    """Load a shelf.

    :raises ShelfError: it may not run; says where, why, and the remedy
    """
    stated = manifest.read(folder)
    domain = _domain(folder, stated, domains)
    contents = {name: _content(folder, name, stated) for name in (MODEL, VECTORS)}
    check_model(folder / MODEL, contents[MODEL], stated)
    shelf = Shelf(folder=folder, manifest=stated, content=contents[MODEL], vectors=read_vectors(folder / VECTORS))
    _check_features(shelf, domain)
    _check_outputs(shelf)
    return shelf


def load_all(folder: Path, domains: Mapping[str, Domain] = DOMAINS) -> tuple[Shelf, ...]:
    """Load every shelf of a folder: each subfolder that holds a manifest, in the order of their names.

    :raises ShelfError: one of them may not run
    """
    return tuple(load(path.parent, domains) for path in sorted(folder.glob(f"*/{manifest.MANIFEST}")))


def _domain(folder: Path, stated: Manifest, domains: Mapping[str, Domain]) -> Domain:
    domain = domains.get(stated.domain)
    path = folder / manifest.MANIFEST
    if domain is None:
        raise ManifestError(
            path, f"domain = {stated.domain!r} has no channel table", f"Use one of {', '.join(domains)}."
        )
    if stated.channels != domain.channel_names:
        known, given = ", ".join(stated.channels), ", ".join(domain.channel_names)
        raise ManifestError(path, f"the model knows the channels {known}; the domain has {given}", REBUILD)
    return domain


def _content(folder: Path, name: str, stated: Manifest) -> bytes:
    path = folder / name
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ShelfFileError(path, f"cannot be read ({error.strerror})", RESTORE) from error
    found = hashlib.sha256(content).hexdigest()
    if found != stated.sha256[name]:
        raise HashError(path, f"its sha256 is {found[:12]}…, the manifest names {stated.sha256[name][:12]}…", RESTORE)
    return content


def check_model(path: Path, content: bytes, stated: Manifest) -> Anatomy:
    """Refuse a model that may not run, or that is not the one its manifest describes.

    :raises ModelRefusedError: says every reason
    """
    try:
        anatomy = flatbuffer.read(content)
    except ValueError as error:
        raise ModelRefusedError(path, f"LiteRT cannot read it ({error})", RESTORE) from error
    reasons = [finding.text for finding in flatbuffer.findings(anatomy)] or _unlike(anatomy, stated)
    if reasons:
        remedy = "Convert it with full integer quantisation, int8 in and out; `edgefleet models check` says more."
        raise ModelRefusedError(path, "; ".join(reasons), remedy)
    return anatomy


def _unlike(anatomy: Anatomy, stated: Manifest) -> list[str]:
    given, taken = anatomy.inputs[0], anatomy.outputs[0]
    pairs: list[tuple[str, Any, Any]] = [
        ("input width", given.shape[-1], len(stated.features)),
        ("output width", taken.shape[-1], 1),
        ("input quantisation", _quantisation(given), stated.input),
        ("output quantisation", _quantisation(taken), stated.output),
        ("operators", anatomy.ops, stated.ops),
    ]
    return [f"{what} is {found}, the manifest says {said}" for what, found, said in pairs if found != said]


def _quantisation(tensor: flatbuffer.Tensor) -> Quantisation:
    return Quantisation(scale=tensor.scale, zero_point=tensor.zero_point)


def read_vectors(path: Path) -> Vectors:
    """Read golden vectors.

    :raises ShelfFileError: the file holds something else
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            return Vectors(**{name: file[name] for name in Vectors.__dataclass_fields__})
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise ShelfFileError(path, f"is not a file of golden vectors ({error})", RESTORE) from error


def write_vectors(path: Path, vectors: Vectors) -> None:
    """Write golden vectors."""
    arrays: dict[str, Any] = {name: getattr(vectors, name) for name in Vectors.__dataclass_fields__}
    np.savez_compressed(path, **arrays)


def golden_features(stated: Manifest, vectors: Vectors, domain: Domain) -> dict[tuple[int, float], NDArray[np.float32]]:
    """Return the features of each window that the golden samples close, as serving computes them, by device and end."""
    spec = stated.window.spec
    windows = Windows(domain, spec)
    windows.add(vectors.sample_device, vectors.sample_s, vectors.sample_values)
    feature_set = FeatureSet(stated.feature_names, domain, spec)
    return {
        (int(device), float(end_s)): row
        for frames in windows.close()
        for device, end_s, row in zip(frames.device, frames.end_s, feature_set.compute(frames), strict=True)
    }


def _check_features(shelf: Shelf, domain: Domain) -> None:
    stated, vectors, path = shelf.manifest, shelf.vectors, shelf.folder / VECTORS
    try:
        found = golden_features(stated, vectors, domain)
    except ValueError as error:
        raise FeatureDriftError(shelf.folder / manifest.MANIFEST, str(error), REBUILD) from error
    keys = list(zip(vectors.device.tolist(), vectors.end_s.tolist(), strict=True))
    if any(key not in found for key in keys):
        raise FeatureDriftError(path, "golden samples no longer close the golden windows", REBUILD)
    same = _same(np.stack([found[key] for key in keys]), vectors, Quantiser(stated))
    moved = [name for name, still in zip(stated.feature_names, same, strict=True) if not still]
    if moved:
        raise FeatureDriftError(path, f"{', '.join(moved)} no longer come out of the golden windows", REBUILD)


def _same(computed: NDArray[np.float32], vectors: Vectors, quantise: Quantiser) -> NDArray[np.bool_]:
    """Tell of each feature whether the model would see what it saw: the same within a quantum, defined where it was."""
    away = np.abs(quantise(computed).astype(np.int16) - vectors.inputs)
    defined = np.isnan(computed) == np.isnan(vectors.features)
    still: NDArray[np.bool_] = ((away <= 1) & defined).all(axis=0)
    return still


def _check_outputs(shelf: Shelf) -> None:
    path = shelf.folder / VECTORS
    if not np.array_equal(Quantiser(shelf.manifest)(shelf.vectors.features), shelf.vectors.inputs):
        raise ParityError(path, "golden features no longer give the golden int8 inputs", REBUILD)
    output = shelf.manifest.output
    golden = (shelf.vectors.outputs.astype(np.float32) - output.zero_point) * np.float32(output.scale)
    bounds: dict[Kernels, int] = {"reference": 1, "optimised": shelf.manifest.parity_quanta}
    for kernels, quanta in bounds.items():
        scores = shelf.scorer(kernels).score(shelf.vectors.features)
        if not np.allclose(scores, golden, rtol=0.0, atol=(quanta + 0.01) * output.scale):
            raise ParityError(path, f"the model no longer gives the golden outputs with {kernels} kernels", REBUILD)
