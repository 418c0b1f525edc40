"""A shelf as C source compiles and holds what the shelf holds."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from gateway.inference.firmware import export
from gateway.inference.shelf import load

SHELVES = Path(__file__).parents[3] / "models"
GCC = shutil.which("gcc")
PROGRAM = """
#include <stdint.h>
#include <stdio.h>
#include "traffic_model.h"

int main(void) {
    uint32_t sum = 0;
    for (unsigned i = 0; i < TRAFFIC_MODEL_BYTES; i++) sum = sum * 31u + traffic_model[i];
    printf("%u %u %u %u %.9g %d\\n", sum, TRAFFIC_MODEL_BYTES, TRAFFIC_MODEL_ARENA_BYTES, TRAFFIC_MODEL_FEATURES,
           (double)traffic_model_scale[1], (int)((uintptr_t)traffic_model % 16));
    return 0;
}
"""


@pytest.mark.skipif(GCC is None, reason="gcc is not installed")
def test_exported_model_compiles_without_a_warning_and_holds_the_same_bytes(tmp_path: Path) -> None:
    shelf = load(SHELVES / "traffic")
    header, source = export(shelf.manifest, shelf.content, tmp_path)
    assert header.name == "traffic_model.h"
    (tmp_path / "main.c").write_text(PROGRAM)
    program = tmp_path / "program"
    strict = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic"]
    subprocess.run([str(GCC), *strict, "-o", program, tmp_path / "main.c", source], check=True, cwd=tmp_path)
    shown = subprocess.run([program], check=True, capture_output=True, text=True).stdout.split()
    total = 0
    for byte in shelf.content:
        total = (total * 31 + byte) % 2**32
    stated = shelf.manifest
    assert [int(word) for word in shown[:4]] == [total, len(shelf.content), stated.arena_bytes, len(stated.features)]
    assert float(shown[4]) == pytest.approx(stated.features[1].scale, rel=1e-6)
    assert int(shown[5]) == 0


def test_header_names_every_operator_and_feature(tmp_path: Path) -> None:
    shelf = load(SHELVES / "traffic")
    header, _ = export(shelf.manifest, shelf.content, tmp_path)
    text = header.read_text()
    assert all(op in text for op in shelf.manifest.ops)
    assert all(name in text for name in shelf.manifest.feature_names)
