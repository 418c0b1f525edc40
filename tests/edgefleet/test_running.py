"""Publishing on the command line: progress is for whoever watches."""

from __future__ import annotations

import asyncio
import io
from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from edgefleet.running import show_progress


@pytest.mark.parametrize("watched", [True, False])
async def test_progress_is_shown_on_a_terminal_only(watched: bool) -> None:  # noqa: FBT001  # a parameter
    """A pipe gets nothing at all, not even an empty line."""
    asked = asyncio.Event()

    def statistics() -> Any:
        asked.set()
        return SimpleNamespace(samples=5, by_device=Counter[str]())

    publisher: Any = SimpleNamespace(statistics=statistics)
    file = io.StringIO()
    showing = asyncio.create_task(
        show_progress(publisher, 10, Console(file=file, force_terminal=watched), "history"), name="progress"
    )
    await asked.wait()
    showing.cancel()
    await asyncio.gather(showing, return_exceptions=True)
    assert ("history" in file.getvalue()) == watched
    assert watched or file.getvalue() == ""
