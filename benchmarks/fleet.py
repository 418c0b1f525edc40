"""The simulator as a process under measurement: a fleet published by the code that ``edgefleet simulate`` runs."""

from __future__ import annotations

import asyncio
import json
import resource
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import uvloop

from simulator import publishing
from simulator.broker_url import BrokerUrl
from simulator.fleet import build_fleet
from simulator.pacing import WallClock
from simulator.sessions import MqttSession, mqtt_sessions
from simulator.settings import FleetSettings, GroupSettings


async def run(options: Mapping[str, float], url: str) -> dict[str, float]:
    """Publish for a while; return what was acknowledged and what it took."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    clock = WallClock()
    group = GroupSettings(site="bench", domain="industrial", devices=int(options["devices"]), speed=options["speed"])
    settings = FleetSettings(broker=url, seed=1, run_s=options["for_s"], groups=(group,))
    fleet = build_fleet(settings, now_s=clock.now_s())
    made: list[MqttSession] = []
    session_of = mqtt_sessions(BrokerUrl.parse(url), connect_at_once=200)

    def counted(device: object) -> object:
        session = session_of(device)  # type: ignore[arg-type]
        made.append(session)  # type: ignore[arg-type]
        return session

    lines, size = [line for one in fleet.groups for line in one.lines], int(options["burst"])
    publisher = publishing.Publisher(lines, counted, clock, samples_per_message=size)  # type: ignore[arg-type]
    running = asyncio.create_task(publishing.live(publisher, fleet, clock, options["for_s"]))
    while not all(session.connections for session in made) and not running.done():  # noqa: ASYNC110  # polled
        await asyncio.sleep(0.1)  # connecting is not what is measured
    before, began_s, spent_s = publisher.statistics().messages, time.monotonic(), time.process_time()
    await asyncio.wait({running}, timeout=min(20.0, options["for_s"]))
    found = {
        "messages": publisher.statistics().messages - before,
        "took_s": time.monotonic() - began_s,
        "cpu_s": time.process_time() - spent_s,
        "sessions": sum(bool(session.connections) for session in made),
        "rss_bytes": int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize(),  # noqa: ASYNC240
    }
    running.cancel()
    return found


def main() -> None:
    """Run as the argument says; print what came of it as JSON."""
    options = json.loads(sys.argv[1])
    print(json.dumps(uvloop.run(run(options, options["broker"]))), flush=True)


if __name__ == "__main__":
    main()
