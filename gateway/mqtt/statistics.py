"""What a session counted."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionStatistics:
    """Counts since the session was opened."""

    connected: bool
    connected_since_s: float | None
    """Unix seconds; ``None`` when not connected."""
    protocol: str | None
    """MQTT version of the connection that is up: 3.1.1 or 5."""
    connects: int
    """Connections that came up: reconnects plus one."""
    failures: int
    """Attempts refused or unanswered, and connections lost."""
    malformed: int
    """Connections ended because the broker sent something that is not MQTT."""
    messages: int
    received_bytes: int
    """Bytes of socket reads that carried messages."""
    acknowledged: int
    """QoS 1 messages acknowledged to the broker."""
    oversized: int
    """Messages passed over because they were longer than ``maximum_packet_bytes``."""
    published: int
    """Messages of ours that the broker acknowledged."""
    unpublished: int
    """Messages of ours that it did not acknowledge yet."""
    buffered_messages: int
    """Messages read and not yet taken."""
    pauses: int
    """Times that reading stopped because the buffer was full."""
