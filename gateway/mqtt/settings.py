"""Settings of a session: frozen, checked when built, every fault named at once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from gateway.mqtt.errors import SettingsError
from gateway.mqtt.packets import Announcement
from gateway.mqtt.parser import SMALLEST_LIMIT
from gateway.mqtt.properties import MAXIMUM_REMAINING_LENGTH

Protocol = Literal["auto", "3.1.1", "5"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionSettings:
    """How to reach a broker, what to ask of it, and how much to hold.

    :raises SettingsError: a value is out of its range
    """

    client_id: str
    """Names the persistent session at the broker: fixed, and unique among its clients. 1 to 23 of ``[0-9a-zA-Z]`` are
    taken by every broker, up to 65535 bytes by most."""
    subscriptions: tuple[str, ...]
    """Topic filters, subscribed with QoS 1 after every connect. May be empty, for a session that only publishes."""
    unsubscribe: tuple[str, ...] = ()
    """Topic filters of earlier settings, which the persistent session would go on to hold."""
    host: str = "127.0.0.1"
    """Name or address of the broker."""
    port: int = 1883
    """TCP port, 1 … 65535; 8883 is usual with TLS."""
    unix_path: str | None = None
    """Path of a Unix socket, used in place of host and port."""
    protocol: Protocol = "auto"
    """MQTT version; ``auto`` tries 5 first and falls back to 3.1.1 when the broker refuses it, closes the connection,
    or says nothing for a fifth of ``connect_timeout_s`` (amqtt does that: say 3.1.1 where it is the broker)."""
    username: str | None = None
    """User name, or ``None``."""
    password: str | None = field(default=None, repr=False)
    """Password, or ``None``; never shown in logs."""
    will: Announcement | None = None
    """What the broker publishes for this client when the connection breaks."""
    birth: Announcement | None = None
    """What is published after every connect."""
    farewell: Announcement | None = None
    """What is published before a clean disconnect, which withholds the will."""
    session_expiry_s: int = 7 * 24 * 3600
    """How long the broker keeps session and backlog while this client is away, seconds, 0 … 4294967295 (for ever).
    MQTT 5 only: over 3.1.1 the broker's own setting holds."""
    keep_alive_s: float = 30.0
    """A broker that says nothing for half of this, though asked, is given up; seconds, above 0, up to 65535. The broker
    gives up this client after one and a half times the same, rounded up to whole seconds."""
    connect_timeout_s: float = 10.0
    """Time for address look-up, TCP, TLS, CONNACK and SUBACK together, seconds, above 0."""
    close_timeout_s: float = 2.0
    """Longest wait for the broker to take the farewell, seconds, 0 or more."""
    backoff_base_s: float = 0.5
    """Longest wait before the first retry, seconds, above 0; doubles with every failure. Each wait is drawn evenly from
    0 to this (full jitter), so that a fleet of gateways does not return in step."""
    backoff_max_s: float = 30.0
    """Where the doubling ends, seconds, not below ``backoff_base_s``. A connection that lived longer starts it anew."""
    receive_maximum: int = 4000
    """QoS 1 messages that the broker may have sent unacknowledged, 1 … 65535: large enough for all that comes while one
    batch is being made durable. MQTT 5 only, where it also overrides Mosquitto's ``max_inflight_messages``; over 3.1.1
    that setting of the broker holds (20 by default: raise it)."""
    publish_inflight: int = 100
    """Messages of ours that may be unacknowledged, 1 … 65534; the broker's own receive maximum holds if lower."""
    maximum_packet_bytes: int = 256 * 1024
    """Longest packet taken, bytes, 128 … 268435455. MQTT 5 brokers are told and drop longer ones; what a 3.1.1 broker
    sends in spite of it is passed over, counted, and acknowledged so that it does not come again."""
    read_every_s: float = 0.04
    """Shortest time between two reads of the socket, seconds, 0 or more: what comes meanwhile is read, parsed and made
    durable together. A broker writes a few messages at a time, and a read costs as much as ten of them. Above some
    6,000 messages a second it grows with the rate, up to three times: a batch has a cost of its own."""
    batch_messages: int = 5000
    """A delivery takes no further socket read once it holds this many messages, 1 or more."""
    buffer_messages: int = 20_000
    """Messages held for ``receive``, 1 or more. When full, the socket is not read: the broker holds the backlog.
    Goes over by at most one socket read (256 KiB)."""
    buffer_bytes: int = 16 * 1024 * 1024
    """Likewise in bytes as they came from the socket, 1 or more."""

    def __post_init__(self) -> None:
        """Refuse what cannot work."""
        faults = list(self._faults())
        if faults:
            raise SettingsError("MQTT session settings refused:\n  " + "\n  ".join(faults))

    def _faults(self) -> Iterator[str]:
        if not 1 <= len(self.client_id.encode()) <= 65535:
            yield "client_id must have 1 to 65535 bytes: a persistent session needs a name"
        for name, low, high in _RANGES:
            value = getattr(self, name)
            if not low <= value <= high:
                yield f"{name} = {value!r} is not in {low} … {high}"
        if self.backoff_max_s < self.backoff_base_s:
            yield f"backoff_max_s = {self.backoff_max_s} is below backoff_base_s = {self.backoff_base_s}"
        if self.password is not None and self.username is None:
            yield "password without username, which MQTT 3.1.1 does not allow"
        for name in ("will", "birth", "farewell"):
            announcement = getattr(self, name)
            if announcement is not None and not valid_topic(announcement.topic):
                yield f"{name}.topic = {announcement.topic!r} is not a topic: 1 … 65535 bytes, no '+', '#' or U+0000"
        for topic_filter in (*self.subscriptions, *self.unsubscribe):
            if not valid_filter(topic_filter):
                yield f"subscription {topic_filter!r} is not a filter: '+' is one whole level, '#' all that follow"


_SOON: float = 1e-3
_RANGES: tuple[tuple[str, float, float], ...] = (
    ("port", 1, 65535),
    ("session_expiry_s", 0, 0xFFFFFFFF),
    ("keep_alive_s", _SOON, 65535),
    ("connect_timeout_s", _SOON, 3600),
    ("close_timeout_s", 0, 3600),
    ("backoff_base_s", _SOON, 3600),
    ("backoff_max_s", _SOON, 86400),
    ("receive_maximum", 1, 65535),
    ("publish_inflight", 1, 65534),
    ("read_every_s", 0, 1),
    ("maximum_packet_bytes", SMALLEST_LIMIT, MAXIMUM_REMAINING_LENGTH),
    ("batch_messages", 1, float("inf")),
    ("buffer_messages", 1, float("inf")),
    ("buffer_bytes", 1, float("inf")),
)


def valid_topic(topic: str) -> bool:
    """Tell whether a message may be published to a topic."""
    return _valid_text(topic) and "+" not in topic and "#" not in topic


def valid_filter(topic_filter: str) -> bool:
    """Tell whether a topic filter may be subscribed."""
    levels = topic_filter.split("/")
    wildcards_stand_alone = all(len(level) == 1 or not {"+", "#"} & set(level) for level in levels)
    return _valid_text(topic_filter) and wildcards_stand_alone and "#" not in levels[:-1]


def _valid_text(text: str) -> bool:
    try:
        return 1 <= len(text.encode()) <= 65535 and "\0" not in text
    except UnicodeEncodeError:
        return False
