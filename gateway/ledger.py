"""The ledger: what became of every sample of every device of one domain.

Pure, and cheap while all goes well: as long as each device counts on by one, a batch costs a handful of array operations.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from contract.topics import DeviceId
from gateway.intake import Columns, Refusals
from gateway.ports import LedgerLine


class Ledger:
    """Accounts for the devices of one domain, by index."""

    def take(self, columns: Columns) -> NDArray[np.bool_]:
        """Enter samples; return which are new, shape ``(n,)``: False repeats a ``seq`` that is already held."""
        raise NotImplementedError

    def refuse(self, refusals: Refusals) -> None:
        """Enter samples that were quarantined: they arrived, so they are not lost, but they are not stored."""
        raise NotImplementedError

    def late(self, device: NDArray[np.int64]) -> None:
        """Enter samples already taken that came after their window had closed: one entry a sample."""
        raise NotImplementedError

    def repeated(self, device: NDArray[np.int64]) -> None:
        """Move samples already taken as new from stored to duplicate, because their slot was held: one entry each."""
        raise NotImplementedError

    def last_s(self, device: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the newest measurement time of devices, Unix seconds, NaN before the first sample."""
        raise NotImplementedError

    def lines(self, indices: Iterable[int], devices: Sequence[DeviceId]) -> list[LedgerLine]:
        """Return the accounts of some devices; ``devices`` names each index."""
        raise NotImplementedError

    def dump(self) -> bytes:
        """Return the state."""
        raise NotImplementedError

    def load(self, state: bytes) -> None:
        """Take over a state that :meth:`dump` returned."""
        raise NotImplementedError
