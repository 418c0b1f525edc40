"""The proxy leaves no connection behind: one that lingers would be the proxy's fault, not the one under test."""

from __future__ import annotations

import asyncio

from tests.brokers import free_port
from tests.faults.proxy import FaultProxy


async def test_connection_to_a_port_that_refuses_is_ended() -> None:
    """While the far side is down, the near side is told at once."""
    async with FaultProxy(free_port()) as proxy, asyncio.timeout(10):
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        assert await reader.read() == b""
        writer.close()


async def test_held_connection_ends_with_the_proxy() -> None:
    """What is held back keeps no one waiting when the proxy is left."""
    near, far = asyncio.Event(), asyncio.Event()

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        near.set()
        try:
            await reader.read()
        finally:
            writer.close()
            far.set()

    async with await asyncio.start_server(take, "127.0.0.1", 0) as server, asyncio.timeout(10):
        async with FaultProxy(server.sockets[0].getsockname()[1]) as proxy:
            _, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
            await near.wait()
            proxy.mode = "hold"
            writer.write(b"held back")
            await writer.drain()
        await far.wait()
        writer.close()
