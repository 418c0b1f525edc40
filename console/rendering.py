"""From view to HTML: templates with everything escaped."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from console import words
from console.fleet import STATUSES, WORDS

FOLDER: Final = Path(__file__).parent
_BEGINNING: Final = 120


def begins(payload: bytes) -> str:
    """Return the beginning of a payload that nobody vouches for, as text."""
    text = payload[:_BEGINNING].decode(errors="replace")
    return text + (" …" if len(payload) > _BEGINNING else "")


def _environment() -> Environment:
    found = Environment(
        loader=FileSystemLoader(FOLDER / "templates"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    for name in ("span", "ago", "clock", "iso", "number", "count", "size", "percent", "rule"):
        found.filters[name] = getattr(words, name)
    # `12.0 | ago(now_s)`: the value comes first in a template
    found.filters["ago"] = lambda then_s, now_s: words.ago(now_s, then_s)
    found.filters["begins"] = begins
    found.globals.update({"statuses": STATUSES, "status_words": WORDS})
    return found


_templates: Final = _environment()


def render(template: str, **view: Any) -> str:
    """Return the HTML of a template."""
    return _templates.get_template(template).render(now_s=view.pop("now_s", 0.0), **view)
