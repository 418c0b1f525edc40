"""The gateway's own lean MQTT client: MQTT 3.1.1 and 5, QoS 0 and 1, batches in, acknowledgement when told."""

from gateway.mqtt.errors import (
    ConnectionLostError,
    ConnectRefusedError,
    MalformedPacketError,
    MqttError,
    PublishRefusedError,
    RefusedError,
    SessionClosedError,
    SettingsError,
    SubscribeRefusedError,
)
from gateway.mqtt.inbox import Delivery
from gateway.mqtt.packets import Announcement
from gateway.mqtt.session import Session
from gateway.mqtt.settings import SessionSettings
from gateway.mqtt.statistics import SessionStatistics

__all__ = [
    "Announcement",
    "ConnectRefusedError",
    "ConnectionLostError",
    "Delivery",
    "MalformedPacketError",
    "MqttError",
    "PublishRefusedError",
    "RefusedError",
    "Session",
    "SessionClosedError",
    "SessionSettings",
    "SessionStatistics",
    "SettingsError",
    "SubscribeRefusedError",
]
