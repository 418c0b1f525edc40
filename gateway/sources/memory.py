"""What sources must remember between messages; part of the intake's state."""

from __future__ import annotations

from typing import Final

import msgspec

REMEMBERED: Final = 20_000
"""Most names and most nodes that are remembered: a hostile client may invent more."""


class Birth(msgspec.Struct, array_like=True):
    """What a Sparkplug B birth said of the metrics that are wanted."""

    names: dict[int, str] = {}
    """By alias."""
    types: dict[str, int] = {}
    """Datatype by name."""


class Node(msgspec.Struct, array_like=True):
    """A Sparkplug B edge node."""

    session: int | None = None
    """Its ``bdSeq``: a death of another session says nothing of this one."""
    births: dict[str, Birth] = {}
    """By device; the node itself under the empty name."""
    devices: list[tuple[str, str]] = []
    """Site and name of its devices that were seen."""


class Memory(msgspec.Struct, array_like=True):
    """What sources remember."""

    names: dict[str, str] = {}
    """By device identity: the foreign name that took it first."""
    nodes: dict[str, Node] = {}
    """By source and topic."""
