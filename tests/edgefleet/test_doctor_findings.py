"""The doctor: what it finds on a machine made of files, around a gateway, and how it says so."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from edgefleet.certificates import not_after_s
from edgefleet.doctor import examine, exit_code, render
from edgefleet.findings import Finding, ok
from edgefleet.machine import Machine, machine_findings
from edgefleet.surroundings import broker, certificates, time_zone
from gateway.serve import session_settings
from gateway.settings import BrokerSettings, Settings, SiteSettings, TlsSettings
from tests.brokers import Mosquitto, free_port
from tests.gateway.mqtt.scripted import CONNACK, Peer, scripted

CERTIFICATE = """\
-----BEGIN CERTIFICATE-----
@
-----END CERTIFICATE-----
"""


def raspberry(root: Path, **files: str) -> Machine:
    """Return a Raspberry Pi in good health, but for what is named."""
    well = {
        "sys/devices/platform/soc/soc:firmware/get_throttled": "0",
        "sys/class/thermal/thermal_zone0/temp": "48312",
        "sys/class/rtc/rtc0/name": "rtc-ds1307",
        "sys/block/mmcblk0/device/life_time": "0x01 0x02",
        "proc/meminfo": "MemTotal:        3884296 kB\nMemAvailable:    2812345 kB\n",
        "proc/mounts": "/dev/mmcblk0p2 / ext4 rw,noatime 0 0\nproc /proc proc rw 0 0\n",
    }
    for name, text in (well | files).items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return Machine(root=root, page_bytes=4096, clock_state=lambda: 0)


def bad(machine: Machine, state_dir: Path) -> dict[str, str]:
    """Return severities of all that is not well, by check."""
    found = machine_findings(machine, state_dir)
    return {each.check: each.severity for each in found if each.severity not in ("ok", "info")}


def test_healthy_board_has_nothing_but_ok(tmp_path: Path) -> None:
    assert {each.severity for each in machine_findings(raspberry(tmp_path), tmp_path)} == {"ok"}


@pytest.mark.parametrize(
    ("file", "content", "check", "severity"),
    [
        ("sys/devices/platform/soc/soc:firmware/get_throttled", "50005", "power", "critical"),
        ("sys/devices/platform/soc/soc:firmware/get_throttled", "throttled=0x50000", "power", "warning"),
        ("sys/devices/platform/soc/soc:firmware/get_throttled", "80008", "power", "warning"),
        ("sys/class/thermal/thermal_zone0/temp", "78000", "temperature", "warning"),
        ("sys/class/thermal/thermal_zone0/temp", "84500", "temperature", "critical"),
        ("proc/meminfo", "MemTotal: 1000000 kB\nMemAvailable: 200000 kB\n", "memory", "warning"),
        ("proc/meminfo", "MemTotal: 1000000 kB\nMemAvailable: 50000 kB\n", "memory", "critical"),
        ("sys/block/mmcblk0/device/life_time", "0x08 0x03", "card", "warning"),
        ("sys/block/mmcblk0/device/life_time", "0x0b 0x0a", "card", "critical"),
    ],
)
def test_board_in_trouble_is_told_with_a_remedy(
    tmp_path: Path, file: str, content: str, check: str, severity: str
) -> None:
    machine = raspberry(tmp_path, **{file: content})
    assert bad(machine, tmp_path) == {check: severity}
    assert all(each.remedy for each in machine_findings(machine, tmp_path) if each.severity != "ok")


def test_board_without_a_clock_of_its_own_is_told(tmp_path: Path) -> None:
    raspberry(tmp_path)
    (tmp_path / "sys/class/rtc/rtc0/name").unlink()
    (tmp_path / "sys/class/rtc/rtc0").rmdir()
    machine = Machine(root=tmp_path, page_bytes=16384, clock_state=lambda: 5)
    assert bad(machine, tmp_path) == {"rtc": "warning", "ntp": "warning"}
    assert "16 KiB" in render(list(machine_findings(machine, tmp_path)))


def test_pc_that_says_little_is_not_blamed(tmp_path: Path) -> None:
    machine = Machine(root=tmp_path / "empty", page_bytes=4096, clock_state=lambda: 0)
    assert bad(machine, tmp_path) == {"rtc": "warning"}


def certificate(folder: Path, days: int) -> Path:
    """Return a certificate that signs itself and runs out in some days."""
    made = f"req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days {days} -subj /CN=test"
    file = folder / f"{days}.pem"
    subprocess.run(
        ["openssl", *made.split(), "-keyout", str(folder / "key"), "-out", str(file)], check=True, capture_output=True
    )
    return file


@pytest.mark.parametrize(("days", "severity"), [(400, "ok"), (12, "warning")])
def test_certificates_end_is_read(tmp_path: Path, days: int, severity: str) -> None:
    file = certificate(tmp_path, days)
    settings = Settings(broker=BrokerSettings(tls=TlsSettings(ca_file=file)))
    (finding,) = certificates(settings, time.time())
    assert finding.severity == severity
    assert not_after_s(file.read_text()) == pytest.approx(time.time() + days * 86400, abs=60)
    (later,) = certificates(settings, time.time() + (days + 1) * 86400)
    assert later.severity == "critical"


def test_the_certificate_of_a_bundle_that_ends_first_counts(tmp_path: Path) -> None:
    both = certificate(tmp_path, 400).read_text() + certificate(tmp_path, 12).read_text()
    assert not_after_s(both) == not_after_s((tmp_path / "12.pem").read_text())
    with pytest.raises(ValueError, match="certificate"):
        not_after_s(CERTIFICATE.replace("@", "MAA="))


def test_site_in_utc_on_a_machine_elsewhere_is_asked_about(tmp_path: Path) -> None:
    file = tmp_path / "timezone"
    file.write_text("Europe/Berlin\n")
    assert time_zone(Settings(), file).severity == "warning"
    assert time_zone(Settings(site=SiteSettings(time_zone="Europe/Berlin")), file).severity == "ok"


def test_broker_that_is_not_there_is_critical() -> None:
    (finding,) = broker(Settings(broker=BrokerSettings(port=free_port())), None)
    assert finding.severity == "critical"


@pytest.mark.mosquitto
async def test_broker_is_asked_as_the_gateway_would(tmp_path: Path) -> None:
    """It answers, and its limits are compared."""
    async with Mosquitto(tmp_path / "free", ["max_packet_size 1000"]) as one:
        findings = await asyncio.to_thread(lambda: list(broker(Settings(broker=BrokerSettings(port=one.port)), None)))
    assert {each.check: each.severity for each in findings} == {"broker": "ok", "broker limits": "warning"}


async def test_broker_that_refuses_a_filter_is_told_before_the_gateway_runs_into_it() -> None:
    filters = session_settings(Settings()).subscriptions

    async def refuse(peer: Peer) -> None:
        await peer.expect(0x10)
        peer.send(CONNACK)
        await peer.expect(0x82)
        peer.send(bytes([0x90, 3 + len(filters), 0, 1, 0, *[0x87] * len(filters)]))
        await peer.until_closed()

    async with scripted(refuse) as port:
        (finding,) = await asyncio.to_thread(lambda: list(broker(Settings(broker=BrokerSettings(port=port)), None)))
    assert finding.severity == "critical"
    assert filters[0] in finding.text
    assert "ACL" in finding.remedy


def test_exit_code_is_that_of_the_worst() -> None:
    warning, critical = Finding("a", "warning", ""), Finding("b", "critical", "")
    assert [exit_code(found) for found in ([], [ok("x", "")], [warning], [warning, critical])] == [0, 0, 1, 2]


def test_settings_that_are_refused_are_a_finding(tmp_path: Path) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_text("colour: blue")
    findings = examine(file, raspberry(tmp_path / "root"))
    assert findings[0].severity == "critical"
    assert "colour" in findings[0].text


def test_command_prints_json_and_exits_by_severity(tmp_path: Path) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_text(f"state_dir: {tmp_path}\nbroker: {{port: {free_port()}}}")
    done = subprocess.run(
        [sys.executable, "-m", "edgefleet", "doctor", "-c", str(file), "--json"],
        capture_output=True,
        text=True,
        check=False,
    )
    findings = json.loads(done.stdout)
    assert done.returncode == 2, done.stderr
    assert {"check", "severity", "text", "remedy"} == set(findings[0])
    assert next(each for each in findings if each["check"] == "broker")["severity"] == "critical"
