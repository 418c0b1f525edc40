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

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

STEP_S: Final = 10.0
CELL_KM: Final = 0.3
LANES: Final = 3
_HOUR_S: Final = 3600.0


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


@dataclass(frozen=True, slots=True)
class Passed:
    """What went through each cell within one call of :meth:`Road.advance`."""

    flow_veh_h: Floats
    """Mean flow out of each cell."""
    density_veh_km: Floats
    """Mean density in each cell."""


class Road:
    """Cells in a row, in the direction of travel, with vehicles in them."""

    def __init__(self, diagram: Diagram, cells: int, demand_veh_h: float, waiting_max_veh: float = 60.0) -> None:
        """Fill ``cells`` cells with free traffic at ``demand_veh_h``, below capacity."""
        self.diagram = diagram
        self.vehicles: Floats = np.full(cells, demand_veh_h / diagram.free_km_h * CELL_KM)
        self.waiting_veh = 0.0
        self.demanded_veh = 0.0
        self.diverted_veh = 0.0
        self.left_veh = 0.0
        self._waiting_max_veh = waiting_max_veh
        self._jam_veh = diagram.jam_veh_km * CELL_KM
        self._capacity_veh = diagram.capacity_veh_h * STEP_S / _HOUR_S
        self._receive_share = diagram.wave_km_h * STEP_S / _HOUR_S / CELL_KM
        self._send_share = diagram.free_km_h * STEP_S / _HOUR_S / CELL_KM
        self._crossing: Floats = np.zeros(cells + 1)
        self._sent: Floats = np.empty(cells)
        self._received: Floats = np.empty(cells)

    def advance(self, steps: int, demand_veh_h: float, exits_veh_h: Floats, *, free_speed_share: float = 1.0) -> Passed:
        """Let traffic flow for ``steps`` steps.

        ``exits_veh_h``: capacity at the lower end of each cell, at most the diagram's; ``free_speed_share``: share of
        the free speed driven.
        """
        exits_veh = exits_veh_h * (STEP_S / _HOUR_S)
        arriving_veh = demand_veh_h * STEP_S / _HOUR_S
        present, crossed = np.zeros_like(self.vehicles), np.zeros_like(self._crossing)
        for _ in range(steps):
            present += self.vehicles
            self._cross(arriving_veh, exits_veh, self._send_share * free_speed_share)
            crossed += self._crossing
        self.left_veh += float(crossed[-1])
        return Passed(crossed[1:] * (_HOUR_S / STEP_S / steps), present * (1.0 / CELL_KM / steps))

    def _cross(self, arriving_veh: float, exits_veh: Floats, send_share: float) -> None:
        """Move vehicles over each cell's borders, once."""
        vehicles, sent, received, crossing = self.vehicles, self._sent, self._received, self._crossing
        np.multiply(vehicles, send_share, out=sent)
        np.minimum(sent, exits_veh, out=sent)
        np.subtract(self._jam_veh, vehicles, out=received)
        np.multiply(received, self._receive_share, out=received)
        np.minimum(sent[:-1], received[1:], out=crossing[1:-1])
        crossing[-1] = sent[-1]
        crossing[0] = self._enter(arriving_veh, min(float(received[0]), self._capacity_veh))
        vehicles += crossing[:-1]
        vehicles -= crossing[1:]

    def _enter(self, arriving_veh: float, room_veh: float) -> float:
        """Return how many drive in; the others wait, or turn off when too many wait already."""
        self.demanded_veh += arriving_veh
        waiting_veh = self.waiting_veh + arriving_veh
        entering_veh = min(waiting_veh, room_veh)
        waiting_veh -= entering_veh
        self.waiting_veh = min(waiting_veh, self._waiting_max_veh)
        self.diverted_veh += waiting_veh - self.waiting_veh
        return entering_veh
