"""Whether a model may run, here and on a microcontroller: any file by the rules, a shelf by its golden vectors."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gateway.inference import flatbuffer, micro
from gateway.inference.flatbuffer import MAX_BYTES, Anatomy, Finding
from gateway.inference.litert import BatchedModel
from gateway.inference.shelf import Shelf


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a file is, and what stands against running it."""

    path: Path
    anatomy: Anatomy | None
    """``None`` where the file could not be taken apart."""
    arena_bytes: int | None
    """Measured; ``None`` where TFLite Micro is not installed or does not run the model."""
    findings: tuple[Finding, ...]
    """Why it may not run; empty where it may."""
    notes: tuple[str, ...] = ()
    """What could not be looked at, and why."""

    @property
    def passed(self) -> bool:
        """Whether the model may run here and on a microcontroller."""
        return not self.findings


def check(path: Path) -> Report:
    """Say whether any ``.tflite`` file may run here and on a microcontroller.

    :raises OSError: the file cannot be read
    """
    content = path.read_bytes()
    try:
        anatomy = flatbuffer.read(content)
    except ValueError as error:
        unreadable = Finding("format", f"LiteRT cannot read it: {error}")
        return Report(path=path, anatomy=None, arena_bytes=None, findings=(unreadable,))
    found = flatbuffer.findings(anatomy)
    if found:
        note = "the arena was not measured: the findings come first"
        return Report(path=path, anatomy=anatomy, arena_bytes=None, findings=tuple(found), notes=(note,))
    try:
        size_bytes = micro.arena_bytes(content)
    except micro.MicroMissingError as error:
        return Report(path=path, anatomy=anatomy, arena_bytes=None, findings=(), notes=(str(error),))
    except RuntimeError as error:
        refused = Finding("arena", f"TFLite Micro does not run it: {error}")
        return Report(path=path, anatomy=anatomy, arena_bytes=None, findings=(refused,))
    large = [Finding("arena", f"it needs an arena of {size_bytes} bytes, more than {MAX_BYTES}")]
    return Report(
        path=path, anatomy=anatomy, arena_bytes=size_bytes, findings=tuple(large if size_bytes > MAX_BYTES else ())
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Parity:
    """The golden vectors of a shelf in LiteRT and in TFLite Micro."""

    domain: str
    version: str
    vectors: int
    differing: int
    """Vectors whose outputs differ at all."""
    largest_quanta: int
    """Largest difference of one output, in quanta."""
    bound_quanta: int
    """Largest difference that the manifest states."""
    arena_bytes: int
    stated_arena_bytes: int

    @property
    def passed(self) -> bool:
        """Whether the manifest tells the truth."""
        return self.largest_quanta <= self.bound_quanta and self.arena_bytes <= self.stated_arena_bytes


def parity(shelf: Shelf) -> Parity:
    """Run a shelf's golden vectors in TFLite Micro, beside LiteRT's reference kernels.

    :raises MicroMissingError: the TFLite Micro interpreter is not installed
    :raises RuntimeError: TFLite Micro refuses the model; says why
    """
    inputs = shelf.vectors.inputs
    here = BatchedModel(shelf.content, "reference").run(inputs).astype(np.int16)
    there = micro.run(shelf.content, inputs).astype(np.int16)
    away = np.abs(here - there)
    return Parity(
        domain=shelf.manifest.domain,
        version=shelf.manifest.version,
        vectors=len(inputs),
        differing=int((away > 0).sum()),
        largest_quanta=int(away.max(initial=0)),
        bound_quanta=shelf.manifest.parity_quanta,
        arena_bytes=micro.arena_bytes(shelf.content),
        stated_arena_bytes=shelf.manifest.arena_bytes,
    )
