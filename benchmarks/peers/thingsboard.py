"""ThingsBoard IoT Gateway: its MQTT connector in, its own MQTT out. It derives nothing and speaks no line protocol.

It forwards every sample in JSON to what it takes for ThingsBoard: here, a topic of the same broker.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from contract import topics


def install(folder: Path) -> None:
    """Install it from PyPI into an environment of its own."""
    subprocess.run([sys.executable, "-m", "venv", str(folder / "venv")], check=True)
    subprocess.run([folder / "venv/bin/python", "-m", "pip", "install", "-q", "thingsboard-gateway"], check=True)


def version(folder: Path) -> str:
    """Return which one was installed."""
    code = "from importlib.metadata import version; print(version('thingsboard-gateway'))"
    found = subprocess.run([folder / "venv/bin/python", "-c", code], check=True, capture_output=True, text=True)
    return f"ThingsBoard IoT Gateway {found.stdout.strip()}"


def command(folder: Path, broker_port: int, sink_port: int) -> list[str]:
    """Write its configuration; return how to run it."""
    del sink_port
    config = folder / "config"
    config.mkdir(exist_ok=True)
    gateway = {
        "thingsboard": {
            "host": "127.0.0.1",
            "port": broker_port,
            "remoteShell": False,
            "remoteConfiguration": False,
            "qos": 1,
            "security": {"type": "accessToken", "accessToken": "bench"},
        },
        "storage": {"type": "memory", "read_records_count": 1000, "max_records_count": 1_000_000},
        "connectors": [{"name": "in", "type": "mqtt", "configuration": "mqtt.json"}],
    }
    channels = ("vibration_1_g", "vibration_2_g", "current_a", "pressure_bar")
    device = {
        "deviceNameExpressionSource": "topic",
        "deviceNameExpression": r"(?<=fleet/v1/).*(?=/telemetry)",
        "deviceProfileExpressionSource": "constant",
        "deviceProfileExpression": "pump",
    }
    series = [{"type": "double", "key": name, "value": f"${{{name}}}"} for name in channels]
    mapping = {
        "topicFilter": topics.ALL_TELEMETRY,
        "subscriptionQos": 1,
        "converter": {"type": "json", "deviceInfo": device, "attributes": [], "timeseries": series},
    }
    inbound = {
        "broker": {
            "host": "127.0.0.1",
            "port": broker_port,
            "clientId": "tb-in",
            "version": 5,
            "maxMessageNumberPerWorker": 100,
            "maxNumberOfWorkers": 100,
            "security": {"type": "anonymous"},
        },
        "mapping": [mapping],
        "requestsMapping": {
            "connectRequests": [],
            "disconnectRequests": [],
            "attributeRequests": [],
            "attributeUpdates": [],
            "serverSideRpc": [],
        },
    }
    logs = {
        "version": 1,
        "disable_existing_loggers": False,
        "handlers": {"out": {"class": "logging.StreamHandler", "level": "WARNING"}},
        "root": {"level": "WARNING", "handlers": ["out"]},
    }
    for name, content in (("tb_gateway", gateway), ("mqtt", inbound), ("logs", logs)):
        (config / f"{name}.json").write_text(json.dumps(content))
    return ["env", f"TB_GW_CONFIG_DIR={config}/", str(folder / "venv/bin/thingsboard-gateway")]
