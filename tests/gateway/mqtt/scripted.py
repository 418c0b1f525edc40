"""A broker that does what a test says, packet by packet, and the small helpers of the session's tests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiomqtt

from gateway.mqtt import Session, SessionSettings
from gateway.mqtt.properties import read_variable_integer

WAIT_S = 10.0
CONNACK = bytes.fromhex("20 03 00 00 00")
CONNACK_311 = bytes.fromhex("20 02 00 00")


class Peer:
    """The broker's end of one connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Wrap the streams of one connection."""
        self._reader = reader
        self._writer = writer
        self.connect = b""

    async def packet(self) -> tuple[int, bytes]:
        """Read the next packet that is no PINGREQ: first byte, and what follows the length."""
        while True:
            head = await self._reader.readexactly(1)
            length = b""
            while (found := read_variable_integer(length, 0)) is None:
                length += await self._reader.readexactly(1)
            body = await self._reader.readexactly(found[0])
            if head != b"\xc0":
                return head[0], body

    async def expect(self, head: int) -> bytes:
        """Read the next packet, which must be of one kind."""
        found, body = await self.packet()
        assert found == head, f"0x{found:02x} in place of 0x{head:02x}"
        return body

    def send(self, data: bytes | str) -> None:
        """Write bytes, given as such or in hexadecimal."""
        self._writer.write(bytes.fromhex(data) if isinstance(data, str) else data)

    async def accept(self, connack: bytes | str = CONNACK) -> None:
        """Take CONNECT and one subscription."""
        self.connect = await self.expect(0x10)
        self.send(connack)
        await self.expect(0x82)
        self.send("90 04 0001 00 01" if self.connect[6] == 5 else "90 03 0001 01")

    async def until_closed(self) -> None:
        """Read and answer nothing until the client goes."""
        while await self._reader.read(65536):
            pass


Script = Callable[[Peer], Awaitable[None]]


@asynccontextmanager
async def scripted(*scripts: Script) -> AsyncIterator[int]:
    """Serve one connection after another by one script each, the last for all that follow; yield the port.

    A script that fails makes the test fail when the broker closes.
    """
    faults: list[BaseException] = []
    tasks: set[asyncio.Task[Any]] = set()
    count = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal count
        script = scripts[min(count, len(scripts) - 1)]
        count += 1
        tasks.add(asyncio.current_task())  # type: ignore[arg-type]
        try:
            await script(Peer(reader, writer))
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        except AssertionError as fault:
            faults.append(fault)
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.wait_closed()
    if faults:
        raise faults[0]


def settings(port: int, **changes: Any) -> SessionSettings:
    """Return settings that retry soon."""
    values: dict[str, Any] = {
        "client_id": "gateway-1",
        "subscriptions": ("t/#",),
        "port": port,
        "backoff_base_s": 0.01,
        "backoff_max_s": 0.05,
        "connect_timeout_s": 2.0,
    }
    return SessionSettings(**values | changes)


async def until(holds: Callable[[], object]) -> None:
    """Wait, within bounds, until a condition holds."""
    async with asyncio.timeout(WAIT_S):
        while not holds():  # noqa: ASYNC110 - the session has no events for a test to await
            await asyncio.sleep(0.005)


async def collect(
    session: Session, count: int, *, acknowledge: bool = True, within_s: float = WAIT_S
) -> list[tuple[str, bytes]]:
    """Receive until there are ``count`` messages or more."""
    messages: list[tuple[str, bytes]] = []
    async with asyncio.timeout(within_s):
        while len(messages) < count:
            delivery = await session.receive()
            messages += delivery.messages
            if acknowledge:
                delivery.acknowledge()
    return messages


def drop(session: Session) -> None:
    """Break the session's connection as a lost network would: no DISCONNECT."""
    assert session._connection is not None
    assert session._connection._transport is not None
    session._connection._transport.abort()


async def publish(port: int, *payloads: bytes, topic: str = "t/a", quality: int = 1) -> None:
    """Publish with aiomqtt, in order."""
    async with aiomqtt.Client("127.0.0.1", port) as client:
        for payload in payloads:
            await client.publish(topic, payload, quality)


@asynccontextmanager
async def up(port: int, **changes: Any) -> AsyncIterator[Session]:
    """Open a session; it is connected when this yields."""
    async with Session(settings(port, **changes)) as session:
        await until(lambda: session.connected)
        yield session
