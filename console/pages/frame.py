"""What all pages have: the head, the state of the gateway, and a refresh that survives a store that cannot be read."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Final

from nicegui import context, ui
from nicegui.element import Element

from console.components import Live
from console.errors import ConsoleError
from console.guard import SESSION
from console.rendering import render
from console.sessions import Session, Sessions
from console.truth import TruthSource
from console.watch import Snapshot, Watch
from gateway.stores.reader import StorageError

PAGES: Final[tuple[tuple[str, str], ...]] = (
    ("/", "Fleet"),
    ("/alerts", "Alerts"),
    ("/models", "Models"),
    ("/gateway", "Gateway"),
    ("/truth", "Truth"),
)
REFRESH_S: Final = 1.0

Refresh = Callable[[Snapshot], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """What the pages are built on."""

    watch: Watch
    sessions: Sessions
    truth: TruthSource | None = None


class Visit:
    """One browser on one page."""

    def __init__(self, house: House, active: str, title: str) -> None:
        """Build the head; the page's own parts go into the context of :attr:`main`."""
        self.watch = house.watch
        self.session: Session = context.client.request.scope[SESSION]
        self._house = house
        self._active = active
        self._client = context.client
        self._client.title = f"{title} · edgefleet"
        self._head = Live()
        self.main = Element("div").props("id=main").classes("sheet")  # NiceGUI's page is the <main> around all
        self._draw_head(self.watch.snapshot)
        self._client.on_connect(self._came)
        self._client.on_disconnect(self._went)

    @property
    def now_s(self) -> float:
        """The present, Unix seconds."""
        return self.watch.now_s()

    async def follow(self, refresh: Refresh, *, at_once: bool = False) -> None:
        """Show the present as soon as the browser is there, and again each second.

        The page answers before anything is read, however slow the disk; ``at_once`` is for what needs no reading.
        """
        if at_once:
            await self._refreshed(refresh)
        with self.main:
            waiting = [] if at_once else [Live('<p class="empty">loading …</p>')]

        async def tick() -> None:
            while waiting:
                waiting.pop().delete()
            if not self._signed_in():
                ui.navigate.to("/login")
                return
            await self._refreshed(refresh)

        ui.timer(REFRESH_S, tick)

    async def _refreshed(self, refresh: Refresh) -> None:
        snapshot = self.watch.snapshot
        try:
            await refresh(snapshot)
        except (StorageError, ConsoleError) as error:
            snapshot = replace(snapshot, fault=str(error))
        self._draw_head(snapshot)

    def _draw_head(self, snapshot: Snapshot) -> None:
        now_s = self.now_s
        locked = self.session.token != ""
        self._head.show(
            render(
                "head.html",
                pages=[page for page in PAGES if page[1] != "Truth" or self._house.truth is not None],
                active=self._active,
                open_alerts=snapshot.open_alerts,
                down=snapshot.gateway.down(now_s),
                gateway=snapshot.gateway,
                fault=snapshot.fault,
                seen_s=snapshot.seen_s,
                operator=self.session.operator,
                role=self.session.role,
                csrf=self.session.csrf if locked else "",
                now_s=now_s,
            )
        )

    def _signed_in(self) -> bool:
        """Tell whether the session still lasts; looking on does not prolong it."""
        token = self.session.token
        return token == "" or self._house.sessions.find(token, self.now_s, used=False) is not None

    def may_answer(self) -> bool:
        """Tell whether who sits here may answer alerts, at this moment."""
        return self._signed_in() and self.session.may_answer

    def _came(self) -> None:
        self.watch.watchers += 1
        self.watch.wake()

    def _went(self) -> None:
        self.watch.watchers -= 1


def head_html() -> None:
    """Put style sheet and theme into every page's head."""
    ui.add_head_html(
        '<link rel="stylesheet" href="/static/console.css"><script src="/static/theme.js"></script>', shared=True
    )
