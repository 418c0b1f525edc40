"""States are told apart by those who see fewer colours, and by those who see none: each has a shape of its own."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

CSS = (Path(__file__).parents[2] / "console" / "static" / "console.css").read_text()
STATES = ("alerting", "broken", "silent", "online")
LEAST = 12.0
"""Least distance of two states' colours in CIELAB; about 2 can just be seen side by side."""
SEEN: dict[str, list[list[float]]] = {
    "all colours": [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
    "no red": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "no green": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
    "no blue": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]],
}
"""Linear RGB as others see it (Machado, Oliveira and Fernandes 2009, full severity)."""
TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
WHITE = np.array([0.9505, 1.0, 1.089])


def palette(theme: str) -> dict[str, str]:
    """Return the colours of a theme, by name."""
    block = re.search(r":root \{(.*?)\n\}" if theme == "light" else r'theme="dark"\] \{(.*?)\n\}', CSS, re.DOTALL)
    assert block is not None
    return dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", block[1]))


def lab(colour: str, seen: list[list[float]]) -> NDArray[np.float64]:
    """Return the CIELAB coordinates of a colour as it is seen."""
    rgb = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255.0
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    x, y, z = np.cbrt(np.maximum(TO_XYZ @ np.clip(np.array(seen) @ linear, 0.0, 1.0) / WHITE, 0.008856))
    return np.array([116.0 * y - 16.0, 500.0 * (x - y), 200.0 * (y - z)])


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("eye", SEEN)
def test_colours_of_states_are_told_apart(theme: str, eye: str) -> None:
    colours = palette(theme)
    pairs = itertools.combinations(STATES, 2)
    near = {
        pair: round(distance, 1)
        for pair in pairs
        if (distance := float(np.linalg.norm(np.subtract(*(lab(colours[name], SEEN[eye]) for name in pair))))) < LEAST
    }
    assert near == {}


def test_every_state_has_a_shape_of_its_own() -> None:
    shapes = {name: re.search(rf'\.{name}::before \{{ content: "(.)"', CSS) for name in (*STATES, "resolved")}
    assert all(shapes.values())
    assert len({shape[1] for shape in shapes.values() if shape}) == len(shapes)
