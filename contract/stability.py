"""Population stability index: how far shares have moved. Training writes it to a shelf, the console compares with it.

``sum((now - then) * ln(now / then))`` over bins; of no change 0. A tenth is little and a quarter is much by the usual
reading (Siddiqi, *Credit Risk Scorecards*, 2006), where chance alone would give next to nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import log
from typing import Final

LEAST_SHARE: Final = 1e-3
"""Share that an empty bin counts as."""


def stability_index(then: Sequence[float], now: Sequence[float]) -> float:
    """Return the index of shares of the same bins, each of which sum to 1."""
    pairs = zip(_floored(then), _floored(now), strict=True)
    return sum((after - before) * log(after / before) for before, after in pairs)


def _floored(shares: Sequence[float]) -> list[float]:
    floored = [max(share, LEAST_SHARE) for share in shares]
    total = sum(floored)
    return [share / total for share in floored]
