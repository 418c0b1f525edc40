"""Silent devices: not heard for too long, or declared offline by the broker when their connection died."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from contract.domains import Domain
from contract.messages import DeviceState

CHECKS: Final = 10
"""Checks within the time after which a device is silent; each costs O(devices)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SilenceChange:
    """A device fell silent or spoke again."""

    index: int
    silent: bool
    after_s: float
    """The change belongs this long after the device's newest sample, seconds of event time."""
    words: str


class _State(msgspec.Struct, frozen=True, array_like=True):
    checked_s: float | None
    silent: list[int]
    said: dict[int, tuple[DeviceState, float]]


class Silence:
    """Knows which devices of one domain are silent. A device that said it stops is not."""

    def __init__(self, domain: Domain, *, silent_after_s: float | None = None) -> None:
        """Use ten periods, at least 30 s, where no time is given."""
        self._after_s = max(10.0 * domain.period_s, 30.0) if silent_after_s is None else silent_after_s
        self._period_s = domain.period_s
        self._checked_s: float | None = None
        self._silent: set[int] = set()
        self._said: dict[int, tuple[DeviceState, float]] = {}  # offline or stopped, and when
        self._news = False

    def state(self, index: int, state: DeviceState, now_s: float) -> None:
        """Enter what a device's state topic said, at the intake's ``listening_s``."""
        self._said.pop(index, None)
        if state is not DeviceState.ONLINE:
            self._said[index] = (state, now_s)
        self._news = True

    def check(self, now_s: float, heard_s: NDArray[np.float64]) -> list[SilenceChange]:
        """Compare the intake's ``listening_s`` with when each device was last heard, shape ``(devices,)``.

        Does so only when enough time has passed since the last check, or a device said how it is.
        """
        due = self._checked_s is None or now_s - self._checked_s >= self._after_s / CHECKS
        if not (due or self._news):
            return []
        self._checked_s, self._news = now_s, False
        self._said = {index: said for index, said in self._said.items() if said[1] >= heard_s[index]}
        offline = {index for index, (state, _) in self._said.items() if state is DeviceState.OFFLINE}
        unheard = set(np.flatnonzero(now_s - heard_s >= self._after_s).tolist())
        silent = (unheard - self._said.keys()) | offline
        changes = [self._fell_silent(index, offline) for index in sorted(silent - self._silent)]
        changes += [
            SilenceChange(index=index, silent=False, after_s=0.0, words="heard of again")
            for index in sorted(self._silent - silent)
        ]
        self._silent = silent
        return changes

    def dump(self) -> bytes:
        """Return the state."""
        return msgspec.msgpack.encode(_State(self._checked_s, sorted(self._silent), self._said))

    def load(self, state: bytes) -> None:
        """Take over a state that :meth:`dump` returned."""
        loaded = msgspec.msgpack.decode(state, type=_State)
        self._checked_s, self._silent, self._said = loaded.checked_s, set(loaded.silent), loaded.said

    def _fell_silent(self, index: int, offline: set[int]) -> SilenceChange:
        if index in offline:
            words = "the broker lost the connection, and no goodbye was said"
            return SilenceChange(index=index, silent=True, after_s=self._period_s, words=words)
        words = f"nothing heard for {self._after_s:g} s"
        return SilenceChange(index=index, silent=True, after_s=self._after_s, words=words)
