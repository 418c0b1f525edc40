"""Keeps a library from loading others that it would use only to be pretty, or for what is not done here."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def absent(*names: str) -> Iterator[None]:
    """Make optional imports of ``names`` find nothing while the context lasts; one that is there already stays."""
    hidden = [name for name in names if name not in sys.modules]
    for name in hidden:
        sys.modules[name] = None  # type: ignore[assignment]  # as the import system itself marks what is not there
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]
