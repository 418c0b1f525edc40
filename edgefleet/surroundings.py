"""Is all around the gateway fit: settings, models, certificates, broker, InfluxDB, time zone."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from edgefleet.certificates import not_after_s
from edgefleet.doctor_influx import influxdb_findings
from edgefleet.findings import Finding, ok
from gateway.inference.errors import ShelfError
from gateway.mqtt import MqttError, SubscribeRefusedError
from gateway.mqtt.connection import Connection
from gateway.mqtt.packets import ConnAck, PubAck, Version
from gateway.mqtt.parser import Read
from gateway.mqtt.settings import SessionSettings
from gateway.prepare import Prepared, prepare
from gateway.serve import session_settings, ssl_context
from gateway.settings import Settings

LONGEST_S: Final = 5.0
EXPIRES_SOON_S: Final = 30 * 86400.0


@dataclass(slots=True)
class _Nobody:
    """Takes what a connection reads, and does nothing with it."""

    def on_read(self, connection: Connection, read: Read, size_bytes: int) -> None:
        """Pass over."""

    def on_puback(self, puback: PubAck) -> None:
        """Pass over."""


def surrounding_findings(settings: Settings, now_s: float) -> Iterator[Finding]:
    """Yield what there is to say of everything that settings name."""
    yield time_zone(settings)
    found = models(settings)
    yield found[0]
    yield from certificates(settings, now_s)
    yield from broker(settings, found[1])
    if settings.influx is not None:
        yield from influxdb_findings(settings.influx)


def time_zone(settings: Settings, timezone_file: Path = Path("/etc/timezone")) -> Finding:
    """Compare the site's time zone with the machine's."""
    here = settings.site.time_zone
    try:
        machine = timezone_file.read_text().strip()
    except OSError:
        machine = "UTC"
    if here == "UTC" and machine not in ("UTC", "Etc/UTC", ""):
        remedy = f"Set site.time_zone: {machine}; hours and holidays of features are local."
        return Finding("time zone", "warning", f"the site is in UTC, this machine in {machine}", remedy)
    return ok("time zone", f"the site is in {here}")


def models(settings: Settings) -> tuple[Finding, Prepared | None]:
    """Load every shelf, which proves its hashes, operators and golden vectors."""
    try:
        ready = prepare(settings)
    except (ShelfError, OSError) as error:
        return Finding("models", "critical", str(error), "Restore the shelf; edgefleet models verify says more."), None
    names = ", ".join(shelf.manifest.domain for shelf in ready.shelves) or "none"
    return ok("models", f"shelves proven: {names}"), ready


def certificates(settings: Settings, now_s: float) -> Iterator[Finding]:
    """Tell when certificates run out."""
    tls = settings.broker.tls
    for name in ("ca_file", "certificate_file"):
        file = None if tls is None else getattr(tls, name)
        if file is None:
            continue
        try:
            end_s = not_after_s(file.read_text())
        except (OSError, ValueError) as error:
            yield Finding(
                "certificate",
                "critical",
                f"{file} cannot be read: {error}",
                f"Put a PEM file there, or change broker.tls.{name}.",
            )
            continue
        yield _runs_out(str(file), end_s, now_s)


def _runs_out(what: str, end_s: float, now_s: float) -> Finding:
    days = (end_s - now_s) / 86400
    renew = "Renew it, then: systemctl reload edgefleet."
    if days < 0:
        return Finding("certificate", "critical", f"{what} ran out {-days:.0f} days ago", renew)
    if end_s - now_s < EXPIRES_SOON_S:
        return Finding("certificate", "warning", f"{what} runs out in {days:.0f} days", renew)
    return ok("certificate", f"{what} holds for {days:.0f} days")


def broker(settings: Settings, ready: Prepared | None) -> Iterator[Finding]:
    """Connect and subscribe as the gateway would, under another name, and look at the broker's limits."""
    at = f"{settings.broker.host}:{settings.broker.port}"
    try:
        wanted = session_settings(settings) if ready is None else session_settings(settings, ready.subscriptions)
        wanted = replace(wanted, client_id=f"{wanted.client_id}-doctor", session_expiry_s=0, will=None)
        ack, version, end_s = asyncio.run(_shake_hands(wanted, ssl_context(settings.broker)))
    except SubscribeRefusedError as error:
        yield Finding("broker", "critical", str(error), "Let the gateway's user read that topic in the broker's ACL.")
        return
    except (MqttError, OSError, TimeoutError) as error:
        reason = str(error) or "no answer"
        yield Finding(
            "broker",
            "critical",
            f"{at}: {reason}",
            "Check broker.host, port, name and password; is the broker running?",
        )
        return
    yield ok(
        "broker", f"{at} answers, MQTT {'5' if version is Version.V5 else '3.1.1'}, and takes the gateway's filters"
    )
    if end_s is not None:
        yield _runs_out(f"the broker's certificate ({at})", end_s, time.time())
    yield from _limits(settings, ack, version)


def _limits(settings: Settings, ack: ConnAck, version: Version) -> Iterator[Finding]:
    largest = settings.limits.max_payload_bytes
    if ack.maximum_packet_bytes is not None and ack.maximum_packet_bytes < largest:
        text = f"the broker takes packets of {ack.maximum_packet_bytes} bytes, the gateway messages of {largest}"
        yield Finding(
            "broker limits", "warning", text, "Raise max_packet_size at the broker, or lower limits.max_payload_bytes."
        )
    if not ack.retain_available or ack.maximum_qos < 1:
        text = "the broker keeps no messages, or knows no QoS 1: alerts and states would not reach who comes later"
        yield Finding("broker limits", "critical", text, "Enable retained messages and QoS 1 at the broker.")
    if version is Version.V311:
        text = (
            "MQTT 3.1.1: how much the broker sends ahead, and how long it keeps the session, is the broker's own choice"
        )
        yield Finding(
            "broker limits", "info", text, "Set max_inflight_messages and the session's expiry at the broker."
        )


async def _shake_hands(
    settings: SessionSettings, context: ssl.SSLContext | None
) -> tuple[ConnAck, Version, float | None]:
    """Connect once, MQTT 5 first unless told otherwise; return the broker's answer and when its certificate ends."""
    versions = {"5": [Version.V5], "3.1.1": [Version.V311]}.get(settings.protocol, [Version.V5, Version.V311])
    for version in versions:
        connection = Connection(settings, version, _Nobody())
        try:
            async with asyncio.timeout(LONGEST_S):
                transport = await _open(connection, settings, context)
                ack = await connection.handshake()
            peer = transport.get_extra_info("peercert") or {}
            end_s = ssl.cert_time_to_seconds(peer["notAfter"]) if "notAfter" in peer else None
        except (MqttError, TimeoutError) as error:
            if version is versions[-1] or isinstance(error, SubscribeRefusedError):
                raise
        else:
            return ack, version, end_s
        finally:
            if connection.opened:
                connection.disconnect()
                await asyncio.wait((connection.closed,), timeout=1.0)
    raise TimeoutError


async def _open(
    connection: Connection, settings: SessionSettings, context: ssl.SSLContext | None
) -> asyncio.BaseTransport:
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_connection(lambda: connection, settings.host, settings.port, ssl=context)
    return transport
