"""A full disk never corrupts and never crashes: nothing is acknowledged, the gateway says so, and goes on by itself."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.brokers import Mosquitto
from tests.faults.crashes import arrived, finished
from tests.faults.gateways import Publisher, running, settings_file, until
from tests.faults.outcomes import compare, local_outcome
from tests.faults.streams import Stream

pytestmark = [pytest.mark.timeout(240), pytest.mark.mosquitto]
SIZE_MB = 24


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a small tmpfs."""
    folder = tmp_path / "small"
    folder.mkdir()
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("needs root, to mount a small tmpfs")
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={SIZE_MB}m", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip(f"may not mount a tmpfs here: {mounted.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


async def test_full_disk_holds_ingest_and_loses_nothing(tmp_path: Path, small_disk: Path, mosquitto: Mosquitto) -> None:
    """The disk fills up under way, the gateway is even killed and started on it, and then there is room again."""
    stream = Stream(seed=8, devices=10, messages=6000)
    async with running(settings_file(tmp_path / "whole", mosquitto.port, gateway="whole")) as gateway:
        await gateway.says("broker connected")
        file = settings_file(small_disk / "g", mosquitto.port, gateway="small")
        async with running(file) as cramped:
            await cramped.says("broker connected")
            ballast = small_disk / "ballast"
            fill(ballast)
            async with Publisher.connected(mosquitto.port) as publisher:
                await publisher.publish(finished(stream))
            await cramped.says("no room, nothing is acknowledged")
            await cramped.kill()
        async with running(file) as again:
            await until(lambda: any("no room" in line or "broker connected" in line for line in again.log))
            assert again.process.returncode is None
            ballast.unlink()
            await until(lambda: arrived(small_disk / "g" / "state") and arrived(tmp_path / "whole" / "state"))
            assert await again.stop() == 0
        assert await gateway.stop() == 0
    assert not list((small_disk / "g" / "state").glob("*.corrupt-*"))
    difference = compare(local_outcome(small_disk / "g" / "state"), local_outcome(tmp_path / "whole" / "state"))
    assert not difference, str(difference)


def fill(ballast: Path) -> None:
    """Take all the room that is left but a little."""
    with ballast.open("wb") as file:
        free = os.statvfs(ballast).f_bavail * os.statvfs(ballast).f_frsize
        file.write(b"\x00" * max(0, free - 300_000))
