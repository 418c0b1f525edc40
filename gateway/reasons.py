"""Why an alert fired: what moved most against the device's own baseline, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from contract.domains import Domain
from contract.messages import Reason

if TYPE_CHECKING:
    from gateway.windows import Frames


def why(domain: Domain, frames: Frames, window: int, *, most: int = 3) -> tuple[str, tuple[Reason, ...]]:
    """Return one sentence and the ``most`` channels of one window that are farthest from the device's usual."""
    raise NotImplementedError
