"""What the pages are put together from: live HTML, a long table, a chart. Each is a small script beside its class.

None of them needs ``eval``, so that the content security policy may forbid it: no template is compiled in the browser,
and no function travels as text.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from nicegui.element import Element
from nicegui.elements import echart as _echart  # noqa: F401  # makes ECharts known as the module nicegui-echart
from nicegui.events import GenericEventArguments

Act = Callable[[dict[str, Any]], Awaitable[None] | None]
"""Takes what somebody did: the ``data-*`` of the element, or the fields of the form, with its ``act``."""


class Live(Element, component="live.js"):
    """HTML from the server; a change patches the page in place, so that focus, typing and scroll stay.

    Elements with ``data-act`` report clicks, forms with ``data-act`` their fields; inputs with it what is typed.
    """

    def __init__(self, html: str = "", *, act: Act | None = None) -> None:
        """Show some HTML; ``act`` is told what somebody does in it."""
        super().__init__()
        self._props["html"] = html
        if act is not None:
            self.on("act", _taker(act))

    def show(self, html: str) -> None:
        """Show other HTML; nothing is sent if it is the same."""
        if self._props["html"] != html:
            self._props["html"] = html
            self.update()


class Rows(Element, component="rows.js"):
    """A table of any length, of which the browser holds only the rows in sight; ``act`` hears which those are."""

    def __init__(self, *, head: str, label: str, act: Act) -> None:
        """Show a head; rows come with :meth:`show`."""
        super().__init__()
        self._props.update({"head": head, "label": label, "html": "", "offset": 0, "total": 0})
        self.on("act", _taker(act))

    def show(self, html: str, *, offset: int, total: int) -> None:
        """Show rows from ``offset`` on, of ``total``."""
        new = {"html": html, "offset": offset, "total": total}
        if any(self._props[name] != value for name, value in new.items()):
            self._props.update(new)
            self.update()


class Chart(Element, component="chart.js"):
    """A chart by ECharts. Colours in its options are names of the style sheet: ``$ink``, ``$alerting/0.2``."""

    def __init__(self, *, name: str, label: str, height_px: int = 240, act: Act | None = None) -> None:
        """Prepare; it is empty until :meth:`show`. ``label`` says what it shows, for those who do not see it."""
        super().__init__()
        self._props.update({"name": name, "label": label, "height": height_px, "options": None})
        if act is not None:
            self.on("act", _taker(act))

    def show(self, options: dict[str, Any], *, height_px: int | None = None) -> None:
        """Show other options."""
        self._props["options"] = options
        if height_px is not None:
            self._props["height"] = height_px
        self.update()


def _taker(act: Act) -> Callable[[GenericEventArguments], Awaitable[None] | None]:
    def take(event: GenericEventArguments) -> Awaitable[None] | None:
        return act(event.args) if isinstance(event.args, dict) else None

    return take
