"""Errors of the MQTT client.

MqttError
├── MalformedPacketError        bytes from the broker that are not MQTT, or not what was agreed with it
├── SettingsError               session settings that cannot work; every fault in one message
├── SessionClosedError          the session was used after it was closed, or closed while it was waited for
├── ConnectionLostError         no connection now: the session tries again by itself
│   ├── UnreachableError        nobody answers at the address, or not in time
│   ├── PeerSilentError         the broker stopped answering on an open connection
│   └── DisconnectedError       the broker ended the connection and said why (MQTT 5)
└── RefusedError                the broker said no, with a reason code
    ├── ConnectRefusedError     to the connection
    ├── SubscribeRefusedError   to a topic filter
    └── PublishRefusedError     to a message
"""

from __future__ import annotations

from gateway.mqtt.reasons import TRANSIENT, reason_text


class MqttError(Exception):
    """Something went wrong between this client and its broker."""


class MalformedPacketError(MqttError):
    """Bytes from the broker are not MQTT, or not what was agreed with it."""


class SettingsError(MqttError, ValueError):
    """Session settings cannot work; the message names every fault."""


class SessionClosedError(MqttError):
    """The session is closed."""


class ConnectionLostError(MqttError):
    """There is no connection now; the session tries again by itself."""


class UnreachableError(ConnectionLostError):
    """Nobody answers at the broker's address, or not in time."""


class PeerSilentError(ConnectionLostError):
    """The broker stopped answering on a connection that looks open."""


class DisconnectedError(ConnectionLostError):
    """The broker ended the connection and said why."""

    def __init__(self, reason_code: int, detail: str | None = None) -> None:
        """Keep the reason code of the DISCONNECT packet and the broker's own words."""
        super().__init__(f"the broker disconnected this client: {reason_text(reason_code, detail)}")
        self.reason_code = reason_code


class RefusedError(MqttError):
    """The broker said no."""

    def __init__(self, what: str, reason_code: int, detail: str | None = None) -> None:
        """Keep what was refused, the reason code, and the broker's own words."""
        super().__init__(f"{what} refused: {reason_text(reason_code, detail)}")
        self.reason_code = reason_code

    @property
    def transient(self) -> bool:
        """Whether the same request may succeed later."""
        return self.reason_code in TRANSIENT


class ConnectRefusedError(RefusedError):
    """The broker refused the connection."""


class SubscribeRefusedError(RefusedError):
    """The broker refused a topic filter."""


class PublishRefusedError(RefusedError):
    """The broker refused a message, or would."""
