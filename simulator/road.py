"""A stretch of road as a cell-transmission model: queues form where demand exceeds capacity, and travel upstream.

Daganzo, "The cell transmission model" (Transportation Research B 28, 1994): the flow between two cells is the smaller
of what the upper one sends, ``min(v n, Q)``, and what the lower one receives, ``min(Q, w (N - n))``, with a
triangular fundamental diagram. Vehicles that do not fit in wait before the first cell; when too many wait, the rest
goes elsewhere.

===============  =============  ===============================================================================
quantity         value          source
===============  =============  ===============================================================================
free speed       98 … 106 km/h  loop data of urban motorways
backward wave    19 km/h        Cassidy & Bertini 1999 and others: 18 … 20 km/h on every congested motorway
capacity         5000 veh/h     three lanes with lorries
step, cell       10 s, 300 m    stable (Courant) up to 108 km/h
===============  =============  ===============================================================================
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

STEP_S: Final = 10.0
CELL_KM: Final = 0.3
LANES: Final = 3
_STEP_H: Final = STEP_S / 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagram:
    """Triangular fundamental diagram of the whole carriageway."""

    free_km_h: float
    wave_km_h: float = 19.0
    """Speed at which a queue's end travels upstream."""
    capacity_veh_h: float = 5000.0

    @property
    def jam_veh_km(self) -> float:
        """Density at which nothing moves."""
        return self.capacity_veh_h * (1.0 / self.free_km_h + 1.0 / self.wave_km_h)


class Passed(NamedTuple):
    """What went through each cell within one call of :meth:`Road.advance`."""

    flow_veh_h: list[float]
    """Mean flow out of each cell."""
    density_veh_km: list[float]
    """Mean density in each cell."""


class Road:
    """Cells in a row, in the direction of travel, with vehicles in them.

    Plain lists: for some twenty cells they are faster than arrays.
    """

    def __init__(self, diagram: Diagram, cells: int, demand_veh_h: float, waiting_max_veh: float = 60.0) -> None:
        """Fill ``cells`` cells with free traffic at ``demand_veh_h``, below capacity."""
        self.diagram = diagram
        self.vehicles = [demand_veh_h / diagram.free_km_h * CELL_KM] * cells
        self.waiting_veh = 0.0
        self.demanded_veh = 0.0
        self.diverted_veh = 0.0
        self.left_veh = 0.0
        self._waiting_max_veh = waiting_max_veh
        self._capacity_veh = diagram.capacity_veh_h * _STEP_H
        self._jam_veh = diagram.jam_veh_km * CELL_KM
        self._receive_share = diagram.wave_km_h * _STEP_H / CELL_KM
        self._send_share = diagram.free_km_h * _STEP_H / CELL_KM

    def advance(
        self, steps: int, demand_veh_h: float, exits_veh_h: Sequence[float], *, free_speed_share: float = 1.0
    ) -> Passed:
        """Let traffic flow for ``steps`` steps.

        ``exits_veh_h``: capacity at the lower end of each cell, at most the diagram's; ``free_speed_share``: share of
        the free speed driven.
        """
        exits_veh = [exit_veh_h * _STEP_H for exit_veh_h in exits_veh_h]
        present, crossed = [0.0] * len(exits_veh), [0.0] * len(exits_veh)
        for _ in range(steps):
            entering_veh = self._enter(demand_veh_h * _STEP_H)
            self._cross(entering_veh, exits_veh, self._send_share * free_speed_share, present, crossed)
        self.left_veh += crossed[-1]
        per_h, per_km = 1.0 / (steps * _STEP_H), 1.0 / (steps * CELL_KM)
        return Passed([veh * per_h for veh in crossed], [veh * per_km for veh in present])

    def _enter(self, arriving_veh: float) -> float:
        """Return how many drive in; the others wait, or turn off when too many wait already."""
        self.demanded_veh += arriving_veh
        waiting_veh = self.waiting_veh + arriving_veh
        room_veh = self._receive_share * (self._jam_veh - self.vehicles[0])
        entering_veh = min(waiting_veh, room_veh, self._capacity_veh)
        waiting_veh -= entering_veh
        self.waiting_veh = min(waiting_veh, self._waiting_max_veh)
        self.diverted_veh += waiting_veh - self.waiting_veh
        return entering_veh

    def _cross(
        self, entering_veh: float, exits_veh: list[float], send_share: float, present: list[float], crossed: list[float]
    ) -> None:
        """Move vehicles over each cell's lower border, once, and add to the sums of ``present`` and ``crossed``.

        Downstream in order, so that the cell below still holds what it held before the step.
        """
        vehicles, receive_share, jam_veh = self.vehicles, self._receive_share, self._jam_veh
        last = len(vehicles) - 1
        for cell, veh in enumerate(vehicles):
            leaving_veh = send_share * veh
            if leaving_veh > exits_veh[cell]:  # noqa: PLR1730  # a call of min costs as much as the rest
                leaving_veh = exits_veh[cell]
            if cell < last:
                room_veh = receive_share * (jam_veh - vehicles[cell + 1])
                if leaving_veh > room_veh:  # noqa: PLR1730  # likewise
                    leaving_veh = room_veh
            present[cell] += veh
            crossed[cell] += leaving_veh
            vehicles[cell] = veh + entering_veh - leaving_veh
            entering_veh = leaving_veh
