"""Composition: the real adapters, built from settings and wired, until a signal. Check first, connect later."""

from __future__ import annotations

import asyncio
import logging
import signal
import ssl
import sys
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack, closing

import structlog
import uvloop

from contract import codec, topics
from contract.domains import DOMAINS
from contract.messages import DeviceState
from gateway import plans as planning
from gateway.app import Clock, Parts, run
from gateway.health import Reporter
from gateway.inference.shelf import Shelf, load_all
from gateway.journal.sqlite import SqliteJournal
from gateway.mqtt import Announcement, Session, SessionSettings
from gateway.outbox.sqlite import SqliteOutbox
from gateway.pipeline import Pipeline
from gateway.ports import Lane, Store
from gateway.settings import BrokerSettings, LogSettings, Settings, secret, shelves_folder
from gateway.stores.alert_topic import AlertTopicStore
from gateway.stores.influx import InfluxStore
from gateway.stores.local import LocalStore
from gateway.stores.reader import LocalReader

log = structlog.get_logger(__name__)

BOTH: tuple[Lane, ...] = ("alerts", "bulk")


def serve(settings: Settings) -> None:
    """Run the gateway until SIGINT or SIGTERM.

    :raises ShelfError: a model may not run; nothing was opened
    """
    configure_log(settings.log)
    shelves = load_all(shelves_folder(settings))
    uvloop.run(_serve(settings, shelves))


async def _serve(settings: Settings, shelves: Sequence[Shelf]) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    settings.state_dir.mkdir(exist_ok=True, mode=0o750)
    plans = planning.plans(settings, shelves)
    scorers = [plan.model.scorer for plan in plans if plan.model is not None]
    pipeline = Pipeline(plans, planning.limits(settings))
    async with AsyncExitStack() as opened:
        broker = Session(session_settings(settings), ssl_context=ssl_context(settings.broker))
        journal = opened.enter_context(
            closing(SqliteJournal(settings.state_dir / "journal.db", synchronous=settings.journal.synchronous))
        )
        store_file = settings.state_dir / "store.db"
        local = LocalStore(store_file)
        opened.push_async_callback(local.close)
        stores: list[Store] = [AlertTopicStore(broker, LocalReader(store_file).open_alerts())]
        lanes: dict[str, tuple[Lane, ...]] = {local.name: BOTH, stores[0].name: ("alerts",)}
        if settings.influx is not None:
            influx = InfluxStore(settings.influx, DOMAINS)
            opened.push_async_callback(influx.close)
            stores.append(influx)
            lanes[influx.name] = BOTH
        outbox = opened.enter_context(closing(SqliteOutbox(settings.state_dir / "outbox.db", stores=lanes)))
        clock = Clock(wall_s=time.time, monotonic_s=time.monotonic)
        parts = Parts(
            broker=broker,
            journal=journal,
            outbox=outbox,
            local=local,
            stores=stores,
            pipeline=pipeline,
            reporter=Reporter(
                pipeline, clock.wall_s, clock.monotonic_s, lambda: sum(scorer.inference_s for scorer in scorers)
            ),
            settings=settings,
            clock=clock,
        )
        await opened.enter_async_context(broker)
        log.info("gateway started", gateway=settings.gateway, shelves=[shelf.manifest.domain for shelf in shelves])
        await run(parts, stop)
    log.info("gateway stopped", gateway=settings.gateway)


def session_settings(settings: Settings) -> SessionSettings:
    """Return how to reach the broker, and what it says in the gateway's name."""
    broker, state = settings.broker, topics.gateway(settings.gateway, "state")
    return SessionSettings(
        client_id=broker.client_id or f"edgefleet-{settings.gateway}",
        subscriptions=(topics.ALL_TELEMETRY, topics.ALL_STATES),
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
