"""A bound on series, so that no fleet, by mistake or on purpose, fills a time-series store's memory with them.

Every distinct set of tags of a measurement is a series, and an index of series lives in the store's memory.
"""

from __future__ import annotations

from contract.points import Point


class SeriesLimit:
    """Admits the first so many series of each measurement, in the order in which they come.

    What was admitted is forgotten at a restart, and comes again with its next point.
    """

    def __init__(self, max_series: int) -> None:
        """Start with no series."""
        self._max_series = max_series
        self._known: dict[str, set[tuple[str, ...]]] = {}

    def refusal(self, point: Point) -> str | None:
        """Return why a point's series may not begin; ``None`` where it may, or has already."""
        known = self._known.setdefault(point.measurement, set())
        series = tuple(point.tags.values())  # a measurement's tags come in one order
        if series in known:
            return None
        if len(known) >= self._max_series:
            return f"{point.measurement} has {self._max_series} series, as many as influx.max_series allows"
        known.add(series)
        return None
