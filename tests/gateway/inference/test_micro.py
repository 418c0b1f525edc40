"""The shelves run in TFLite Micro as they do in LiteRT."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gateway.inference import micro
from gateway.inference.shelf import load
from gateway.inference.verify import check, parity

pytest.importorskip("tflite_micro", reason="the TFLite Micro interpreter (extra dev) is not installed")
SHELVES = Path(__file__).parents[3] / "models"


@pytest.mark.parametrize("domain", ["agriculture", "industrial", "retail", "traffic"])
def test_shelf_agrees_with_tflite_micro_within_its_stated_bound(domain: str) -> None:
    result = parity(load(SHELVES / domain))
    assert result.vectors >= 24
    assert result.passed, result


def test_parity_finds_a_bound_and_an_arena_that_are_too_small() -> None:
    result = parity(load(SHELVES / "traffic"))
    assert not replace(result, largest_quanta=result.bound_quanta + 1).passed
    assert not replace(result, stated_arena_bytes=result.arena_bytes - 16).passed


def test_arena_is_the_smallest_in_which_the_model_runs() -> None:
    content = (SHELVES / "traffic" / "model.tflite").read_bytes()
    size_bytes = micro.arena_bytes(content)
    assert runs(content, size_bytes)
    assert not runs(content, size_bytes - micro.ALIGNMENT_BYTES)


def runs(content: bytes, size_bytes: int) -> bool:
    """Tell whether a model runs in an arena; in another process, which some small arenas end."""
    code = (
        "import sys; from gateway.inference.micro import _interpreter\n"
        "_interpreter(sys.stdin.buffer.read(), int(sys.argv[1])).invoke()"
    )
    return subprocess.run([sys.executable, "-c", code, str(size_bytes)], input=content, check=False).returncode == 0


def test_check_measures_the_arena_of_a_model_that_may_run() -> None:
    report = check(SHELVES / "traffic" / "model.tflite")
    assert report.passed
    assert report.arena_bytes == load(SHELVES / "traffic").manifest.arena_bytes


def test_micro_runs_rows_one_by_one() -> None:
    shelf = load(SHELVES / "traffic")
    inputs = shelf.vectors.inputs[:5]
    alone = [micro.run(shelf.content, row[None, :])[0] for row in inputs]
    np.testing.assert_array_equal(micro.run(shelf.content, inputs), alone)
