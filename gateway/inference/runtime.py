"""The interpreter, whichever package brings it: LiteRT, else its predecessor ``tflite_runtime``."""

from __future__ import annotations

from typing import Any, Literal

try:
    from ai_edge_litert.interpreter import Interpreter, OpResolverType
except ImportError:  # no LiteRT wheel for this machine
    from tflite_runtime.interpreter import Interpreter, OpResolverType

Kernels = Literal["reference", "optimised"]
"""``reference``: the same numbers on every processor; golden vectors and stated metrics come from them. ``optimised``:
five to eight times as fast in a batch; where they round otherwise, a score differs by a few quanta. The gateway serves
with these."""


def interpreter(content: bytes, *, kernels: Kernels = "reference") -> Any:
    """Return an interpreter of a model, its tensors not yet allocated.

    :raises ValueError: the bytes are not a model that it reads
    """
    resolver = (
        OpResolverType.BUILTIN_REF if kernels == "reference" else OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    )
    # one thread: a microsecond of work is not worth waking another core
    return Interpreter(model_content=content, experimental_op_resolver_type=resolver, num_threads=1)
