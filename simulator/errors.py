"""Errors of the simulator.

SimulatorError
├── RefusedError       a setting, file or option that cannot be used; lists every fault found
└── UnknownWorldError  a domain that has no simulated world
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

FAULTS_SHOWN: Final = 20
"""Most faults that one message names; a file may have one a line."""


class SimulatorError(Exception):
    """The simulator cannot do what it was asked to."""


class RefusedError(SimulatorError):
    """Something cannot be used as it is; nothing was started."""

    def __init__(self, where: str, faults: Sequence[str]) -> None:
        """Name the file or option, and every fault found in it."""
        self.where = where
        self.faults = tuple(faults)
        count = "1 fault" if len(self.faults) == 1 else f"{len(self.faults)} faults"
        rest = len(self.faults) - FAULTS_SHOWN
        more = [f"… and {rest} more."] if rest > 0 else []
        shown = (f"{where}: {count}; nothing was started.", *self.faults[:FAULTS_SHOWN], *more)
        super().__init__("\n  ".join(shown))


class UnknownWorldError(SimulatorError):
    """A domain has no simulated world."""

    def __init__(self, domain: str) -> None:
        """Name the domain."""
        self.domain = domain
        super().__init__(f"domain {domain!r} has no simulated world: there is no module simulator.{domain}.")
