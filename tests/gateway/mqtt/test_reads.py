"""When the socket is read again: at once after a full read, after a breath where a read has emptied it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
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

    def resume_reading(self) -> None:
        """Read on."""

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


class Timers:
    """An event loop's clock and timers: notes for how long somebody wants to wait."""

    def __init__(self) -> None:
        """Start at nothing."""
        self.now_s = 100.0
        self.waits_s: list[float] = []

    def time(self) -> float:
        """Return seconds."""
        return self.now_s

    def call_later(self, delay_s: float, call: Callable[[], None]) -> asyncio.TimerHandle:
        """Note it, and let the time pass at once."""
        self.waits_s.append(delay_s)
        self.now_s += delay_s
        call()
        return asyncio.get_running_loop().call_later(0, lambda: None)


@pytest.mark.parametrize(("messages_s", "wait_s"), [(100, 0.04), (5000, 0.04), (10_000, 0.064), (200_000, 0.12)])
async def test_breaths_grow_with_the_rate_where_it_is_high(messages_s: int, wait_s: float) -> None:
    """At 5,000 messages of 200 bytes a second nothing waits longer; in a rush a batch is up to three times as large."""
    connection = Connection(SessionSettings(client_id="c", subscriptions=()), Version.V311, Taker())
    connection.connection_made(Transport())
    connection.established = True
    connection._loop = timers = Timers()  # type: ignore[assignment]
    message = wire.publish_head("t", 200 - 7) + b"\0\1" + bytes(200 - 7)
    for _ in range(20):
        due = round(messages_s * (timers.waits_s[-1] if timers.waits_s else 0.04))
        while due > 1250:  # a full read, and so on at once
            connection.data_received(1250 * message)
            due -= 1250
        connection.data_received(due * message)
        connection._breath = None
    assert timers.waits_s[-1] == pytest.approx(wait_s, rel=0.05)
