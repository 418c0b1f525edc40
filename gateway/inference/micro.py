"""TFLite Micro's own interpreter: a shelf's parity is proven and its arena measured in it; needs ``tflite-micro``."""

from __future__ import annotations

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

    :raises MicroMissingError: the interpreter is not installed
    :raises RuntimeError: the model runs in no arena of ``16 * MAX_BYTES``; says why
    """
    with muted() as complaints:
        low, high = 0, 16 * MAX_BYTES
        if not _runs(content, high):
            raise RuntimeError(complaints() or "TFLite Micro refuses the model")
        while high - low > ALIGNMENT_BYTES:
            middle = (low + high) // 2 // ALIGNMENT_BYTES * ALIGNMENT_BYTES
            low, high = (low, middle) if _runs(content, middle) else (middle, high)
    return high


def _runs(content: bytes, size_bytes: int) -> bool:
    try:
        _interpreter(content, size_bytes).invoke()
    except RuntimeError:
        return False
    return True


def _interpreter(content: bytes, size_bytes: int) -> Any:
    try:
        from tflite_micro.python.tflite_micro import runtime  # noqa: PLC0415  # an extra, wanted only when verifying
    except ImportError as error:
        raise MicroMissingError from error
    return runtime.Interpreter.from_bytes(content, arena_size=size_bytes)
