"""The compose stack as tests run it: a project of its own on free ports, with real images or with stand-ins.

``EDGEFLEET_STAND_IN`` names a script that starts an engine and makes local images under the names of the real ones; it
is called with the images it should make in its environment. Without it the images come from their registries.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.brokers import free_port

ROOT = Path(__file__).parent.parent.parent
STAND_IN = os.environ.get("EDGEFLEET_STAND_IN")
COMMAND_TIMEOUT_S = 900.0


class Stack:
    """One running project."""

    def __init__(self, overlays: Sequence[Path] = ()) -> None:
        """Choose ports and a name; start nothing."""
        self.mqtt_port, self.influx_port, self.grafana_port = free_port(), free_port(), free_port()
        self.console_port, self.mqtts_port = free_port(), free_port()
        self.project = f"edgefleet-test-{os.getpid()}"
        stand_ins = [ROOT / "tests/stack/stand-ins.yaml"] if STAND_IN else []
        self._files = [ROOT / "docker-compose.yml", *overlays, *stand_ins]
        self.environment = {
            "EDGEFLEET_MQTT_PORT": str(self.mqtt_port),
            "EDGEFLEET_MQTTS_PORT": str(self.mqtts_port),
            "EDGEFLEET_INFLUX_PORT": str(self.influx_port),
            "EDGEFLEET_GRAFANA_PORT": str(self.grafana_port),
            "EDGEFLEET_CONSOLE_PORT": str(self.console_port),
            "EDGEFLEET_FLEET": str(ROOT / "tests/stack/fleet.yaml"),
        }

    def compose(self, *arguments: str) -> str:
        """Run one compose command; return what it printed.

        :raises AssertionError: it failed; with what it said
        """
        files = [part for file in self._files for part in ("-f", str(file))]
        command = ["docker", "compose", "-p", self.project, *files, *arguments]
        done = run(command, **self.environment)
        assert done.returncode == 0, f"{' '.join(arguments)} failed:\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
        return done.stdout

    def secrets(self) -> dict[str, str]:
        """Return what ``make credentials`` shows, by what it is for."""
        shown = self.compose("run", "--rm", "init", "show").splitlines()
        return dict(re.split(r"\s{2,}", line, maxsplit=1) for line in shown if "  " in line)

    def container(self, service: str) -> dict[str, Any]:
        """Return what the engine knows of a service's container."""
        name = self.compose("ps", "--all", "--quiet", service).strip()
        (inspected,) = json.loads(run(["docker", "inspect", name]).stdout)
        found: dict[str, Any] = inspected
        return found


@contextmanager
def running(*services: str, overlays: Sequence[Path] = ()) -> Iterator[Stack]:
    """Run services until the end of the context, then remove them and their volumes."""
    if STAND_IN:
        make_stand_ins(STAND_IN)
    stack = Stack(overlays)
    try:
        stack.compose("up", "--detach", "--build", "--wait", *services)
        yield stack
    except BaseException:
        sys.stderr.write(run(["docker", "compose", "-p", stack.project, "logs", "--tail", "40"]).stdout)
        raise
    finally:
        stack.compose("--profile", "*", "down", "--volumes", "--timeout", "10")


def make_stand_ins(script: str) -> None:
    """Have an engine, and images under the names that the Dockerfile and the compose file use."""
    images = set(re.findall(r"image: (\S+:[\w.-]+)", (ROOT / "docker-compose.yml").read_text()))
    named = {kind: " ".join(sorted(image for image in images if kind in image)) for kind in ("mosquitto", "influxdb")}
    done = run([script], MQTT_IMAGES=named["mosquitto"], INFLUX_IMAGES=named["influxdb"])
    assert done.returncode == 0, done.stderr[-4000:]


def run(command: Sequence[str], **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(
        command,
        env=os.environ | environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=COMMAND_TIMEOUT_S,
        check=False,
    )
