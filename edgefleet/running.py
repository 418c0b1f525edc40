"""Runs a fleet or a recording against a broker until it is done or somebody asks it to stop."""

from __future__ import annotations

import asyncio
import math
import signal
import time
from collections.abc import Coroutine, Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from contract.domains import DOMAINS
from contract.topics import device_id
from contract.truth import Truth, encode_truth
from simulator.broker_url import BrokerUrl
from simulator.errors import RefusedError
from simulator.fleet import Fleet, build_fleet
from simulator.pacing import Clock, Pace, WallClock
from simulator.publishing import AT_ONCE, Published, Publisher, backfill, live
from simulator.replay import Recording, ReplayOptions, parse_map, read_recording
from simulator.sessions import mqtt_sessions
from simulator.settings import FleetSettings

PROGRESS_EVERY_S: Final = 0.2


def stop_requested() -> asyncio.Event:
    """Return an event that SIGINT or SIGTERM sets, from now on."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


async def unless(stop: asyncio.Event, work: Coroutine[Any, Any, None], *others: Coroutine[Any, Any, None]) -> bool:
    """Run ``work`` until it is done or ``stop`` is set; return whether it was done.

    The ``others`` run beside it and are cancelled with it; if one fails, so does this.
    """
    working = asyncio.create_task(work)
    stopping = asyncio.create_task(stop.wait())
    tasks = {working, stopping, *(asyncio.create_task(other) for other in others)}
    try:
        while not working.done() and not stopping.done():
            done, tasks_left = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
            tasks = tasks_left
    finally:
        for task in (working, stopping, *tasks):
            task.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.gather(working, stopping, *tasks, return_exceptions=True)
    return working.done() and not working.cancelled()


def write_truth(file: Path, truths: Iterable[Truth]) -> None:
    """Write what will be wrong with a fleet, one JSON object a line."""
    with file.open("wb") as lines:
        lines.writelines(encode_truth(truth) + b"\n" for truth in truths)


def expected_samples(fleet: Fleet) -> int:
    """Return about how many samples the history holds."""
    return sum(
        round((group.span.live_s - group.span.start_s) / group.domain.period_s) * len(group.devices)
        for group in fleet.groups
    )


async def show_progress(publisher: Publisher, total: int, console: Console, label: str) -> None:
    """Show how far publishing is, until cancelled; nothing where nobody watches."""
    columns = (
        TextColumn(label),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(label, total=max(total, 1), rate="")
        while True:
            samples = publisher.statistics().samples
            seconds = progress.tasks[0].elapsed or 1.0
            progress.update(task, completed=samples, rate=f"{samples / max(seconds, 0.1):,.0f} samples/s")
            await asyncio.sleep(PROGRESS_EVERY_S)


async def simulate(settings: FleetSettings, truth_file: Path | None, console: Console) -> Published:
    """Publish a fleet: its history, then its live part, until that is over or a signal comes."""
    stop, clock = stop_requested(), WallClock()
    fleet = build_fleet(settings, now_s=clock.now_s())
    if truth_file is not None:
        write_truth(truth_file, fleet.truths)
    lines = [line for group in fleet.groups for line in group.lines]
    sessions = mqtt_sessions(BrokerUrl.parse(settings.broker))
    publisher = Publisher(lines, sessions, clock, samples_per_message=settings.samples_per_message)
    console.print(
        f"{len(fleet.devices)} devices, {len(fleet.truths)} events, broker {settings.broker.rpartition('@')[2]}"
    )
    try:
        progress = show_progress(publisher, expected_samples(fleet), console, "history")
        if await unless(stop, backfill(publisher, fleet), progress):
            console.print(f"history published: {publisher.statistics().samples:,} samples. Live now; Ctrl-C ends it.")
            await unless(stop, live(publisher, fleet, clock, settings.run_s))
    finally:
        await publisher.close()
    return publisher.statistics()


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayRequest:
    """A replay as it was typed."""

    file: Path
    site: str
    domain: str
    device: str
    columns: str | None
    time_column: str | None
    delimiter: str | None
    zone: str
    start: str | None
    period_s: float | None
    speed: float = 1.0
    shift_to_now: bool = False


def recording_of(request: ReplayRequest) -> Recording:
    """Read what is to be replayed.

    :raises RefusedError: the file or an option cannot be used
    :raises TopicError: site or device may not stand in a topic
    """
    if request.domain not in DOMAINS:
        raise RefusedError("--domain", [f"{request.domain!r} is none of {', '.join(DOMAINS)}."])
    options = ReplayOptions(
        columns=None if request.columns is None else parse_map(request.columns),
        time_column=request.time_column,
        delimiter=request.delimiter,
        zone=request.zone,
        start_s=None if request.start is None else _start_s(request.start),
        period_s=request.period_s,
    )
    device = device_id(request.site, request.domain, request.device)
    recording = read_recording(request.file, DOMAINS[request.domain], device, options)
    if not request.shift_to_now:
        return recording
    takes_s = (recording.last_s - recording.first_s) / request.speed
    return recording.shifted(math.floor(time.time() + takes_s - recording.last_s))


def _start_s(text: str) -> float:
    """Return the time of an option, UTC where it has no offset."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise RefusedError("--start", [f"{text!r} is not a time like 2012-03-01T00:00:00."]) from error
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


async def replay(recording: Recording, broker: BrokerUrl, speed: float, console: Console) -> tuple[Published, bool]:
    """Publish a recording ``speed`` times faster than it was made; infinitely fast is allowed.

    Return also whether all of it was published, or a signal came before.
    """
    stop, clock = stop_requested(), WallClock()
    publisher = Publisher([recording], mqtt_sessions(broker), clock)
    try:
        progress = show_progress(publisher, len(recording), console, recording.devices[0].device)
        run = publisher.run(recording, replay_pace(recording, speed, clock), float("inf"))
        whole = await unless(stop, run, progress)
    finally:
        await publisher.close()
    return publisher.statistics(), whole


def replay_pace(recording: Recording, speed: float, clock: Clock) -> Pace:
    """Return the pace of a recording that begins now."""
    if speed == float("inf"):
        return AT_ONCE
    return Pace(device_s=recording.first_s, wall_s=clock.now_s(), speed=speed)
