"""Curves as SVG, written by hand: a chart of five points needs no library."""

from __future__ import annotations

import math
from typing import Final

WIDTH: Final = 560
HEIGHT: Final = 300
LEFT: Final = 60
BOTTOM: Final = 46
TOP: Final = 40
BAND: Final = 0.15


def curve(title: str, x_name: str, points: dict[int, float]) -> str:
    """Return a chart of µs a message over a count, its axis logarithmic, with the band that it is held to."""
    low = min(points.values())
    highest = 1.25 * max(*points.values(), low * (1 + BAND))
    first, last = math.log(min(points)), math.log(max(points))

    def x(count: float) -> float:
        return LEFT + (math.log(count) - first) / (last - first) * (WIDTH - LEFT - 30)

    def y(cost: float) -> float:
        return HEIGHT - BOTTOM - cost / highest * (HEIGHT - BOTTOM - TOP)

    places = " ".join(f"{x(count):.1f},{y(cost):.1f}" for count, cost in points.items())
    marks = "".join(
        f'<circle cx="{x(count):.1f}" cy="{y(cost):.1f}" r="4" fill="#1f6feb"/>'
        f'<text x="{x(count):.1f}" y="{y(cost) - 10:.1f}" text-anchor="middle">{cost:.1f}</text>'
        f'<text x="{x(count):.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{count:,}</text>'
        for count, cost in points.items()
    )
    band = (
        f'<rect x="{LEFT}" y="{y(low * (1 + BAND)):.1f}" width="{WIDTH - LEFT - 30}" '
        f'height="{y(low) - y(low * (1 + BAND)):.1f}" fill="#2da44e" opacity="0.15"/>'
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" '
        f'font-size="12"><rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>'
        f'<text x="{LEFT}" y="22" font-size="14">{title}</text>{band}'
        f'<line x1="{LEFT}" y1="{HEIGHT - BOTTOM}" x2="{WIDTH - 30}" y2="{HEIGHT - BOTTOM}" stroke="#888"/>'
        f'<text x="{WIDTH / 2}" y="{HEIGHT - 8}" text-anchor="middle">{x_name}</text>'
        f'<text x="16" y="{HEIGHT / 2}" transform="rotate(-90 16 {HEIGHT / 2})" text-anchor="middle">'
        f'µs of CPU a message</text><polyline points="{places}" fill="none" stroke="#1f6feb" stroke-width="2"/>'
        f"{marks}</svg>\n"
    )
