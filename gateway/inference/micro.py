"""TFLite Micro's own interpreter: a shelf's parity is proven and its arena measured in it; needs ``tflite-micro``."""

from __future__ import annotations

import subprocess
import sys
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gateway.inference.flatbuffer import MAX_BYTES
from gateway.inference.muting import muted

ALIGNMENT_BYTES: Final = 16
"""TFLite Micro aligns every buffer of its arena to this."""


class MicroMissingError(Exception):
    """The TFLite Micro interpreter is not installed on this machine."""

    def __init__(self) -> None:
        """Say how to get it."""
        super().__init__("tflite-micro is not installed. Install edgefleet[dev]; it has wheels for x86-64 Linux only.")


def run(content: bytes, inputs: NDArray[np.int8]) -> NDArray[np.int8]:
    """Return the outputs ``(n,)`` of int8 inputs ``(n, f)``, one row after the other as a microcontroller does.

    :raises MicroMissingError: the interpreter is not installed
    :raises RuntimeError: it refuses the model; says why
    """
    model = _interpreter(content, 4 * MAX_BYTES)
    outputs = np.empty(len(inputs), np.int8)
    for row, values in enumerate(inputs):
        model.set_input(values[None, :], 0)
        model.invoke()
        outputs[row] = model.get_output(0).reshape(-1)[0]
    return outputs


def arena_bytes(content: bytes) -> int:
    """Return the smallest tensor arena in which the model runs, bytes.

    It is searched for in another process: in some arenas that are too small the interpreter does not complain but ends.

    :raises MicroMissingError: the interpreter is not installed
    :raises RuntimeError: the model runs in no arena of ``16 * MAX_BYTES``; says why
    """
    with muted() as complaints:
        low, high = 0, 16 * MAX_BYTES
        try:
            _interpreter(content, high).invoke()
        except RuntimeError as error:
            raise RuntimeError(complaints() or "TFLite Micro refuses the model") from error
    while high - low > ALIGNMENT_BYTES:
        search = [sys.executable, "-c", _SEARCH, str(low), str(high), str(ALIGNMENT_BYTES)]
        found = subprocess.run(search, input=content, capture_output=True, check=False)  # noqa: S603  # our own words
        lines = found.stdout.split(b"\n")[:-1]
        low, high = map(int, lines[-1].split()) if lines else (low, high)
        if found.returncode:  # it ended in the arena that comes next
            low = (low + high) // 2 // ALIGNMENT_BYTES * ALIGNMENT_BYTES
    return high


_SEARCH: Final = """
import sys
from tflite_micro.python.tflite_micro import runtime
content = sys.stdin.buffer.read()
low, high, step = map(int, sys.argv[1:])
while high - low > step:
    middle = (low + high) // 2 // step * step
    try:
        runtime.Interpreter.from_bytes(content, arena_size=middle).invoke()
        high = middle
    except RuntimeError:
        low = middle
    print(low, high, flush=True)
"""


def _interpreter(content: bytes, size_bytes: int) -> Any:
    try:
        from tflite_micro.python.tflite_micro import runtime  # noqa: PLC0415  # an extra, wanted only when verifying
    except ImportError as error:
        raise MicroMissingError from error
    return runtime.Interpreter.from_bytes(content, arena_size=size_bytes)
