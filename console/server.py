"""The console as a process: checks where it may listen, puts the parts together, serves until told to stop."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import uvicorn
from fastapi import FastAPI
from nicegui import app as pages
from nicegui import ui
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from console.door import Door
from console.errors import ListenError
from console.guard import Guard, Rules
from console.pages import alerts_page, device_page, fleet_page, frame, gateway_page, models_page, truth_page
from console.passwords import Passwords
from console.rendering import render
from console.sessions import Session, Sessions
from console.truth import TruthSource
from console.watch import Watch

LOCAL_NAMES: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_STATIC: Final = Path(__file__).parent / "static"


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How the console runs."""

    state_dir: Path
    """State folder of a gateway; never written to, unless it is :attr:`own_dir` too."""
    own_dir: Path
    """Folder for all that the console writes: ``labels.db`` and its passwords."""
    models_dir: Path
    """Folder of the shelves."""
    host: str = "127.0.0.1"
    port: int = 8080
    """TCP port; 0 takes a free one."""
    secure: bool = False
    """Whether a proxy before it speaks TLS, so that cookies may travel by nothing else."""
    truth: TruthSource | None = None


def parse_listen(text: str) -> tuple[str, int]:
    """Take ``HOST:PORT`` apart; an IPv6 address stands in brackets.

    :raises ListenError: it is not that
    """
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isdigit() or int(port) > 65535:
        message = f"--listen = {text!r} is not HOST:PORT. Write for example 127.0.0.1:8080."
        raise ListenError(message)
    return host.strip("[]"), int(port)


def is_loopback(host: str) -> bool:
    """Tell whether nobody but this machine can reach that address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def build(options: Options, watch: Watch) -> ASGIApp:
    """Put the console together. Once a process: NiceGUI's pages are global.

    :raises ListenError: it would listen beyond loopback without a password
    """
    passwords = Passwords(options.own_dir)
    loopback = is_loopback(options.host)
    if not loopback and not passwords.any():
        message = (
            f"{options.host} can be reached from outside this machine, and no password is set."
            " Set one with `edgefleet console --set-password`, or listen on 127.0.0.1."
        )
        raise ListenError(message)
    sessions = Sessions()
    rules = Rules(
        sessions=sessions,
        locked=passwords.any,
        hosts=LOCAL_NAMES | {options.host} if loopback else None,
        local=Session(token="", role="operator", operator="local", since_s=0.0, used_s=0.0),
        wall_s=watch.now_s,
    )
    app = FastAPI(title="edgefleet", docs_url=None, redoc_url=None, openapi_url=None)
    app.mount("/static", StaticFiles(directory=_STATIC))
    Door(rules=rules, passwords=passwords, secure=options.secure).register(app)
    house = frame.House(watch=watch, sessions=sessions, truth=options.truth)
    frame.head_html()
    for page in (fleet_page, alerts_page, device_page, models_page, gateway_page, truth_page):
        page.register(house)
    ui.run_with(
        app,
        title="edgefleet",
        favicon=_STATIC / "icon.svg",
        dark=None,
        language="en-US",
        tailwind=False,
        gzip_middleware_factory=None,  # ours stands outside, after the guard has put its nonce in
        show_welcome_message=False,
        reconnect_timeout=10.0,
        message_history_length=50,
        binding_refresh_interval=None,
    )
    pages.add_exception_handler(404, _absent)  # NiceGUI's own page stays blank here
    return GZipMiddleware(Guard(app, rules), minimum_size=1024)


async def _absent(_request: Request, _error: Exception) -> HTMLResponse:
    return HTMLResponse(render("absent.html"), 404)


async def serve(options: Options, say: Callable[[str], None], *, wall_s: Callable[[], float] = time.time) -> None:
    """Serve until cancelled or told to stop by a signal; ``say`` hears the address once it answers.

    :raises ConsoleError: it may not, or cannot, listen there
    """
    watch = Watch(options.state_dir, options.own_dir, options.models_dir, wall_s=wall_s)
    app = build(options, watch)
    with closing(_socket(options.host, options.port)) as listener:
        config = uvicorn.Config(app, log_level="warning", server_header=False, timeout_graceful_shutdown=2)
        server = uvicorn.Server(config)
        looking = asyncio.create_task(watch.run(), name="watch")
        try:
            await asyncio.to_thread(watch.look)
            port = listener.getsockname()[1]
            say(f"http://{f'[{options.host}]' if ':' in options.host else options.host}:{port}")
            await server.serve(sockets=[listener])
        finally:
            looking.cancel()


def _socket(host: str, port: int) -> socket.socket:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(found[0], socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(found[4])
    except OSError as error:
        message = f"{host}:{port} cannot be listened on ({error.strerror or error}). Choose another with --listen."
        raise ListenError(message) from error
    listener.listen(128)
    return listener
