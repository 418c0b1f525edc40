"""Projects that are known by their topics, and topics that need no source at all."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from contract.errors import TopicError
from contract.topics import parse_device_topic

_NOBODYS: Final = re.compile(r"\$.*|homeassistant/.+/config|homeassistant/status|zigbee2mqtt/bridge/.*|gateway/v1/.*")
_SPARKPLUG: Final = re.compile(r"spBv1\.0/[^/]+/[ND](BIRTH|DATA|DEATH|CMD)/.*|spBv1\.0/STATE/.*|STATE/.*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """A project that is known by its topics."""

    name: str
    topic: str
    format: str = "json"
    availability: str | None = None
    time: str | None = None
    seq: str | None = None
    words: tuple[str, ...] = ()
    """Fields that the part ``{field}`` may be, where it shares a level with the device."""
    options: Mapping[str, Any] = field(default_factory=dict)


PROJECTS: Final = (
    Project(
        name="statestream",
        topic="homeassistant/sensor/{device}_{field}/state",
        format="value",
        words=(
            "temperature",
            "humidity",
            "pressure",
            "battery",
            "voltage",
            "current",
            "power",
            "energy",
            "illuminance",
        ),
    ),
    Project(
        name="zigbee2mqtt",
        topic="zigbee2mqtt/{device}",
        availability="zigbee2mqtt/{device}/availability",
        time="last_seen",
    ),
    Project(name="tasmota", topic="tele/{device}/SENSOR", availability="tele/{device}/LWT", time="Time"),
    Project(
        name="shelly", topic="shellies/{device}/sensor/{field}", format="value", availability="shellies/{device}/online"
    ),
    Project(
        name="shelly-gen2",
        topic="{device}/events/rpc",
        time="params.ts",
        availability="{device}/online",
        options={"align": True},
    ),
    Project(name="esphome", topic="{device}/sensor/{field}/state", format="value", availability="{device}/status"),
    Project(
        name="lorawan",
        topic="v3/+/devices/{device}/up",
        time="uplink_message.received_at",
        seq="uplink_message.f_cnt",
    ),
)


def ignored(topic: str) -> str | None:
    """Return why a topic needs no source; ``None`` where it may."""
    try:
        parse_device_topic(topic)
    except TopicError:
        pass
    else:
        return "edgefleet's own messages need no source"
    if _SPARKPLUG.fullmatch(topic):
        return "Sparkplug B: see examples/sources/sparkplug-b.yaml, names stand in the births"
    return "speaks of the system itself" if _NOBODYS.fullmatch(topic) else None
