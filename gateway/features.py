"""Features of windows by name (filled in next)."""

from __future__ import annotations

from collections.abc import Sequence

from contract.domains import Domain
from gateway.calendars import Calendar
from gateway.frames import Frames, Singles, WindowSpec


class FeatureSet:
    """Named features, parsed once; ``compute`` is the one implementation that training and gateway share."""

    def __init__(
        self, names: Sequence[str], domain: Domain, spec: WindowSpec, calendar: Calendar | None = None
    ) -> None:
        """Parse names.

        :raises ValueError: names that are no feature of this domain and spec, all of them at once
        """
        self.names = tuple(names)

    def compute(self, frames: Frames) -> Singles:
        """Return ``(n, len(names))``; NaN where a feature is undefined (see :func:`fill`)."""
        raise NotImplementedError


def fill(features: Singles) -> Singles:
    """Return features with every undefined one as 0, the value that a model sees (after scaling set it to the mean)."""
    raise NotImplementedError
