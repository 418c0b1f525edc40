"""Keeps a library from loading another that it would use only to be pretty."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def absent(name: str) -> Iterator[None]:
    """Make an optional import of ``name`` find nothing while the context lasts; one that is there already stays."""
    if name in sys.modules:
        yield
        return
    sys.modules[name] = None  # type: ignore[assignment]  # as the import system itself marks what is not there
    try:
        yield
    finally:
        del sys.modules[name]
