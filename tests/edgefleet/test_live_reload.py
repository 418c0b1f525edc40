"""SIGHUP to a running gateway: changed settings and certificates are taken, bad ones refused, no message is lost."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiomqtt
import pytest

from contract import codec, topics
from contract.messages import Sample
from contract.topics import DeviceId
from edgefleet.gateway_process import listening
from gateway.ports import LedgerLine
from gateway.stores.reader import LocalReader
from tests.batches import USUAL
from tests.brokers import Mosquitto

ROOT = Path(__file__).parents[2]
LONGEST_S = 40.0
PUMP = DeviceId("plant", "industrial", "pump-1")
EVERYTHING = {"pump-1": 3050, "drill": 41}
"""Samples that the gateway must have taken; the 42nd of the drill comes when its source is gone."""
OPENSSL = shutil.which("openssl")


@dataclass(frozen=True)
class Running:
    """A gateway process, its settings file and its log."""

    process: asyncio.subprocess.Process
    file: Path
    log: Path

    def settings(self, **changed: object) -> None:
        """Write the settings file anew; JSON is YAML."""
        self.file.write_text(json.dumps(json.loads(self.file.read_text()) | changed))

    async def reload(self, word: str) -> None:
        """Ask for a reload and wait until the log says how it went."""
        before = self.log.read_text().count(word)
        self.process.send_signal(signal.SIGHUP)
        await until(lambda: self.log.read_text().count(word) > before)

    async def said(self, word: str, times: int = 1) -> None:
        """Wait until the log holds a word."""
        await until(lambda: self.log.read_text().count(word) >= times)


async def until(holds: object) -> None:
    """Wait, bounded, until something outside this process holds."""
    assert callable(holds)
    async with asyncio.timeout(LONGEST_S):
        while not holds():  # noqa: ASYNC110  # another process cannot set an event
            await asyncio.sleep(0.05)


@asynccontextmanager
async def gateway(folder: Path, **settings: object) -> AsyncIterator[Running]:
    """Run a gateway while the context lasts."""
    file, log = folder / "gateway.yaml", folder / "gateway.log"
    file.write_text(json.dumps({"state_dir": str(folder / "state"), "metrics": {"listen": "off"}} | settings))
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "edgefleet", "gateway", "-c", str(file)),
            stdout=output,
            stderr=output,
            env=os.environ | {"PYTHONPATH": f"{ROOT}:{os.environ.get('PYTHONPATH', '')}"},
        )
    try:
        yield Running(process, file, log)
    finally:
        if process.returncode is None:
            process.terminate()
        assert await asyncio.wait_for(process.wait(), LONGEST_S) == 0, log.read_text()


def ledger(folder: Path) -> dict[str, LedgerLine]:
    """Return the accounts of a stopped gateway, by device."""
    return {line.device: line for line in LocalReader(folder / "state" / "store.db").ledger()}


async def publish(client: aiomqtt.Client, first: int, count: int) -> None:
    """Send readings of one pump, a millisecond apart on the wire, a second apart in time."""
    start_s = time.time() - 3600
    for seq in range(first, first + count):
        sample = Sample(ts=float(int(start_s) + seq), seq=seq, values=USUAL)
        await client.publish(topics.telemetry(PUMP), codec.encode_sample(sample), qos=1)


@pytest.mark.mosquitto
@pytest.mark.timeout(120)
async def test_reload_under_load_loses_nothing_and_refuses_bad_files(mosquitto: Mosquitto, tmp_path: Path) -> None:
    """Sources come and go, thresholds change, a file with three faults is refused: every sample is accounted for."""
    plug = {"topic": "tele/{device}/SENSOR", "domain": "industrial", "site": "plant", "fields": {"I": "current_a"}}
    here = tmp_path
    async with (
        gateway(here, broker={"port": mosquitto.port}) as running,
        aiomqtt.Client(mosquitto.host, mosquitto.port) as client,
    ):
        await listening(mosquitto.host, mosquitto.port, "edge-1")
        async with asyncio.TaskGroup() as flow:
            flow.create_task(publish(client, 0, 3000))
            limit = {"channel": "current_a", "above": 5.0}
            running.settings(sources={"plugs": plug}, domains={"industrial": {"limits": {"overload": limit}}})
            await running.reload("settings taken")
            for second in range(40):
                at_s = int(time.time()) - 60 + second
                await client.publish("tele/drill/SENSOR", json.dumps({"I": 9.5, "at": at_s}), qos=1)
            bad = {"port": mosquitto.port, "tls": {"ca_file": "/nowhere"}}
            running.settings(sources={"plugs": plug | {"domain": "moon", "topic": "a+"}}, broker=bad)
            await running.reload("settings refused")
            more = plug | {"fields": {"I": "current_a", "U": "voltage_v"}}
            running.settings(sources={"plugs": more}, broker={"port": mosquitto.port}, health_every_s=9)
            await running.reload("settings taken")
        await client.publish("tele/drill/SENSOR", json.dumps({"U": 231}), qos=1)
        running.settings(sources={})
        await running.reload("settings taken")
        await client.publish("tele/drill/SENSOR", json.dumps({"U": 232}), qos=1)
        await publish(client, 3000, 50)
        # the gateway has it all when the last one's account is written, with the next tick
        await until(lambda: {name: line.published for name, line in ledger(here).items()} == EVERYTHING)
    log = running.log.read_text()
    for fault in ("sources.plugs.domain = 'moon'", "sources.plugs.topic = 'a+'", "broker.tls.ca_file"):
        assert fault in log
    assert "health_every_s" in log, "what needs a restart is named"
    accounts = ledger(here)
    assert accounts["pump-1"].stored == 3050
    assert accounts["pump-1"].lost == 0
    assert accounts["drill"].published == 41
    assert LocalReader(here / "state" / "store.db").quarantine() == []


@pytest.mark.mosquitto
@pytest.mark.skipif(OPENSSL is None, reason="needs the openssl command")
@pytest.mark.timeout(120)
async def test_renewed_authority_is_used_without_a_restart(tmp_path: Path) -> None:
    """The broker comes back with a certificate of a new authority; the gateway, told of it, connects again."""
    files = tmp_path / "tls"
    files.mkdir()
    await asyncio.to_thread(authority, files, "old")
    shutil.copy(files / "old.pem", files / "ca.pem")
    shutil.copy(files / "old.pem", files / "server.pem")
    shutil.copy(files / "old.key", files / "server.key")
    options = [f"cafile {files}/ca.pem", f"certfile {files}/server.pem", f"keyfile {files}/server.key"]
    async with Mosquitto(tmp_path / "broker", options) as broker:
        reach = {"host": "localhost", "port": broker.port, "tls": {"ca_file": str(files / "ca.pem")}}
        async with gateway(tmp_path, broker=reach) as running:
            await running.said("broker connected")
            await asyncio.to_thread(authority, files, "new")
            shutil.copy(files / "new.pem", files / "server.pem")
            shutil.copy(files / "new.key", files / "server.key")
            await broker.restart()
            await running.said("broker not connected")
            shutil.copy(files / "new.pem", files / "ca.pem")
            await running.reload("settings taken")
            await running.said("broker connected", times=2)


def authority(folder: Path, name: str) -> None:
    """Make a certificate that signs itself, for localhost."""
    assert OPENSSL is not None
    made = (
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -addext subjectAltName=DNS:localhost"
    )
    files = ["-subj", f"/CN={name}", "-keyout", str(folder / f"{name}.key"), "-out", str(folder / f"{name}.pem")]
    subprocess.run([OPENSSL, *made.split(), *files], check=True, capture_output=True)
