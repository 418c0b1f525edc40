"""Many faults of one device as few: asking for the present one costs the same however many there will be."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

from simulator.worlds import Fault


class InTurn:
    """Faults that follow one another, as one; between them it changes nothing, as each of them would not."""

    def __init__(self, faults: Sequence[Fault[Any]]) -> None:
        """Take faults of which none begins before the last one ends, by onset."""
        self._faults = tuple(faults)
        self._onsets = [fault.onset_s for fault in faults]

    @property
    def onset_s(self) -> float:
        """Onset of the first, Unix seconds."""
        return self._onsets[0]

    @property
    def end_s(self) -> float:
        """End of the last, Unix seconds."""
        return self._faults[-1].end_s

    def bend(self, parameters: Any, t_s: float) -> Any:
        """Return the parameters as the newest fault bends them."""
        begun = bisect_right(self._onsets, t_s)
        return self._faults[begun - 1].bend(parameters, t_s) if begun else parameters


def in_turn(faults: Sequence[Fault[Any]]) -> list[Fault[Any]]:
    """Return faults that together do the same: as many as are ever there at once."""
    turns: list[list[Fault[Any]]] = []
    for fault in sorted(faults, key=lambda one: one.onset_s):
        free = next((turn for turn in turns if turn[-1].end_s <= fault.onset_s), None)
        if free is None:
            turns.append([fault])
        else:
            free.append(fault)
    return [InTurn(turn) for turn in turns]
