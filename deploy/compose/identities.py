# ruff: noqa: INP001  # scripts of the containers, not a room
"""Who is in the stack, and where each one's secrets lie: one folder for each user, readable by that user alone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from contract.domains import DOMAINS
from simulator.fleet import device_names
from simulator.settings import load

FLEETS: Final = (Path("/etc/edgefleet/fleet.yaml"), Path("/etc/edgefleet/chaos.yaml"))
"""Fleets whose devices get a login."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Secret:
    """One random value."""

    file: str
    """Path below the folder of secrets; its first part is the service that may read it."""
    variable: str
    """Variable of ``.env`` that wins over a random value."""
    what: str
    """What it is for, to people."""


OWNERS: Final = {
    "mosquitto": 1883,
    "influxdb": 1000,
    "grafana": 472,
    "gateway": 10001,
    "simulator": 10002,
    "console": 10003,
    "viewer": 0,
}
"""User and group id of each service; these are fixed in its image."""

FOLDERS: Final = {"gateway": "edgefleet", "console": "edgefleet-console"}
"""Volume of each service below ``/var/lib``; the gateway's group, which both are in, may read both."""

SECRETS: Final = (
    Secret(file="gateway/mqtt.password", variable="EDGEFLEET_MQTT_GATEWAY_PASSWORD", what="broker, user gateway"),
    Secret(file="viewer/mqtt.password", variable="EDGEFLEET_MQTT_VIEWER_PASSWORD", what="broker, user viewer"),
    Secret(file="mosquitto/health.password", variable="EDGEFLEET_MQTT_HEALTH_PASSWORD", what="broker, user health"),
    Secret(file="influxdb/admin.password", variable="EDGEFLEET_INFLUX_PASSWORD", what="InfluxDB, user admin"),
    Secret(file="influxdb/admin.token", variable="EDGEFLEET_INFLUX_TOKEN", what="InfluxDB, all-access token"),
    Secret(file="grafana/admin.password", variable="EDGEFLEET_GRAFANA_PASSWORD", what="Grafana, user admin"),
    Secret(file="console/operator.password", variable="EDGEFLEET_CONSOLE_PASSWORD", what="console, operator"),
)
BROKER_USERS: Final = {
    "gateway": "gateway/mqtt.password",
    "viewer": "viewer/mqtt.password",
    "health": "mosquitto/health.password",
}
"""Where the password of each user of the broker that is no device lies."""
DEVICES: Final = "simulator/devices"
"""Logins of devices: a line ``SITE/DOMAIN/DEVICE:PASSWORD`` each."""
PASSWORDS: Final = "mosquitto/passwords"
"""The broker's own file: hashes only."""


def fleet_devices(files: tuple[Path, ...] = FLEETS) -> list[str]:
    """Return the user names of the simulated devices."""
    return [
        f"{group.site}/{group.domain}/{name}"
        for file in files
        if file.is_file()
        for group in load(file).groups
        for name in device_names(DOMAINS[group.domain], group.devices)
    ]
