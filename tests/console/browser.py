"""A running console and a browser before it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

ROOT = Path(__file__).parent.parent.parent
STARTS_MS = 20_000
"""Longest wait for something to appear, milliseconds; a busy machine takes its time."""


@dataclass(slots=True)
class Console:
    """A console as a process of its own."""

    address: str
    process: subprocess.Popen[str]

    @property
    def rss_bytes(self) -> int:
        """Resident memory."""
        return int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]) * 4096


@dataclass(slots=True)
class Seen:
    """What a page did that it should not."""

    console: str
    requests: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def watch(self, page: Page) -> None:
        """Note errors, and every request that leaves the console."""
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", lambda line: self.errors.append(line.text) if line.type == "error" else None)
        page.on("request", lambda request: self._note(request.url))

    def _note(self, url: str) -> None:
        if not url.startswith((self.console, "data:", self.console.replace("http", "ws", 1))):
            self.requests.append(url)


@contextmanager
def running_console(state_dir: Path) -> Iterator[Console]:
    """Run ``edgefleet console`` on a free port while the context lasts."""
    command = (sys.executable, "-m", "edgefleet", "console", "--state", str(state_dir), "--listen", "127.0.0.1:0")
    with running(*command) as console:
        yield console


@contextmanager
def running(*command: str) -> Iterator[Console]:
    """Run what says the console's address, while the context lasts."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    try:
        assert process.stdout is not None
        said = process.stdout.readline()
        assert said.startswith("console: http"), f"the console did not start: {said!r}"
        yield Console(said.split()[1], process)
    finally:
        process.terminate()
        process.wait(timeout=20)
        if process.stdout is not None:
            process.stdout.close()


@contextmanager
def running_browser() -> Iterator[Browser]:
    """Run Debian's Chromium while the context lasts; skip the test where there is none."""
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        pytest.skip("Chromium is not installed: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()
