"""The fleet at one moment: how each device is, tiles of sites and domains, what changed. Pure.

How a device is, worst first: ``alerting`` (a model's alert fires), ``broken`` (a sensor rule fires), ``silent``,
``online``. A broken sensor never reads as an ill subject: only a model's alert makes a device ``alerting``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from contract.messages import Alert, Severity
from contract.topics import DeviceId

Status = Literal["alerting", "broken", "silent", "online"]
STATUSES: Final[tuple[Status, ...]] = ("alerting", "broken", "silent", "online")
"""Worst first."""
WORDS: Final[Mapping[Status, str]] = {
    "alerting": "alerting",
    "broken": "sensor broken",
    "silent": "silent",
    "online": "online",
}
SILENT: Final = "silent"
"""The sensor rule that says that nothing arrives."""
_SEVERITIES: Final[Mapping[Severity, int]] = {"critical": 0, "warning": 1, "info": 2}


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """One device now."""

    id: DeviceId
    status: Status
    alerts: tuple[Alert, ...]
    """What fires, most severe first."""
    stored: int
    """Samples stored so far."""
    lost: int
    last_s: float
    """Newest measurement, Unix seconds of the device."""

    @property
    def why(self) -> str:
        """The reason of its worst alert, in words."""
        return self.alerts[0].summary if self.alerts else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tile:
    """One domain at one site."""

    site: str
    domain: str
    counts: Mapping[Status, int]
    stored: int
    last_s: float

    @property
    def devices(self) -> int:
        """Number of devices."""
        return sum(self.counts.values())

    @property
    def worst(self) -> Status:
        """How its worst device is."""
        return next((status for status in STATUSES if self.counts.get(status)), "online")


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """What the ledger says of a device, as far as the fleet's page needs it."""

    id: DeviceId
    stored: int
    lost: int
    last_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """All devices, those that need somebody first."""

    devices: tuple[Device, ...] = ()
    tiles: tuple[Tile, ...] = ()
    by_id: Mapping[DeviceId, Device] = field(default_factory=dict)

    @property
    def counts(self) -> Counter[Status]:
        """Devices by how they are."""
        return Counter(device.status for device in self.devices)


def status(alerts: Iterable[Alert]) -> Status:
    """Return how a device is on which these alerts fire."""
    kinds = {_kind(alert) for alert in alerts}
    return next((one for one in STATUSES if one in kinds), "online")


def identity(alert: Alert) -> DeviceId:
    """Return the device of an alert."""
    return DeviceId(alert.site, alert.domain, alert.device)


def fleet(known: Iterable[DeviceId], lines: Iterable[Line], firing: Iterable[Alert]) -> Fleet:
    """Put together what the store knows."""
    alerts: dict[DeviceId, list[Alert]] = {}
    for alert in firing:
        alerts.setdefault(identity(alert), []).append(alert)
    by_line = {line.id: line for line in lines}
    everyone = by_line.keys() | alerts.keys() | set(known)
    devices = sorted(
        (_device(who, by_line.get(who), alerts.get(who, ())) for who in everyone),
        key=_order,
    )
    return Fleet(devices=tuple(devices), tiles=_tiles(devices), by_id={device.id: device for device in devices})


def search(devices: Sequence[Device], words: str, *, only: Status | None = None) -> list[Device]:
    """Return the devices whose name, status or alerts hold every word, in the same order."""
    wanted = words.lower().split()
    return [
        device
        for device in devices
        if (only is None or device.status == only) and (not wanted or all(word in _text(device) for word in wanted))
    ]


def _device(who: DeviceId, line: Line | None, alerts: Sequence[Alert]) -> Device:
    ordered = tuple(sorted(alerts, key=lambda alert: (STATUSES.index(_kind(alert)), _rank(alert), alert.onset_s)))
    return Device(
        id=who,
        status=status(ordered),
        alerts=ordered,
        stored=line.stored if line else 0,
        lost=line.lost if line else 0,
        last_s=line.last_s if line else float("nan"),
    )


def _order(device: Device) -> tuple[int, int, str, str, str]:
    who = device.id  # its parts: comparing tuples of text is three times as quick as comparing identities
    return STATUSES.index(device.status), _severity(device), who.site, who.domain, who.device


def _kind(alert: Alert) -> Status:
    if alert.model_version is not None:
        return "alerting"
    return "silent" if alert.rule == SILENT else "broken"


def _rank(alert: Alert) -> int:
    return _SEVERITIES[alert.severity]


def _severity(device: Device) -> int:
    return _rank(device.alerts[0]) if device.alerts else len(_SEVERITIES)


def _tiles(devices: Iterable[Device]) -> tuple[Tile, ...]:
    groups: dict[tuple[str, str], list[Device]] = {}
    for device in devices:
        groups.setdefault((device.id.site, device.id.domain), []).append(device)
    return tuple(
        Tile(
            site=site,
            domain=domain,
            counts=Counter(device.status for device in members),
            stored=sum(device.stored for device in members),
            last_s=max(device.last_s for device in members),
        )
        for (site, domain), members in sorted(groups.items())
    )


def _text(device: Device) -> str:
    who = device.id
    alerts = " ".join(f"{alert.rule} {alert.severity}" for alert in device.alerts)
    return f"{who.site}/{who.domain}/{who.device} {WORDS[device.status]} {alerts}".lower()
