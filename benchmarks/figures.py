"""Figures and their bars: what was measured, how often, and whether it is good enough."""

from __future__ import annotations

import statistics
from dataclasses import asdict, dataclass, field
from typing import Any, Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One quantity, measured once or several times."""

    name: str
    unit: str
    values: tuple[float, ...]
    bar: float | None = None
    """What it is held to; ``None``: it is told, not judged."""
    side: Literal["at most", "at least"] = "at most"
    note: str = ""

    @property
    def median(self) -> float:
        """Middle of the values."""
        return statistics.median(self.values)

    @property
    def met(self) -> bool | None:
        """Whether every run meets the bar; ``None`` without one."""
        if self.bar is None:
            return None
        return max(self.values) <= self.bar if self.side == "at most" else min(self.values) >= self.bar

    def as_dict(self) -> dict[str, Any]:
        """Return everything, for JSON."""
        return asdict(self) | {"median": self.median, "met": self.met}


@dataclass(slots=True)
class Figures:
    """Figures in the order in which they were first measured; measured again, a value is added."""

    by_name: dict[str, Figure] = field(default_factory=dict)

    def add(self, figure: Figure) -> None:
        """Add a value."""
        before = self.by_name.get(figure.name)
        values = figure.values if before is None else before.values + figure.values
        self.by_name[figure.name] = Figure(**{**asdict(figure), "values": values})

    def table(self) -> str:
        """Return a Markdown table."""
        lines = ["| figure | median | spread | bar | |", "|---|---:|---|---|---|"]
        for one in self.by_name.values():
            bar = "" if one.bar is None else f"{one.side} {_number(one.bar)}"
            verdict = {True: "met", False: "**missed**", None: ""}[one.met]
            spread = f"{_number(min(one.values))} … {_number(max(one.values))}" if len(one.values) > 1 else ""
            note = f" ({one.note})" if one.note else ""
            lines.append(f"| {one.name}{note} | {_number(one.median)} {one.unit} | {spread} | {bar} | {verdict} |")
        return "\n".join(lines)

    @property
    def met(self) -> bool:
        """Whether every bar is met."""
        return all(one.met is not False for one in self.by_name.values())


def _number(value: float) -> str:
    if value == 0 or 0.01 <= abs(value) < 100:
        return f"{value:.2f}"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.4f}"
