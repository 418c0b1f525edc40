"""Stands before every request and every socket: who asks, from which page, and what the answer may do in a browser.

=====================================================  =========================================
the name asked for is not one of this console's        421 (a page elsewhere renamed itself to us)
a socket or a form from another site's page            403
nobody is signed in, where a password is set           to the sign-in page; sockets 403
=====================================================  =========================================

The policy for the browser has no ``unsafe-inline`` and no ``unsafe-eval``: NiceGUI's own inline scripts carry a nonce
of each answer, and our parts need neither templates nor functions as text.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from typing import Final
from urllib.parse import quote, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from console.sessions import Session, Sessions

COOKIE: Final = "edgefleet_session"
SESSION: Final = "edgefleet.session"
"""Key of the scope under which pages find who asks."""
OPEN_PATHS: Final = ("/login", "/static/", "/favicon.ico")
"""What somebody who is not signed in may fetch."""
_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_STYLED: Final = b'id="nicegui-keep-alive-cache" style="display: none"'
_HIDDEN: Final = b'id="nicegui-keep-alive-cache" hidden'
"""NiceGUI's page has one style attribute, which the policy forbids; this says the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """Whom the guard lets in."""

    sessions: Sessions
    locked: Callable[[], bool]
    """Whether a password is set, so that one must sign in."""
    hosts: frozenset[str] | None
    """Names by which the console may be asked for; ``None`` where every name is right, behind a password."""
    local: Session
    """Who asks where no password is set."""
    wall_s: Callable[[], float]


class Guard:
    """ASGI middleware around the whole console."""

    def __init__(self, app: ASGIApp, rules: Rules) -> None:
        """Stand before ``app``."""
        self.app = app
        self._rules = rules

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse, or let pass and set the answer's headers."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        refusal = self._refusal(scope, headers)
        if scope["type"] == "websocket":
            await (self.app(scope, receive, send) if refusal is None else _hang_up(receive, send))
            return
        nonce = secrets.token_urlsafe(16)
        sealed = _Sealed(send, nonce, policy(nonce, headers.get("host", "")))
        await (self.app if refusal is None else refusal)(scope, receive, sealed)

    def _refusal(self, scope: Scope, headers: Headers) -> Response | None:
        host = headers.get("host", "")
        if self._rules.hosts is not None and urlsplit(f"//{host}").hostname not in self._rules.hosts:
            return PlainTextResponse("This console is not known by that name.", 421)
        if not _same_site(scope, headers, host):
            return PlainTextResponse("Asked by a page of another site.", 403)
        session = self._session(headers)
        scope[SESSION] = session
        if session is None and not scope["path"].startswith(OPEN_PATHS):
            return _sign_in(scope)
        return None

    def _session(self, headers: Headers) -> Session | None:
        if not self._rules.locked():
            return self._rules.local
        token = cookie(headers, COOKIE)
        return self._rules.sessions.find(token, self._rules.wall_s()) if token else None


def policy(nonce: str, host: str) -> str:
    """Return what a browser may load and do on our pages: what comes from here, and nothing else."""
    # browsers of before 2023 do not take a socket to be of 'self'
    sockets = f"ws://{host} wss://{host}" if host.replace(".", "").replace(":", "").replace("-", "").isalnum() else ""
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src 'self' 'nonce-{nonce}'",
            f"style-src 'self' 'nonce-{nonce}'",
            "img-src 'self' data:",
            "font-src 'self'",
            f"connect-src 'self' {sockets}".rstrip(),
            "form-action 'self'",
            "base-uri 'none'",
            "frame-ancestors 'none'",
        )
    )


def cookie(headers: Headers, name: str) -> str:
    """Return a cookie's value, empty where it did not come."""
    try:
        found = SimpleCookie(headers.get("cookie", "")).get(name)
    except CookieError:
        return ""
    return found.value if found else ""


def _same_site(scope: Scope, headers: Headers, host: str) -> bool:
    """Tell whether the asking page is ours. A browser names it for every socket and form."""
    if scope["type"] == "http" and scope["method"] in _SAFE:
        return True
    origin = headers.get("origin")
    if origin is None:  # no browser; a form still needs its token
        return bool(scope["type"] == "http")
    asking = urlsplit(origin).netloc
    return asking.casefold() == host.casefold()


def _sign_in(scope: Scope) -> Response:
    if scope["type"] == "http" and scope["method"] == "GET" and not scope["path"].startswith("/_nicegui"):
        return RedirectResponse(f"/login?next={quote(scope['path'])}", 303)
    return PlainTextResponse("Sign in first.", 401)


async def _hang_up(receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "websocket.close", "code": 4403})


class _Sealed:
    """Sends an answer with the headers that bind the browser; inline scripts and styles of a page get the nonce.

    No text of a device can stand in a page as a tag: NiceGUI escapes ``<`` in all that it embeds, Jinja in the rest.
    """

    def __init__(self, send: Send, nonce: str, policy_text: str) -> None:
        self._send = send
        self._nonce = nonce.encode()
        self._policy = policy_text
        self._start: Message | None = None
        self._body = b""

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            self._bind(headers)
            if not headers.get("content-type", "").startswith("text/html"):
                await self._send(message)
                return
            headers["cache-control"] = "no-store"
            self._start = message
            return
        if self._start is None:
            await self._send(message)
            return
        self._body += message.get("body", b"")
        if not message.get("more_body", False):
            await self._finish(self._start)

    async def _finish(self, start: Message) -> None:
        body = self._body.replace(_STYLED, _HIDDEN)
        for tag in (b"<script", b"<style"):
            body = body.replace(tag, tag + b' nonce="' + self._nonce + b'"')
        MutableHeaders(scope=start)["content-length"] = str(len(body))
        await self._send(start)
        await self._send({"type": "http.response.body", "body": body})

    def _bind(self, headers: MutableHeaders) -> None:
        headers["content-security-policy"] = self._policy
        headers["x-content-type-options"] = "nosniff"
        headers["x-frame-options"] = "DENY"
        headers["referrer-policy"] = "same-origin"  # with none at all, our own forms would not say whose they are
        headers["cross-origin-opener-policy"] = "same-origin"
        headers["cross-origin-resource-policy"] = "same-origin"
        headers["permissions-policy"] = "camera=(), microphone=(), geolocation=()"
