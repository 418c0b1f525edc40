"""Topics: the only place in which one is written or taken apart.

fleet/v1/{site}/{domain}/{device}/{telemetry|state|alert}
gateway/v1/{gateway}/{state|health|command}
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from sys import intern
from typing import Final, Literal

from contract.errors import TopicError

DeviceLeaf = Literal["telemetry", "state", "alert"]
GatewayLeaf = Literal["state", "health", "command"]

_FLEET: Final = "fleet/v1"
_GATEWAY: Final = "gateway/v1"
_IDENTITY: Final = re.compile(r"[a-z0-9-]{1,64}")
_DEVICE_TOPIC: Final = re.compile(
    _FLEET + r"/([a-z0-9-]{1,64})/([a-z0-9-]{1,64})/([a-z0-9-]{1,64})/(telemetry|state|alert)"
)

ALL_TELEMETRY: Final = f"{_FLEET}/+/+/+/telemetry"
"""Filter for the telemetry of every device."""
ALL_STATES: Final = f"{_FLEET}/+/+/+/state"
"""Filter for the state of every device."""


@dataclass(frozen=True, slots=True, order=True)
class DeviceId:
    """Who a device is: its site, its domain, and its name there."""

    site: str
    domain: str
    device: str

    def __str__(self) -> str:
        """Write the identity as people and the command line do."""
        return f"{self.site}/{self.domain}/{self.device}"


def device_id(site: str, domain: str, device: str) -> DeviceId:
    """Return a checked identity.

    :raises TopicError: a part is not 1-64 of ``[a-z0-9-]``
    """
    for part, text in (("site", site), ("domain", domain), ("device", device)):
        check_identity(part, text)
    return DeviceId(site, domain, device)


def check_identity(part: str, text: str) -> str:
    """Return ``text`` if it may stand as one level of a topic.

    :raises TopicError: it is not 1-64 of ``[a-z0-9-]``
    """
    if _IDENTITY.fullmatch(text) is None:
        message = f"{part} = {text!r} may not stand in a topic. Use 1 to 64 of a-z, 0-9 and '-'."
        raise TopicError(message)
    return text


def parse_device_topic(topic: str) -> tuple[DeviceId, DeviceLeaf]:
    """Take a device's topic apart.

    :raises TopicError: the topic is not one of a device
    """
    match = _DEVICE_TOPIC.fullmatch(topic)
    if match is None:
        message = f"topic {topic!r} is not {_FLEET}/SITE/DOMAIN/DEVICE/telemetry, state or alert"
        raise TopicError(message)
    site, domain, device, leaf = match.groups()
    return DeviceId(intern(site), intern(domain), device), leaf  # type: ignore[return-value]  # the pattern allows these three


def telemetry(device: DeviceId) -> str:
    """Return the topic of a device's readings."""
    return _device_topic(device, "telemetry")


def state(device: DeviceId) -> str:
    """Return the topic of a device's retained state."""
    return _device_topic(device, "state")


def alert(device: DeviceId) -> str:
    """Return the topic of a device's retained alert."""
    return _device_topic(device, "alert")


def gateway(name: str, leaf: GatewayLeaf) -> str:
    """Return a topic of the gateway itself."""
    return f"{_GATEWAY}/{name}/{leaf}"


def _device_topic(device: DeviceId, leaf: DeviceLeaf) -> str:
    return f"{_FLEET}/{device.site}/{device.domain}/{device.device}/{leaf}"
