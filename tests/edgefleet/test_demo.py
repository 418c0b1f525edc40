"""The demo: what it sets up, and one small run of it as a user starts it."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from pathlib import Path

from contract.domains import DOMAINS
from contract.messages import Alert, Sample
from contract.topics import DeviceId
from edgefleet.brokers import RunningBroker
from edgefleet.demo import DemoOptions, PublishTimes, fleet_settings, write_gateway_settings
from gateway.settings_file import load
from gateway.stores.reader import StoredAlert

BOUND_S = 50.0
KEYS = ("published", "stored", "lost", "quarantined", "windows", "inferences", "alerts", "truth", "latency_ms")


def test_devices_are_spread_over_all_domains() -> None:
    groups = fleet_settings(DemoOptions(devices=42), "mqtt://127.0.0.1").groups
    assert {group.domain for group in groups} == set(DOMAINS)
    assert sorted(group.devices for group in groups) == [10, 10, 11, 11]


def test_history_is_bounded_by_time_and_by_samples() -> None:
    """A day of what measures each minute, an hour of what measures each second."""
    groups = {group.domain: group for group in fleet_settings(DemoOptions(), "mqtt://127.0.0.1").groups}
    assert (groups["industrial"].history_s, groups["industrial"].speed) == (3600.0, 1.0)
    assert (groups["agriculture"].history_s, groups["agriculture"].speed) == (86400.0, 60.0)


def test_the_settings_of_the_gateway_hold(tmp_path: Path) -> None:
    settings = load(write_gateway_settings(tmp_path, RunningBroker(kind="amqtt", port=12345, pid=1)))
    assert (settings.broker.host, settings.broker.port, settings.state_dir) == ("127.0.0.1", 12345, tmp_path)


def test_latency_runs_from_the_first_sending_of_the_deciding_sample() -> None:
    """Firing and resolving alike; an alert whose deciding sample lies in the history counts for nothing."""
    device = DeviceId("s", "industrial", "pump-1")
    times = PublishTimes()
    sample = Sample(ts=100.0, seq=1, values={})
    times.note(device, [sample], 5000.0)
    times.note(device, [sample], 5009.0)

    def stored(trigger_s: float, state: str = "firing") -> StoredAlert:
        alert = Alert(
            id="a",
            site="s",
            domain="industrial",
            device="pump-1",
            rule="anomaly",
            severity="warning",
            state="firing" if state == "firing" else "resolved",
            onset_s=0.0,
            at_s=0.0,
            trigger_s=trigger_s,
            score=1.0,
            summary="",
        )
        return StoredAlert(alert=alert, stored_s=5000.25)

    assert times.delays_s([stored(100.0), stored(99.0), stored(100.0, "resolved")]) == [0.25, 0.25]


async def test_a_small_demo_loses_nothing_and_ends_with_one_line_of_json(tmp_path: Path) -> None:
    """Broker, gateway and fleet as processes; interrupted by Ctrl-C, as most people end it."""
    command = (sys.executable, "-m", "edgefleet", "demo", "--devices", "4", "--history", "10m", "--json")
    folder = tmp_path / "state"
    demo = await asyncio.create_subprocess_exec(
        *(*command, "--for", "10m", "--state", str(folder)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert demo.stdout is not None
    assert demo.stderr is not None
    progress = b""
    async with asyncio.timeout(BOUND_S):
        while b"samples published" not in progress:
            line = await demo.stderr.readline()
            assert line, progress.decode()
            progress += line
        demo.send_signal(signal.SIGINT)
        output, rest = await demo.communicate()
    assert demo.returncode == 0, (progress + rest).decode()
    summary = json.loads(output.splitlines()[-1])
    assert tuple(summary) == KEYS
    assert set(summary["truth"]) <= set(DOMAINS)
    assert summary["published"] >= 600 + 3 * 10
    assert (summary["lost"], summary["quarantined"]) == (0, 0)
    assert summary["stored"] == summary["published"]
    assert (folder / "truth.jsonl").is_file()
    assert b"Traceback" not in progress + rest
