"""Signing in and out: plain forms, each with a token that only our own page knows."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qs

from fastapi import FastAPI, Request
from starlette.datastructures import Headers
from starlette.responses import HTMLResponse, RedirectResponse, Response

from console.guard import COOKIE, Rules, cookie
from console.passwords import Passwords
from console.rendering import render
from console.sessions import LONGEST_S, Tries

FORM_COOKIE: Final = "edgefleet_form"
MOST_BYTES: Final = 8192
NAME_CHARACTERS: Final = 40


@dataclass(slots=True, kw_only=True)
class Door:
    """The sign-in page and what stands behind it."""

    rules: Rules
    passwords: Passwords
    secure: bool
    """Whether browsers reach us by TLS only, so that cookies may travel by nothing else."""
    tries: Tries = field(default_factory=Tries)
    _secret: bytes = field(default_factory=lambda: secrets.token_bytes(32))
    _one_at_a_time: asyncio.Lock = field(default_factory=asyncio.Lock)
    """A hash takes 64 MiB: two at once would not fit a small machine."""

    def register(self, app: FastAPI) -> None:
        """Serve the forms."""
        app.add_api_route("/login", self.ask, methods=["GET"], response_model=None)
        app.add_api_route("/login", self.sign_in, methods=["POST"], response_model=None)
        app.add_api_route("/logout", self.sign_out, methods=["POST"], response_model=None)

    async def ask(self, request: Request) -> Response:
        """Show the form."""
        given = cookie(Headers(scope=request.scope), FORM_COOKIE)
        return self._form(_inside(request.query_params.get("next", "/")), given=given)

    async def sign_in(self, request: Request) -> Response:
        """Check a password: 403 without the form's token, 429 after too many wrong ones, 401 for a wrong one."""
        form = await _fields(request)
        after = _inside(form.get("next", "/"))
        given = cookie(Headers(scope=request.scope), FORM_COOKIE)
        if not given or not hmac.compare_digest(self._token(given), form.get("csrf", "")):
            return self._form(after, "This page was open for too long. Try again.", status=403)
        address, now_s = _address(request), self.rules.wall_s()
        async with self._one_at_a_time:
            wait_s = self.tries.wait_s(address, now_s)
            if wait_s > 0:
                answer = self._form(after, f"Too many wrong passwords. Try again in {wait_s:.0f} s.", status=429)
                answer.headers["retry-after"] = str(int(wait_s) + 1)
                return answer
            role = await asyncio.to_thread(self.passwords.role, form.get("password", ""))
            if role is None:
                self.tries.wrong(address, now_s)
                return self._form(after, "That is not the password.", status=401, name=form.get("name", ""))
        self.tries.right(address)
        name = form.get("name", "").strip()[:NAME_CHARACTERS] or role
        session = self.rules.sessions.open(role, name, now_s)
        answer = RedirectResponse(after, 303)
        self._cookie(answer, COOKIE, session.token, int(LONGEST_S))
        return answer

    async def sign_out(self, request: Request) -> Response:
        """End the session: 403 without its token."""
        session = self.rules.sessions.find(cookie(Headers(scope=request.scope), COOKIE), self.rules.wall_s())
        form = await _fields(request)
        if session is None or not hmac.compare_digest(session.csrf, form.get("csrf", "")):
            return Response("Ask from the page.", 403)
        self.rules.sessions.close(session.token)
        answer = RedirectResponse("/login", 303)
        answer.delete_cookie(COOKIE)
        return answer

    def _form(self, after: str, wrong: str = "", *, status: int = 200, name: str = "", given: str = "") -> Response:
        given = given or secrets.token_urlsafe(24)  # a second tab does not spoil the form of the first
        html = render("login.html", csrf=self._token(given), next=after, wrong=wrong, name=name)
        answer = HTMLResponse(html, status)
        self._cookie(answer, FORM_COOKIE, given, 3600)
        return answer

    def _token(self, given: str) -> str:
        return hmac.new(self._secret, given.encode(), hashlib.sha256).hexdigest()

    def _cookie(self, answer: Response, name: str, value: str, age_s: int) -> None:
        answer.set_cookie(name, value, max_age=age_s, httponly=True, samesite="strict", secure=self.secure)


async def _fields(request: Request) -> dict[str, str]:
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > MOST_BYTES:
            return {}
    return {name: values[-1] for name, values in parse_qs(body.decode(errors="replace")).items()}


def _inside(path: str) -> str:
    """Return a path of ours: whoever signs in is never sent elsewhere."""
    return path if path.startswith("/") and not path.startswith(("//", "/\\")) else "/"


def _address(request: Request) -> str:
    return request.client.host if request.client else ""
