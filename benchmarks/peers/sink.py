"""Where every peer delivers: an HTTP server that counts lines of line protocol, and a subscriber that counts."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import aiomqtt
from aiohttp import web
from aiohttp.test_utils import TestServer

from edgefleet.brokers import HOST, RunningBroker

_SAMPLES: Final = "v1/gateway/telemetry"
_QUESTIONS: Final = "v1/devices/me/rpc/request/"
_ANSWERS: Final = "v1/devices/me/rpc/response/"
_NO_RATES: Final = {"messages": "0:0,", "telemetryMessages": "0:0,", "telemetryDataPoints": "0:0,"}
_LIMITS: Final = json.dumps(
    {"maxPayloadSize": 65536, "maxInflightMessages": 100, "rateLimits": _NO_RATES, "gatewayRateLimits": _NO_RATES}
)
"""What ThingsBoard tells its gateway that asks for its limits: no rates. Until it is told, it forwards nothing."""
_samples_of: Final = re.compile(rb"vibration_1_g_count=(\d+)").search
"""Of how many samples a line of Telegraf is."""
WARM: Final = "warm"
"""Site of the devices that only find out whether a peer runs yet."""


class Sink:
    """Counts what arrives."""

    def __init__(self) -> None:
        """Start at nothing."""
        self.port = 0
        self.warm = 0
        self.windows = 0
        """Lines, or samples where a peer derives nothing or says of how many samples a line is."""

    def take_lines(self, body: bytes) -> None:
        """Count lines of the industrial domain."""
        for line in body.split(b"\n"):
            if line.startswith((b"industrial,", b"windows,")):
                samples = _samples_of(line)
                self._count(int(samples[1]) if samples else 1, warm=WARM.encode() in line)

    def take_telemetry(self, payload: bytes) -> None:
        """Count the samples of a ThingsBoard gateway message."""
        for device, samples in json.loads(payload).items():
            self._count(len(samples), warm=WARM in device)

    def _count(self, many: int, *, warm: bool) -> None:
        if warm:
            self.warm += many
        else:
            self.windows += many

    async def write(self, request: web.Request) -> web.Response:
        """Answer one write."""
        self.take_lines(await request.read())  # gzip is undone by then
        return web.Response(status=204)


@asynccontextmanager
async def sink(broker: RunningBroker) -> AsyncIterator[Sink]:
    """Run a sink: HTTP on a port of its own, and whatever is published for ThingsBoard."""
    found = Sink()
    served = web.Application(client_max_size=2**26)
    served.router.add_post("/{path:.*}", found.write)
    async with TestServer(served, host=HOST) as server, aiomqtt.Client(HOST, broker.port) as client:
        assert server.port is not None
        found.port = server.port
        await client.subscribe([(_SAMPLES, 1), (f"{_QUESTIONS}+", 1)])

        async def listen() -> None:
            async for message in client.messages:
                topic = str(message.topic)
                if topic.startswith(_QUESTIONS):
                    await client.publish(_ANSWERS + topic.removeprefix(_QUESTIONS), _LIMITS, qos=1)
                elif isinstance(message.payload, bytes):
                    found.take_telemetry(message.payload)

        listening = asyncio.create_task(listen())
        try:
            yield found
        finally:
            listening.cancel()
