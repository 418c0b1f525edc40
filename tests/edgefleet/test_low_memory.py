"""The gateway alone within ``MemoryMax=256M``, as its systemd unit has it: 1,000 devices of all four domains.

Where this user may make a memory cgroup the kernel enforces the limit, page cache included; everywhere the resident
memory at its peak is held to it.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from contract import codec, topics
from contract.domains import DOMAINS, Domain
from contract.messages import Sample
from contract.topics import DeviceId
from edgefleet.gateway_process import listening
from gateway.mqtt import Session, SessionSettings
from gateway.stores.reader import LocalReader
from tests.brokers import Mosquitto

ROOT = Path(__file__).parents[2]
UNIT = ROOT / "deploy" / "edgefleet.service"
DEVICES, BURSTS, SAMPLES = 1000, 4, 60
LONGEST_S = 90.0


def limit_bytes() -> int:
    """Return the unit's limit."""
    found = re.search(r"^MemoryMax=(\d+)M$", UNIT.read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1]) * 2**20


@pytest.fixture
def cgroup() -> Iterator[Path | None]:
    """Make a memory cgroup with the unit's limit and no swap; ``None`` where this user may not."""
    old, new = Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup")
    name = f"edgefleet-test-{os.getpid()}"
    for parent, file in ((old, "memory.limit_in_bytes"), (new, "memory.max")):
        folder = parent / name
        try:
            folder.mkdir()
        except OSError:
            continue
        try:
            (folder / file).write_text(str(limit_bytes()))
            yield folder
        finally:
            folder.rmdir()
        return
    yield None


def bursts(device: DeviceId, domain: Domain, start_s: float) -> Iterator[bytes]:
    """Yield a logger's bursts: values in the middle of their range that never stand still."""
    for burst in range(BURSTS):
        samples = []
        for number in range(burst * SAMPLES, (burst + 1) * SAMPLES):
            values = {
                channel.name: channel.low
                + (channel.high - channel.low) * (0.3 + 0.0001 * ((number + len(device.device)) % 7))
                for channel in domain.channels
            }
            samples.append(Sample(ts=start_s + number * domain.period_s, seq=number, values=values))
        yield codec.encode_burst(samples)


async def publish(mosquitto: Mosquitto) -> None:
    """Send every device's bursts, in turn, as a fleet of loggers does that was offline."""
    settings = SessionSettings(client_id="fleet", subscriptions=(), host=mosquitto.host, port=mosquitto.port)
    domains = list(DOMAINS.values())
    fleet = [(DeviceId("site", (d := domains[n % 4]).name, f"d-{n}"), d) for n in range(DEVICES)]
    streams = [(device, bursts(device, d, time.time() - BURSTS * SAMPLES * d.period_s)) for device, d in fleet]
    async with Session(settings) as session:
        for _ in range(BURSTS):
            for part in chunks(streams):
                await asyncio.gather(
                    *(session.publish(topics.telemetry(device), next(stream)) for device, stream in part)
                )


def chunks(items: list[tuple[DeviceId, Iterator[bytes]]]) -> Iterator[list[tuple[DeviceId, Iterator[bytes]]]]:
    """Yield a hundred at a time."""
    for start in range(0, len(items), 100):
        yield items[start : start + 100]


def stored(state: Path) -> int:
    """Return how many samples the local store accounts for."""
    return sum(line.stored for line in LocalReader(state / "store.db").ledger())


def peak_bytes(process_id: int) -> int:
    """Return the most memory that a process had resident."""
    status = Path(f"/proc/{process_id}/status").read_text()
    found = re.search(r"^VmHWM:\s+(\d+) kB", status, re.MULTILINE)
    assert found is not None
    return int(found[1]) * 1024


@pytest.mark.mosquitto
@pytest.mark.timeout(180)
async def test_thousand_devices_within_the_units_limit(
    mosquitto: Mosquitto, tmp_path: Path, cgroup: Path | None
) -> None:
    state = tmp_path / "state"
    file = tmp_path / "gateway.yaml"
    settings = {"state_dir": str(state), "broker": {"port": mosquitto.port}, "metrics": {"listen": "off"}}
    file.write_text(json.dumps(settings))
    enter = "true" if cgroup is None else f"echo $$ > {cgroup}/cgroup.procs"
    with (tmp_path / "log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *("sh", "-c", f'{enter}; exec {sys.executable} -m edgefleet gateway -c "$0"', str(file)),
            stdout=log,
            stderr=log,
            env=os.environ | {"PYTHONPATH": f"{ROOT}:{os.environ.get('PYTHONPATH', '')}"},
        )
    try:
        await listening(mosquitto.host, mosquitto.port, "edge-1")
        await publish(mosquitto)
        async with asyncio.timeout(LONGEST_S):
            while stored(state) < DEVICES * BURSTS * SAMPLES:
                assert process.returncode is None, (tmp_path / "log").read_text()
                await asyncio.sleep(0.5)
        peak = peak_bytes(process.pid)
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        code = await asyncio.wait_for(process.wait(), LONGEST_S)
    assert code == 0, (tmp_path / "log").read_text()
    lines = LocalReader(state / "store.db").ledger()
    assert (len(lines), sum(line.lost for line in lines)) == (DEVICES, 0)
    print(f"peak {peak / 2**20:.0f} MiB of {limit_bytes() / 2**20:.0f}, {'enforced' if cgroup else 'measured'}")  # noqa: T201  # a figure for the docs
    assert peak <= limit_bytes()
