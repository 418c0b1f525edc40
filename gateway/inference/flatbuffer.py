"""What a ``.tflite`` file holds, and whether it may run here and on a microcontroller.

LiteRT takes the file apart itself: its reference interpreter applies no delegate, so the operators are the file's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gateway.inference.runtime import interpreter

MAX_BYTES: Final = 64 * 1024
"""Largest model and largest arena; what is left of a common microcontroller's 256 KiB beside its firmware."""

MICRO_OPS: Final = frozenset(  # as words: one name a line would be a page
    """
    ABS ADD ADD_N ARG_MAX ARG_MIN ASSIGN_VARIABLE AVERAGE_POOL_2D BATCH_MATMUL BATCH_TO_SPACE_ND BROADCAST_ARGS
    BROADCAST_TO CALL_ONCE CAST CEIL CONCATENATION CONV_2D COS CUMSUM DEPTH_TO_SPACE DEPTHWISE_CONV_2D
    DEQUANTIZE DIV DYNAMIC_UPDATE_SLICE ELU EMBEDDING_LOOKUP EQUAL EXP EXPAND_DIMS FILL FLOOR FLOOR_DIV
    FLOOR_MOD FULLY_CONNECTED GATHER GATHER_ND GREATER GREATER_EQUAL HARD_SWISH IF L2_NORMALIZATION L2_POOL_2D
    LEAKY_RELU LESS LESS_EQUAL LOG LOG_SOFTMAX LOGICAL_AND LOGICAL_NOT LOGICAL_OR LOGISTIC MAX_POOL_2D MAXIMUM
    MEAN MINIMUM MIRROR_PAD MUL NEG NOT_EQUAL PACK PAD PADV2 PRELU QUANTIZE READ_VARIABLE REDUCE_MAX REDUCE_MIN
    RELU RELU6 RESHAPE RESIZE_BILINEAR RESIZE_NEAREST_NEIGHBOR REVERSE_V2 ROUND RSQRT SELECT_V2 SHAPE SIN SLICE
    SOFTMAX SPACE_TO_BATCH_ND SPACE_TO_DEPTH SPLIT SPLIT_V SQRT SQUARE SQUARED_DIFFERENCE STRIDED_SLICE SUB SUM
    SVDF TANH TRANSPOSE TRANSPOSE_CONV UNIDIRECTIONAL_SEQUENCE_LSTM UNPACK VAR_HANDLE WHILE ZEROS_LIKE
    """.split()  # noqa: SIM905
)
"""Built-in operators of TFLite Micro (``micro_mutable_op_resolver.h``)."""

_WHOLE_NUMBERS: Final = (np.int8, np.int16, np.int32, np.int64, np.bool_)
"""Tensor types of an int8 model: activations and weights, wide accumulators, biases, shapes, masks."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """One tensor: its shape with -1 where it is open, and its per-tensor quantisation (scale 0 where it has none)."""

    name: str
    shape: tuple[int, ...]
    type: str
    scale: float
    zero_point: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Anatomy:
    """What a model is made of."""

    size_bytes: int
    ops: tuple[str, ...]
    """Operators, each once, in the order of their first use."""
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    tensors: tuple[Tensor, ...]


@dataclass(frozen=True, slots=True)
class Finding:
    """One reason why a model may not run."""

    rule: str
    """``int8``, ``op``, ``shape``, ``size``, ``arena`` or ``format``."""
    text: str


def read(content: bytes) -> Anatomy:
    """Take a model apart.

    :raises ValueError: the bytes are not a model that LiteRT reads; says why
    """
    reader = interpreter(content)
    inputs, outputs = reader.get_input_details(), reader.get_output_details()
    return Anatomy(
        size_bytes=len(content),
        ops=tuple(dict.fromkeys(op["op_name"] for op in reader._get_ops_details())),  # noqa: SLF001  # no public way
        inputs=tuple(map(_tensor, inputs)),
        outputs=tuple(map(_tensor, outputs)),
        tensors=tuple(map(_tensor, reader.get_tensor_details())),
    )


def _tensor(details: dict[str, object]) -> Tensor:
    signature: NDArray[np.int32] = details["shape_signature"]  # type: ignore[assignment]  # LiteRT's own type
    scale, zero_point = details["quantization"]  # type: ignore[misc]  # likewise
    return Tensor(str(details["name"]), tuple(map(int, signature)), np.dtype(details["dtype"]).name, scale, zero_point)  # type: ignore[call-overload,has-type]


def findings(anatomy: Anatomy) -> list[Finding]:
    """Say why a model may not run, here and on a microcontroller alike; an empty list means that it may."""
    return [*_types(anatomy), *_ops(anatomy), *_shapes(anatomy), *_size(anatomy)]


def _types(anatomy: Anatomy) -> list[Finding]:
    ends = [tensor for tensor in (*anatomy.inputs, *anatomy.outputs) if tensor.type != "int8"]
    whole = {np.dtype(kind).name for kind in _WHOLE_NUMBERS}
    inner: dict[str, list[str]] = {}
    for tensor in anatomy.tensors:
        if tensor.type not in whole and tensor not in ends:
            inner.setdefault(tensor.type, []).append(tensor.name)
    unscaled = [tensor for tensor in (*anatomy.inputs, *anatomy.outputs) if tensor.type == "int8" and tensor.scale <= 0]
    return (
        [Finding("int8", f"{tensor.name!r} is {tensor.type}: inputs and outputs must be int8") for tensor in ends]
        + [
            Finding("int8", f"{len(names)} tensors inside are {kind}, such as {names[0]!r}: all must be whole numbers")
            for kind, names in inner.items()
        ]
        + [Finding("int8", f"{tensor.name!r} has no scale: it was not quantised") for tensor in unscaled]
    )


def _ops(anatomy: Anatomy) -> list[Finding]:
    foreign = [op for op in anatomy.ops if op not in MICRO_OPS]
    return [Finding("op", f"{op} is not a built-in operator of TFLite Micro") for op in foreign]


def _shapes(anatomy: Anatomy) -> list[Finding]:
    """Only the batch may be open: a microcontroller runs a batch of one, the gateway many."""
    open_ = [tensor for tensor in anatomy.tensors if -1 in tensor.shape[1:]]
    found = [Finding("shape", f"{tensor.name!r} has the dynamic shape {list(tensor.shape)}") for tensor in open_]
    if len(anatomy.inputs) != 1 or len(anatomy.outputs) != 1:
        counts = f"{len(anatomy.inputs)} inputs and {len(anatomy.outputs)} outputs"
        found.append(Finding("shape", f"it has {counts}: one feature row goes in, one score comes out"))
    return found


def _size(anatomy: Anatomy) -> list[Finding]:
    if anatomy.size_bytes <= MAX_BYTES:
        return []
    return [Finding("size", f"it is {anatomy.size_bytes} bytes, more than {MAX_BYTES}")]
