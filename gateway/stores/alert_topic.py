"""The retained alert topic of each device as a store: whoever looks sees what is wrong there now."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from contract import codec, topics
from contract.messages import Alert, Severity
from contract.topics import DeviceId
from gateway.ports import Broker, Outputs, Refused

_CLEAR: Final = b""
_RANK: Final[dict[Severity, int]] = {"info": 0, "warning": 1, "critical": 2}


class AlertTopicStore:
    """Implements :class:`gateway.ports.Store` for the alerts lane: publishes each device's most severe firing alert.

    ``firing`` is what fires already when the gateway starts (:meth:`LocalReader.open_alerts`): with it, one of two
    alerts may resolve after a restart without the other's being cleared.
    """

    name = "mqtt"

    def __init__(self, broker: Broker, firing: Iterable[Alert] = ()) -> None:
        """Remember what fires; nothing is published, the broker has it retained."""
        self._broker = broker
        self._firing: dict[DeviceId, dict[str, Alert]] = {}
        for alert in firing:
            self._take(alert)

    async def write(self, batch: Sequence[Outputs]) -> list[Refused]:
        """Publish what stands on the topic of every device that the batch has an alert of; waits for the broker."""
        # a dictionary keeps the devices in order, and each is published once, as it is after the whole batch
        changed = dict.fromkeys(self._take(alert) for outputs in batch for alert in outputs.alerts)
        for device in changed:
            await self._broker.publish(topics.alert(device), self._payload(device), retain=True)
        return []

    async def close(self) -> None:
        """Do nothing: the broker belongs to the wiring."""

    def _take(self, alert: Alert) -> DeviceId:
        device = DeviceId(alert.site, alert.domain, alert.device)
        firing = self._firing.setdefault(device, {})
        if alert.state == "firing":
            firing[alert.id] = alert
        else:
            firing.pop(alert.id, None)
        return device

    def _payload(self, device: DeviceId) -> bytes:
        firing = self._firing[device]
        if not firing:
            del self._firing[device]
            return _CLEAR
        return codec.encode_alert(max(firing.values(), key=_weight))


def _weight(alert: Alert) -> tuple[int, float, str]:
    """Order alerts of a device: by severity, then the newer, then whatever is the same in every run."""
    return _RANK[alert.severity], alert.onset_s, alert.id
