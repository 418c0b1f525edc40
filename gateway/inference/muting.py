"""Native libraries that write to standard error behind Python's back, kept quiet while they are asked something."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def muted() -> Iterator[Callable[[], str]]:
    """Keep what native code writes to standard error out of the terminal; yields a function that returns it.

    The whole process is muted: for commands, not for the gateway.
    """
    with tempfile.TemporaryFile() as file:
        kept = os.dup(2)
        os.dup2(file.fileno(), 2)

        def written() -> str:
            file.seek(0)
            return file.read().decode(errors="replace").strip()

        try:
            yield written
        finally:
            os.dup2(kept, 2)
            os.close(kept)
