"""Reason codes of MQTT 5 in words; the five return codes of MQTT 3.1.1 are read as their MQTT 5 equals.

Source: MQTT Version 5.0, table 2-6, and MQTT Version 3.1.1, table 3.1.
"""

from __future__ import annotations

from typing import Final

SUCCESS: Final = 0x00
UNSPECIFIED_ERROR: Final = 0x80
MALFORMED_PACKET: Final = 0x81
UNSUPPORTED_PROTOCOL_VERSION: Final = 0x84
SESSION_TAKEN_OVER: Final = 0x8E
TOPIC_NAME_INVALID: Final = 0x90
PACKET_TOO_LARGE: Final = 0x95
RETAIN_NOT_SUPPORTED: Final = 0x9A
QOS_NOT_SUPPORTED: Final = 0x9B

_TEXTS: Final = {
    0x00: "success",
    0x04: "disconnect with will message",
    0x10: "no matching subscribers",
    0x80: "unspecified error",
    0x81: "malformed packet",
    0x82: "protocol error",
    0x83: "implementation specific error",
    0x84: "protocol version not supported",
    0x85: "client identifier not valid",
    0x86: "bad user name or password",
    0x87: "not authorized",
    0x88: "server unavailable",
    0x89: "server busy",
    0x8A: "banned",
    0x8B: "server shutting down",
    0x8C: "bad authentication method",
    0x8D: "keep-alive timeout",
    0x8E: "session taken over by another client with the same client id",
    0x8F: "topic filter invalid",
    0x90: "topic name invalid",
    0x91: "packet identifier in use",
    0x93: "receive maximum exceeded",
    0x94: "topic alias invalid",
    0x95: "packet too large",
    0x96: "message rate too high",
    0x97: "quota exceeded",
    0x98: "administrative action",
    0x99: "payload format invalid",
    0x9A: "retain not supported",
    0x9B: "QoS not supported",
    0x9C: "use another server",
    0x9D: "server moved",
    0x9E: "shared subscriptions not supported",
    0x9F: "connection rate exceeded",
    0xA0: "maximum connect time",
    0xA1: "subscription identifiers not supported",
    0xA2: "wildcard subscriptions not supported",
}

TRANSIENT: Final = frozenset({0x80, 0x83, 0x88, 0x89, 0x8B, 0x96, 0x97, 0x98, 0x9C, 0x9F})
"""Reasons that pass by themselves: the same request may succeed later."""

CONNACK_311: Final = {0: SUCCESS, 1: UNSUPPORTED_PROTOCOL_VERSION, 2: 0x85, 3: 0x88, 4: 0x86, 5: 0x87}
"""Return codes of an MQTT 3.1.1 CONNACK, as reason codes of MQTT 5."""


def reason_text(code: int, detail: str | None = None) -> str:
    """Write a reason code in words, with the broker's own words where it sent some."""
    text = f"{_TEXTS.get(code, 'unknown reason')} (0x{code:02x})"
    return f"{text}: {detail}" if detail else text
