"""The profiles ``pi``, ``tls`` and ``chaos`` together, in containers: certificates, little memory and a bad link.

``make stack-test`` runs it; elsewhere it is skipped.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiomqtt
import pytest
import yaml

from deploy.compose.identities import fleet_devices
from tests.stack.compose import ROOT, Stack, running

pytestmark = [
    pytest.mark.stack,
    pytest.mark.timeout(900),
    pytest.mark.skipif("EDGEFLEET_STACK" not in os.environ, reason="needs Docker: run make stack-test"),
]
BREAKS_S = 240.0
"""Longest time in which the link breaks, comes back, and what waited has come through."""
UNDER_WAY = 120
"""More samples than were past the link when it broke: the pumps' of half a minute."""


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make certificates outside of the checkout, whose own stay as they are."""
    script = Path(shutil.copy(ROOT / "deploy/tls/make.sh", tmp_path_factory.mktemp("tls")))
    subprocess.run([script], check=True, capture_output=True)
    return script.parent / "certs"


@pytest.fixture(scope="module")
def stack(certificates: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Run all three profiles, less what they do not change."""
    own = tmp_path_factory.mktemp("overlay") / "certificates.yaml"
    own.write_text(yaml.safe_dump({"services": {"init": {"volumes": [f"{certificates}:/etc/edgefleet/tls:ro"]}}}))
    overlays = [ROOT / "deploy/compose/pi.yaml", ROOT / "deploy/compose/tls.yaml", own]
    with running("mosquitto", "influxdb", "gateway", "chaos", overlays=overlays) as started:
        yield started


def audit(stack: Stack) -> dict[str, Any]:
    """Return what became of every device's samples."""
    said = json.loads(stack.compose("exec", "-T", "gateway", "python", "-m", "edgefleet", "audit", "--json"))
    return {f"{line['site']}/{line['domain']}/{line['device']}": line for line in said}


def cuts(stack: Stack) -> int:
    """Return how often the link has broken."""
    return len(re.findall(r"link down, \d+ times", stack.compose("logs", "--no-log-prefix", "chaos-link")))


async def eventually(holds: Any) -> None:
    """Wait, within bounds, until a condition holds of the containers."""
    async with asyncio.timeout(BREAKS_S):
        while not await asyncio.to_thread(holds):  # noqa: ASYNC110  # containers tell nobody
            await asyncio.sleep(2)


def test_nothing_is_lost_over_a_link_that_breaks_and_encrypts(stack: Stack) -> None:
    """Every device gets through with its certificate and login, and after a break samples come as before."""
    devices = set(fleet_devices((ROOT / "deploy/compose/chaos.yaml",)))

    def stored(now: dict[str, Any]) -> int:
        assert all(line["lost"] == 0 for line in now.values())
        return sum(line["stored"] for line in now.values())

    asyncio.run(eventually(lambda: devices <= audit(stack).keys()))
    broken = cuts(stack)
    asyncio.run(eventually(lambda: cuts(stack) > broken))
    before = stored(audit(stack))
    asyncio.run(eventually(lambda: stored(audit(stack)) > before + UNDER_WAY))


def test_broker_is_published_with_tls_only_and_asks_for_a_certificate(stack: Stack, certificates: Path) -> None:
    ports = stack.container("mosquitto")["NetworkSettings"]["Ports"]
    assert {inner: [each["HostIp"] for each in outer] for inner, outer in ports.items() if outer} == {
        "8883/tcp": ["127.0.0.1"]
    }
    password = stack.secrets()["broker, user viewer"]

    async def connect(name: str | None) -> None:
        context = ssl.create_default_context(cafile=certificates / "ca.pem")
        if name is not None:
            context.load_cert_chain(certificates / f"{name}.pem", certificates / f"{name}.key")
        login = {"username": "viewer", "password": password}
        async with aiomqtt.Client("127.0.0.1", stack.mqtts_port, tls_context=context, timeout=10, **login):  # type: ignore[arg-type]  # all of them are text
            pass

    asyncio.run(connect("fleet"))
    with pytest.raises(aiomqtt.MqttError):
        asyncio.run(connect(None))


@pytest.mark.parametrize("service", ["chaos", "chaos-link", "gateway", "mosquitto"])
def test_container_of_a_profile_may_do_no_more_than_it_must(stack: Stack, service: str) -> None:
    host = stack.container(service)["HostConfig"]
    assert host["ReadonlyRootfs"]
    assert host["CapDrop"] == ["ALL"]
    assert not host["CapAdd"]
    limits = yaml.safe_load((ROOT / "deploy/compose/pi.yaml").read_text())["services"]
    if service in limits:
        assert host["Memory"] == int(limits[service]["mem_limit"].removesuffix("m")) * 2**20
