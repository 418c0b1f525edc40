"""An amqtt that keeps sessions: it does so only for clients with a user name. ``python -m … PORT`` runs it."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from amqtt.broker import Broker

from edgefleet.embedded_amqtt import mend_delivery


async def serve(port: int) -> None:
    """Run until the process is ended, delivering as the demo's own amqtt does."""
    mend_delivery()
    settings: dict[str, Any] = {
        "listeners": {"default": {"type": "tcp", "bind": f"127.0.0.1:{port}"}},
        "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": False}},
    }
    await Broker(settings).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
