"""Alerts and device health in Home Assistant, by themselves: MQTT discovery (home-assistant.io/integrations/mqtt).

Every device is announced once, retained, with two binary sensors: *Problem* (an alert fires; its words are attributes)
and *Connectivity* (off while it is silent). Their state is one small retained message of its own. The gateway is a
device, too; its figures come from its health topic and expire when that falls silent.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from contract import topics
from contract.domains import Domain
from contract.messages import Alert, DeviceState
from contract.points import GATEWAY
from contract.topics import DeviceId
from gateway.ports import Broker, Outputs, Refused
from gateway.sensors import SILENT
from gateway.settings import HomeAssistantSettings

_ORIGIN: Final = {"name": "edgefleet"}
_FIGURES: Final = (
    ("messages_per_s", "Messages", "1/s", "measurement"),
    ("alerts_open", "Open alerts", None, "measurement"),
    ("devices", "Devices", None, "measurement"),
    ("quarantined_total", "Quarantined messages", None, "total_increasing"),
    ("outbox_age_s", "Age of the outbox", "s", "measurement"),
)
"""Fields of the health report that are shown: name for people, unit, state class."""


class HomeAssistantStore:
    """Implements :class:`gateway.ports.Store` for alerts and points: each device that has any is announced.

    ``known`` and ``firing`` are what the gateway knows when it starts; they are announced with the first write.
    """

    name = "home assistant"

    def __init__(
        self,
        broker: Broker,
        settings: HomeAssistantSettings,
        gateway: str,
        domains: Mapping[str, Domain],
        *,
        known: Iterable[DeviceId] = (),
        firing: Iterable[Alert] = (),
    ) -> None:
        """Remember what there is; nothing is published yet."""
        self._broker, self._settings, self._gateway, self._domains = broker, settings, gateway, domains
        self._firing: dict[DeviceId, dict[str, Alert]] = {}
        self._waiting: dict[DeviceId, None] = dict.fromkeys(known)
        self._announced: set[DeviceId] = set()
        self._introduced = False
        for alert in firing:
            self._waiting[self._take(alert)] = None

    async def write(self, batch: Sequence[Outputs]) -> list[Refused]:
        """Announce devices that are new and publish the state of those that changed; waits for the broker."""
        if not self._introduced:
            for topic, payload in self._introduction():
                await self._broker.publish(topic, payload, retain=True)
            self._introduced = True
        changed = self._waiting | dict.fromkeys(self._take(alert) for outputs in batch for alert in outputs.alerts)
        changed |= dict.fromkeys(device for device in self._seen(batch) if device not in self._announced)
        for device in changed:
            if device not in self._announced:
                for topic, payload in self._announcement(device):
                    await self._broker.publish(topic, payload, retain=True)
                self._announced.add(device)
            await self._broker.publish(self._state_topic(device), self._state(device), retain=True)
        self._waiting = {}
        return []

    async def close(self) -> None:
        """Do nothing: the broker belongs to the wiring."""

    def _seen(self, batch: Sequence[Outputs]) -> Iterator[DeviceId]:
        for outputs in batch:
            for point in outputs.points:
                if point.measurement in self._domains:
                    yield DeviceId(point.tags["site"], point.measurement, point.tags["device"])

    def _take(self, alert: Alert) -> DeviceId:
        device = DeviceId(alert.site, alert.domain, alert.device)
        firing = self._firing.setdefault(device, {})
        if alert.state == "firing":
            firing[alert.id] = alert
        else:
            firing.pop(alert.id, None)
        return device

    def _state(self, device: DeviceId) -> bytes:
        firing = sorted(self._firing.get(device, {}).values(), key=lambda alert: (alert.onset_s, alert.id))
        silent = any(alert.rule == SILENT for alert in firing)
        others = [alert for alert in firing if alert.rule != SILENT]
        return msgspec.json.encode(
            {
                "problem": "ON" if others else "OFF",
                "connected": "OFF" if silent else "ON",
                "rules": [alert.rule for alert in firing],
                "severity": others[-1].severity if others else None,
                "summary": "; ".join(alert.summary for alert in firing),
            }
        )

    def _announcement(self, device: DeviceId) -> Iterator[tuple[str, bytes]]:
        """Yield topic and payload of each sensor of a device."""
        about = {
            "identifiers": [_identity(device)],
            "name": device.device,
            "model": self._domains[device.domain].device if device.domain in self._domains else device.domain,
            "suggested_area": device.site,
            "via_device": self._own_identity,
        }
        shared = self._shared(about) | {"state_topic": self._state_topic(device)}
        yield (
            self._config("binary_sensor", f"{_identity(device)}_problem"),
            msgspec.json.encode(
                shared
                | {
                    "name": "Problem",
                    "unique_id": f"edgefleet_{_identity(device)}_problem",
                    "device_class": "problem",
                    "value_template": "{{ value_json.problem }}",
                    "json_attributes_topic": self._state_topic(device),
                }
            ),
        )
        yield (
            self._config("binary_sensor", f"{_identity(device)}_connectivity"),
            msgspec.json.encode(
                shared
                | {
                    "name": "Connectivity",
                    "unique_id": f"edgefleet_{_identity(device)}_connectivity",
                    "device_class": "connectivity",
                    "entity_category": "diagnostic",
                    "value_template": "{{ value_json.connected }}",
                }
            ),
        )

    def _introduction(self) -> Iterator[tuple[str, bytes]]:
        """Yield topic and payload of the gateway's own sensors."""
        about = {"identifiers": [self._own_identity], "name": f"edgefleet {self._gateway}", "model": "gateway"}
        for field, name, unit, state_class in _FIGURES:
            stated = {
                "name": name,
                "unique_id": f"{self._own_identity}_{field}",
                "state_topic": topics.gateway(self._gateway, "health"),
                "value_template": f"{{{{ value_json.{field} }}}}",
                "state_class": state_class,
                "expire_after": self._settings.expire_after_s,
                "entity_category": "diagnostic",
            }
            unit_of = {} if unit is None else {"unit_of_measurement": unit}
            payload = msgspec.json.encode(self._shared(about) | stated | unit_of)
            yield self._config("sensor", f"{GATEWAY}_{self._gateway}_{field}"), payload

    def _shared(self, about: Mapping[str, Any]) -> dict[str, Any]:
        """Return what all sensors say: whose they are, and that the gateway's will makes them unavailable."""
        return {
            "device": about,
            "origin": _ORIGIN,
            "availability_topic": topics.gateway(self._gateway, "state"),
            "payload_available": DeviceState.ONLINE.value,
            "payload_not_available": DeviceState.OFFLINE.value,
            "availability_template": "{{ 'online' if value == 'online' else 'offline' }}",
        }

    @property
    def _own_identity(self) -> str:
        return f"edgefleet_{GATEWAY}_{self._gateway}"

    def _config(self, component: str, name: str) -> str:
        return f"{self._settings.prefix}/{component}/edgefleet/{name}/config"

    def _state_topic(self, device: DeviceId) -> str:
        return f"{self._settings.prefix}/binary_sensor/edgefleet/{_identity(device)}/state"


def _identity(device: DeviceId) -> str:
    """Return a device's identity in the letters of a Home Assistant object id; no two share one."""
    return f"{device.site}_{device.domain}_{device.device}"
