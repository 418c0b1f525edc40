"""The page ``docs/your-own-domain.md``, followed literally: its files written, its commands run, its alerts seen.

Only the ports differ from what is printed there. InfluxDB is a real one, asked what Grafana's board *Alerts* asks.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from edgefleet.gateway_process import listening
from tests.brokers import Mosquitto
from tests.influx import RealInflux, needs_influxd

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "your-own-domain.md"
BLOCK = re.compile(r"^```(?P<language>\w+)(?: (?P<words>[^\n]*))?\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
LONGEST_S = 45.0
needs_clients = pytest.mark.skipif(
    shutil.which("mosquitto_pub") is None, reason="needs the mosquitto_pub command (Debian package mosquitto-clients)"
)


@dataclass(frozen=True)
class Block:
    """A fenced block of the page."""

    language: str
    words: dict[str, str]
    """What stands after the language: ``file=…``, ``expect=…``, ``background``."""
    text: str


def blocks() -> list[Block]:
    """Return the blocks of the page, in order."""
    return [
        Block(
            found["language"],
            dict(part.partition("=")[::2] for part in (found["words"] or "").split()),
            found["text"],
        )
        for found in BLOCK.finditer(PAGE.read_text())
    ]


@dataclass(frozen=True)
class Machine:
    """The reader's machine: a folder, and the command ``edgefleet`` on the path."""

    folder: Path
    environment: dict[str, str]

    def write(self, name: str, text: str) -> None:
        """Lay down a file of the page."""
        file = self.folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    async def start(self, command: str) -> asyncio.subprocess.Process:
        """Start a command of the page."""
        return await asyncio.create_subprocess_exec(
            *("bash", "-euc", command),
            cwd=self.folder,
            env=self.environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )

    async def run(self, command: str) -> str:
        """Run a command of the page; return what it says."""
        process = await self.start(command)
        output, _ = await asyncio.wait_for(process.communicate(), LONGEST_S)
        assert process.returncode == 0, output.decode()
        return output.decode()


def machine(folder: Path) -> Machine:
    """Return a machine on which ``edgefleet`` is installed."""
    command = folder / "bin" / "edgefleet"
    command.parent.mkdir(parents=True)
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m edgefleet "$@"\n')
    command.chmod(0o755)
    path = f"{command.parent}:{os.environ['PATH']}"
    python_path = f"{ROOT}:{os.environ.get('PYTHONPATH', '')}"
    environment = {**os.environ, "PATH": path, "PYTHONPATH": python_path, "INFLUX_TOKEN": "secret", "COLUMNS": "300"}
    return Machine(folder, environment)


@asynccontextmanager
async def in_background(here: Machine, command: str, port: int) -> AsyncIterator[None]:
    """Run the gateway of the page while the context lasts; it listens when the context begins."""
    process = await here.start(f"exec {command}")
    try:
        await listening("127.0.0.1", port, "store-4")
        yield
    finally:
        process.terminate()
        output, _ = await asyncio.wait_for(process.communicate(), LONGEST_S)
    assert process.returncode == 0, output.decode()


@pytest.mark.mosquitto
@needs_influxd
@needs_clients
@pytest.mark.timeout(120)
async def test_page_leads_from_a_sensor_to_an_alert_in_grafana(mosquitto: Mosquitto, tmp_path: Path) -> None:
    here = machine(tmp_path / "home")
    page = blocks()
    async with RealInflux(tmp_path / "influx") as influx:
        ports = {"1883": str(mosquitto.port), "8086": influx.url.rpartition(":")[2]}
        for block in page:
            if "file" in block.words:
                here.write(block.words["file"], changed(block.text, ports))
        commands = [block for block in page if block.language == "sh"]
        (background,) = [block for block in commands if "background" in block.words]
        place = commands.index(background)
        for block in commands[:place]:
            await here.run(changed(block.text, ports))
        async with in_background(here, background.text, mosquitto.port):
            for block in commands[place + 1 :]:
                said = await here.run(changed(block.text, ports))
                assert block.words.get("expect", "") in said
            (row,) = await open_alerts(influx)
    assert row["rule"] == "too_warm"
    assert row["device"] == "freezer-2"
    assert "above the limit of 8 °C for 300 s" in row["reason"]


def changed(text: str, ports: dict[str, str]) -> str:
    """Return a block with the ports of this machine."""
    return re.sub("|".join(ports), lambda found: ports[found[0]], text)


async def open_alerts(influx: RealInflux) -> list[dict[str, Any]]:
    """Return the rows of the panel *Open alerts, oldest first*, as soon as there are any."""
    board = json.loads((ROOT / "grafana" / "dashboards" / "edgefleet-alerts.json").read_text())
    (query,) = [
        target["query"]
        for panel in board["panels"]
        if panel["title"].startswith("Open alerts, oldest")
        for target in panel["targets"]
    ]
    everything = re.sub(r"\$\{\w+:regex\}", ".*", query)
    async with asyncio.timeout(LONGEST_S):
        while not (series := await influx.query(everything)):  # noqa: ASYNC110  # another process cannot set an event
            await asyncio.sleep(0.1)
    return [
        {**each["tags"], **dict(zip(each["columns"], values, strict=True))}
        for each in series
        for values in each["values"]
    ]
