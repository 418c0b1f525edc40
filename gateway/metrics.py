"""Watching the gateway from outside: ``/healthz``, ``/readyz`` and Prometheus ``/metrics`` over HTTP.

Healthy means that the stages move; ready, that readings are taken now: connected, recovered, and room on the disk.
Figures are read when they are asked for; nothing is counted a message.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Final, Protocol

import structlog

from gateway.flow import Flow, Parts
from gateway.journal.sqlite import JournalStatistics
from gateway.mqtt.statistics import SessionStatistics
from gateway.outbox.sqlite import LaneStatistics
from gateway.ports import Lane

log = structlog.get_logger(__name__)

REQUEST_S: Final = 5.0
"""Time that a client has for its request, seconds."""
REQUEST_BYTES: Final = 8192


class _Counted(Protocol):
    def statistics(self) -> JournalStatistics: ...


class _CountedLanes(Protocol):
    def statistics(self) -> dict[Lane, LaneStatistics]: ...


class _CountedSession(Protocol):
    def statistics(self) -> SessionStatistics: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """Where the figures come from."""

    parts: Parts
    flow: Flow
    journal: _Counted
    outbox: _CountedLanes
    session: _CountedSession
    inference_s: Callable[[], float]

    def unready(self) -> list[str]:
        """Return why no reading is taken now; empty when they are."""
        reasons = [] if self.flow.ready.is_set() else ["recovering"]
        reasons += [] if self.parts.broker.connected else ["no connection to the broker"]
        return reasons + [f"no room: {file}: {words}" for file, words in self.flow.full.items()]


@asynccontextmanager
async def serving(listen: str, watched: Watched) -> AsyncIterator[int | None]:
    """Answer requests while the context lasts; yield the port, ``None`` where it is off or taken.

    A port that is taken is no reason not to take readings.
    """
    host, _, port = listen.rpartition(":")
    server: asyncio.Server | None = None
    if listen != "off":
        try:
            server = await asyncio.start_server(
                lambda reader, writer: _answer(reader, writer, watched), host, int(port), limit=REQUEST_BYTES
            )
        except OSError as error:
            log.warning("metrics are off: the address cannot be used", listen=listen, error=str(error))
    try:
        yield None if server is None else server.sockets[0].getsockname()[1]
    finally:
        if server is not None:
            server.close()


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, watched: Watched) -> None:
    """Answer one request and close."""
    with suppress(OSError, TimeoutError, ValueError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        async with asyncio.timeout(REQUEST_S):
            head = await reader.readuntil(b"\r\n\r\n")
            method, path, *_ = head.split(b"\r\n", 1)[0].decode(errors="replace").split(" ")
            status, kind, body = _page(method, path.partition("?")[0], watched)
            lines = (f"HTTP/1.1 {status}", f"Content-Type: {kind}", f"Content-Length: {len(body)}", "Connection: close")
            writer.write("".join(f"{line}\r\n" for line in (*lines, "")).encode())
            writer.write(b"" if method == "HEAD" else body)
            await writer.drain()
    writer.close()


def _page(method: str, path: str, watched: Watched) -> tuple[str, str, bytes]:
    """Return status, content type and body."""
    if method not in {"GET", "HEAD"}:
        return "405 Method Not Allowed", "text/plain", b"GET only\n"
    match path:
        case "/metrics":
            from gateway.figures import exposition  # noqa: PLC0415  # 2 MB, where nobody asks

            return "200 OK", *exposition(watched)
        case "/healthz":
            stuck = not watched.flow.healthy()
            return _verdict(["a batch waits for too long"] if stuck else [])
        case "/readyz":
            return _verdict(watched.unready())
        case _:
            return "404 Not Found", "text/plain", b"/healthz /readyz /metrics\n"


def _verdict(reasons: list[str]) -> tuple[str, str, bytes]:
    status = "503 Service Unavailable" if reasons else "200 OK"
    return status, "application/json", json.dumps({"ok": not reasons, "reasons": reasons}).encode() + b"\n"
