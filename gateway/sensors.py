"""Broken sensors and silent devices: judged by themselves, so that "the sensor is broken" never reads as "the cow is ill"."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from contract.domains import Domain
from contract.messages import DeviceState

if TYPE_CHECKING:
    from gateway.windows import Frames

FLAT_LINE: Final = "flat_line"
SATURATION: Final = "saturation"
IMPOSSIBLE_RATE: Final = "impossible_rate"
SILENT: Final = "silent"


@dataclass(frozen=True, slots=True)
class SensorFaults:
    """What is wrong with the sensors in each of ``n`` windows."""

    flags: dict[str, NDArray[np.bool_]]
    """By rule, shape ``(n,)``."""
    words: dict[tuple[int, str], str]
    """Why, by (window, rule), where the flag is up."""


class Sensors:
    """Checks the windows of one domain; carries how long each channel has stood still."""

    def __init__(self, domain: Domain, *, hop_s: float) -> None:
        """Prepare for windows that follow each other every ``hop_s`` seconds."""
        raise NotImplementedError

    def check(self, frames: Frames) -> SensorFaults:
        """Judge windows; each device's must come in order of time."""
        raise NotImplementedError

    def dump(self) -> bytes:
        """Return the state."""
        raise NotImplementedError

    def load(self, state: bytes) -> None:
        """Take over a state that :meth:`dump` returned."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class SilenceChange:
    """A device fell silent or spoke again."""

    index: int
    silent: bool
    words: str


class Silence:
    """Knows which devices of one domain are silent: not heard for too long, or declared offline by the broker."""

    def __init__(self, domain: Domain, *, silent_after_s: float | None = None) -> None:
        """Use ten periods, at least 30 s, where no time is given."""
        raise NotImplementedError

    def state(self, index: int, state: DeviceState) -> None:
        """Enter what a device's state topic said."""
        raise NotImplementedError

    def check(self, now_s: float, received_s: NDArray[np.float64]) -> list[SilenceChange]:
        """Compare at a batch's ``received_s``; ``received_s[index]`` is when each device was last heard.

        Costs O(devices), so it does so only when enough time passed since the last time, or a state came.
        """
        raise NotImplementedError

    def dump(self) -> bytes:
        """Return the state."""
        raise NotImplementedError

    def load(self, state: bytes) -> None:
        """Take over a state that :meth:`dump` returned."""
        raise NotImplementedError
