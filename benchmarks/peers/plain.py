"""What one writes in an afternoon: aiomqtt, a mean of ten samples, aiohttp. No journal, no models.

python -m benchmarks.peers.plain BROKER_PORT SINK_PORT
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections import defaultdict
from typing import Final

import aiohttp
import aiomqtt

from contract import topics

LINES: Final = 500
WINDOW: Final = 10


async def main(broker_port: int, sink_port: int) -> None:
    """Run until terminated."""
    values: dict[str, list[float]] = defaultdict(list)
    lines: list[str] = []
    async with (
        aiohttp.ClientSession() as http,
        aiomqtt.Client("127.0.0.1", broker_port, identifier="plain", clean_session=False) as client,
    ):
        url = f"http://127.0.0.1:{sink_port}/api/v2/write"

        async def flush() -> None:
            while True:
                await asyncio.sleep(1.0)
                await write()

        async def write() -> None:
            body, lines[:] = "\n".join(lines), []
            if body:
                await http.post(url, data=body)

        flushing = asyncio.create_task(flush())
        await client.subscribe(topics.ALL_TELEMETRY, qos=1)
        async for message in client.messages:
            sample = json.loads(message.payload)
            topic = str(message.topic)
            window = values[topic]
            window.append(sample["vibration_1_g"])
            if len(window) == WINDOW:
                _, _, site, _, device, _ = topic.split("/")
                mean = sum(window) / WINDOW
                lines.append(f"windows,site={site},device={device} mean={mean} {int(sample['ts'] * 1e9)}")
                window.clear()
                if len(lines) >= LINES:
                    await write()
        flushing.cancel()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2])))
