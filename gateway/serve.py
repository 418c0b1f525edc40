"""Composition: the real adapters, built from settings and wired, until a signal. Check first, connect later."""

from __future__ import annotations

import asyncio
import logging
import signal
import ssl
import sys
import time
from asyncio import TaskGroup
from collections.abc import Mapping
from contextlib import AsyncExitStack, ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import structlog
import uvloop

from contract import codec, topics
from contract.domains import Domain
from contract.messages import DeviceState
from contract.topics import DeviceId
from gateway.answers import ConsoleAnswers
from gateway.app import Clock, Parts, run
from gateway.backoff import Backoff
from gateway.flow import LONGEST_WAIT_FOR_ROOM_S, Flow
from gateway.health import Reporter, written_bytes
from gateway.journal.sqlite import SqliteJournal
from gateway.metrics import Watched, serving
from gateway.mqtt import Announcement, Session, SessionSettings
from gateway.mqtt.settings import valid_filter
from gateway.outbox.sqlite import SqliteOutbox
from gateway.ports import Lane, StorageFullError, Store
from gateway.prepare import Prepared, prepare
from gateway.reload import Reloader
from gateway.settings import (
    BrokerSettings,
    InfluxSettings,
    JournalSettings,
    LogSettings,
    Settings,
    secret,
)
from gateway.stores.alert_topic import AlertTopicStore
from gateway.stores.home_assistant import HomeAssistantStore
from gateway.stores.local import LocalStore, QuarantineLimits
from gateway.stores.reader import LocalReader
from gateway.systemd import notifying
from gateway.thrift import Thrift
from gateway.tuning import tune
from gateway.upkeep import MEGABYTE

log = structlog.get_logger(__name__)

STORE_FILE: Final = "store.db"
SUBSCRIPTIONS_FILE: Final = "subscriptions"
"""Filters that the broker's session may hold, so that those of earlier settings can be given up."""
MOST_GIVEN_UP: Final = 100


def serve(settings: Settings, file: Path | None = None) -> None:
    """Run the gateway until SIGINT or SIGTERM; SIGHUP takes a changed ``file``, certificate or shelf.

    :raises ShelfError: a model may not run; nothing was opened
    """
    configure_log(settings.log)
    ready = prepare(settings)
    tune()
    uvloop.run(_serve(ready, file))


async def _serve(ready: Prepared, file: Path | None) -> None:
    settings = ready.settings
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    wanted = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, wanted.set)
    settings.state_dir.mkdir(exist_ok=True, mode=0o750)
    pipeline = ready.pipeline()
    clock = Clock(wall_s=time.time, monotonic_s=time.monotonic)
    async with AsyncExitStack() as opened:
        domains = dict(ready.domains)
        session, context = connection(ready)
        broker = Session(session, ssl_context=context)
        reloader = Reloader(
            file=file or Path(),
            current=ready,
            domains=domains,
            session=broker,
            connect=connection,
            set_log=lambda now: configure_log(now.log),
        )
        files = await open_files(settings, domains, stop)
        if files is None:
            return
        opened.push_async_callback(files.close)
        stores: list[Store] = [AlertTopicStore(broker, LocalReader(settings.state_dir / STORE_FILE).open_alerts())]
        if settings.home_assistant is not None:
            reader = LocalReader(settings.state_dir / STORE_FILE)
            known = [DeviceId(line.site, line.domain, line.device) for line in reader.ledger()]
            stores.append(
                HomeAssistantStore(
                    broker,
                    settings.home_assistant,
                    settings.gateway,
                    domains,
                    known=known,
                    firing=reader.open_alerts(),
                )
            )
        if settings.influx is not None:
            influx = _influx(settings.influx, domains)
            opened.push_async_callback(influx.close)
            stores.append(influx)
        parts = Parts(
            broker=broker,
            answers=ConsoleAnswers(settings.console_dir or settings.state_dir),
            journal=files.journal,
            outbox=files.outbox,
            local=files.local,
            stores=stores,
            pipeline=pipeline,
            reporter=Reporter(pipeline, clock.wall_s, clock.monotonic_s, reloader.inference_s),
            settings=settings,
            clock=clock,
            thrift=_thrift(settings.journal, clock),
        )
        log.info(
            "gateway started", gateway=settings.gateway, shelves=[shelf.manifest.domain for shelf in ready.shelves]
        )
        flow = Flow(parts)
        watched = Watched(
            parts=parts,
            flow=flow,
            journal=files.journal,
            outbox=files.outbox,
            session=broker,
            inference_s=reloader.inference_s,
        )
        await opened.enter_async_context(notifying(flow.ready, flow.healthy))
        await opened.enter_async_context(serving(settings.metrics.listen, watched))
        async with TaskGroup() as group:
            reloading = group.create_task(reloader.run(wanted, pipeline, flow), name="reload")
            await run(parts, stop, flow)
            reloading.cancel()
    log.info("gateway stopped", gateway=settings.gateway)


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """The state folder, open."""

    journal: SqliteJournal
    outbox: SqliteOutbox
    local: LocalStore

    async def close(self) -> None:
        """Release all files."""
        await self.local.close()
        self.outbox.close()
        self.journal.close()


async def open_files(settings: Settings, domains: Mapping[str, Domain], stop: asyncio.Event) -> Files | None:
    """Open the state folder, and say what had to be mended; on a full disk wait for room, ``None`` if stopped."""
    backoff = Backoff(limit_s=LONGEST_WAIT_FOR_ROOM_S)
    while True:
        try:
            return _open_files(settings, domains)
        except StorageFullError as error:
            log.error("no room to start", error=str(error))  # noqa: TRY400  # a state, not a fault of the program
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), backoff.next_s())
            return None


def _open_files(settings: Settings, domains: Mapping[str, Domain]) -> Files:
    folder, journal, quarantine = settings.state_dir, settings.journal, settings.quarantine
    with ExitStack() as opened:
        outbox = SqliteOutbox(folder / "outbox.db", stores=lanes(settings), domains=domains)
        opened.callback(outbox.close)
        journaled = SqliteJournal(
            folder / "journal.db",
            synchronous=journal.synchronous,
            after=outbox.position,
            max_bytes=int(journal.max_mb * MEGABYTE),
        )
        opened.callback(journaled.close)
        local = LocalStore(
            folder / STORE_FILE,
            synchronous=journal.synchronous,
            quarantine=QuarantineLimits(rows=quarantine.max_messages, size_bytes=int(quarantine.max_mb * MEGABYTE)),
        )
        opened.pop_all()
    for salvage in (outbox.salvage, journaled.salvage, local.salvage):
        if salvage is not None:
            log.error(
                "damaged file mended; what is whole was kept",
                file=str(salvage.path),
                set_aside=str(salvage.set_aside),
                reason=salvage.reason,
                kept=dict(salvage.kept),
                spoiled=dict(salvage.spoiled),
            )
    if losses := journaled.losses():
        log.error("batches lost to damage; their samples show as gaps in edgefleet audit", positions=losses)
    return Files(journal=journaled, outbox=outbox, local=local)


def lanes(settings: Settings) -> dict[str, tuple[Lane, ...]]:
    """Return which lanes of the outbox each store takes."""
    taken: dict[str, tuple[Lane, ...]] = {
        LocalStore.name: ("alerts", "features", "raw"),
        AlertTopicStore.name: ("alerts",),
    }
    if settings.home_assistant is not None:
        taken[HomeAssistantStore.name] = ("alerts", "features")
    if settings.influx is not None:
        taken["influx"] = ("alerts", "features", "raw") if settings.influx.raw else ("alerts", "features")
    return taken


def _influx(settings: InfluxSettings, domains: Mapping[str, Domain]) -> Store:
    from gateway.stores.influx import InfluxStore  # noqa: PLC0415  # a second of start-up, where it is not needed

    return InfluxStore(settings, domains)


def _thrift(settings: JournalSettings, clock: Clock) -> Thrift:
    budget = settings.max_write_mb_per_day
    return Thrift(
        max_bytes_per_day=None if budget is None else budget * MEGABYTE,
        loss_window_s=settings.loss_window_s,
        monotonic_s=clock.monotonic_s,
        written_bytes=written_bytes,
    )


def connection(ready: Prepared) -> tuple[SessionSettings, ssl.SSLContext | None]:
    """Return how to reach the broker; reads certificates and password files.

    :raises OSError: one of them cannot be read (:class:`ssl.SSLError` is one, too)
    """
    settings = ready.settings
    remembered = settings.state_dir / SUBSCRIPTIONS_FILE
    before = remembered.read_text().splitlines() if remembered.is_file() else []
    gone = tuple(each for each in before if each not in ready.subscriptions and valid_filter(each))[:MOST_GIVEN_UP]
    with suppress(OSError):  # no room: they are remembered from the next start on
        remembered.write_text("\n".join((*ready.subscriptions, *gone)) + "\n")
    return replace(session_settings(settings, ready.subscriptions), unsubscribe=gone), ssl_context(settings.broker)


def session_settings(
    settings: Settings, subscriptions: tuple[str, ...] = (topics.ALL_TELEMETRY, topics.ALL_STATES)
) -> SessionSettings:
    """Return how to reach the broker, and what it says in the gateway's name."""
    broker, state = settings.broker, topics.gateway(settings.gateway, "state")
    return SessionSettings(
        client_id=broker.client_id or f"edgefleet-{settings.gateway}",
        subscriptions=subscriptions,
        host=broker.host,
        port=broker.port,
        protocol=broker.protocol,
        username=broker.username,
        password=secret(broker.password, broker.password_file),
        will=Announcement(topic=state, payload=codec.encode_state(DeviceState.OFFLINE)),
        birth=Announcement(topic=state, payload=codec.encode_state(DeviceState.ONLINE)),
        farewell=Announcement(topic=state, payload=codec.encode_state(DeviceState.STOPPED)),
        session_expiry_s=broker.session_expiry_s,
        keep_alive_s=broker.keep_alive_s,
        receive_maximum=broker.receive_maximum,
    )


def ssl_context(broker: BrokerSettings) -> ssl.SSLContext | None:
    """Return how to encrypt towards the broker; ``None`` where it is not set."""
    if broker.tls is None:
        return None
    context = ssl.create_default_context(cafile=broker.tls.ca_file)
    if broker.tls.certificate_file is not None:
        context.load_cert_chain(broker.tls.certificate_file, broker.tls.key_file)
    return context


def configure_log(settings: LogSettings) -> None:
    """Write events from the set level on to standard error, for people or as JSON lines."""
    renderer = structlog.processors.JSONRenderer() if settings.format == "json" else structlog.dev.ConsoleRenderer()
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[settings.level.upper()]),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
    )
