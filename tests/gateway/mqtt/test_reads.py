"""When the socket is read again: at once after a full read, after a breath where a read has emptied it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gateway.mqtt.connection import Connection
from gateway.mqtt.packets import PubAck, Version
from gateway.mqtt.parser import Read
from gateway.mqtt.settings import SessionSettings
from simulator import wire


class Taker:
    """Takes what is read."""

    def on_read(self, connection: Connection, read: Read, size_bytes: int) -> None:
        """Take it."""

    def on_puback(self, puback: PubAck) -> None:
        """Nothing was sent."""


class Transport(asyncio.Transport):
    """Counts how often reading was paused."""

    def __init__(self) -> None:
        """Start at nothing."""
        super().__init__()
        self.paused = 0

    def pause_reading(self) -> None:
        """Count."""
        self.paused += 1

    def is_closing(self) -> bool:
        """Tell that it is open."""
        return False

    def write(self, data: Any) -> None:
        """Send it nowhere."""


@pytest.mark.parametrize(("messages", "pauses"), [(1, 1), (2000, 0)])
async def test_a_full_read_is_followed_by_another_at_once(messages: int, pauses: int) -> None:
    """Else one read of 256 kB in 40 ms would be all that a gateway takes."""
    connection = Connection(SessionSettings(client_id="c", subscriptions=()), Version.V311, Taker())
    transport = Transport()
    connection.connection_made(transport)
    connection.established = True
    connection.data_received((wire.publish_head("t", 200) + b"\0\1" + bytes(200)) * messages)
    assert transport.paused == pauses
    if connection._breath is not None:
        connection._breath.cancel()
