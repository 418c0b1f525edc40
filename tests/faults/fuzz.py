"""Coverage-guided fuzzing of what reads bytes of strangers, if atheris is there: ``python -m tests.faults.fuzz``."""

from __future__ import annotations

import importlib
import sys
from typing import Any

RUNS = 200_000

if __name__ == "__main__":
    atheris: Any = importlib.import_module("atheris")  # in no lock file: it is for Linux on x86-64 only
    with atheris.instrument_imports(include=["contract", "gateway"], enable_loader_override=False):
        from tests.faults.readers import read_bytes
    atheris.Setup([*sys.argv, f"-atheris_runs={RUNS}", "-max_len=4096"], read_bytes)
    atheris.Fuzz()
