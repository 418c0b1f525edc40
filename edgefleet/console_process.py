"""The console as a process of its own beside a demo: started, its address heard, stopped."""

from __future__ import annotations

import asyncio
import importlib.util
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

READY_S: Final = 60.0
"""Longest wait for its address; a small machine takes a while to load a web server."""
STOP_S: Final = 10.0
PORT: Final = 8080
"""Port that is tried first, so that the address is the same each time; else a free one is taken."""


def installed() -> bool:
    """Tell whether the console's libraries are here; they are an extra."""
    return importlib.util.find_spec("nicegui") is not None and importlib.util.find_spec("argon2") is not None


@asynccontextmanager
async def console_process(state_dir: Path, log_file: Path, *, open_browser: bool) -> AsyncIterator[str | None]:
    """Run ``edgefleet console`` while the context lasts; yield its address, ``None`` where it did not come up."""
    arguments = ["--state", str(state_dir), *(["--open"] if open_browser else [])]
    with log_file.open("ab") as log:
        for port in (PORT, 0):
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "edgefleet", "console", "--listen", f"127.0.0.1:{port}", *arguments),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for whoever started it, who then stops it in order
            )
            address = await _address(process)
            if address is not None:
                break
            await _stop(process)
    try:
        yield address
    finally:
        await _stop(process)


async def _address(process: asyncio.subprocess.Process) -> str | None:
    assert process.stdout is not None
    try:
        async with asyncio.timeout(READY_S):
            said = (await process.stdout.readline()).decode()
    except TimeoutError:
        return None
    return said.removeprefix("console: ").strip() or None


async def _stop(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.terminate()
        try:
            async with asyncio.timeout(STOP_S):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
