"""Truth records: what a simulator bent, and when. One JSON object a line in a file; never on a telemetry topic."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import msgspec

from contract.errors import PayloadError

Kind = Literal["fault", "look_alike", "device_fault"]


class Truth(msgspec.Struct, frozen=True, kw_only=True):
    """One injected event."""

    fault: str
    """Label, such as ``valve_closing``."""
    kind: Kind
    """``fault``: a model must alert; ``look_alike``: no model may; ``device_fault``: the sensor, not its subject."""
    site: str
    domain: str
    device: str
    onset_s: float
    """First moment at which the parameter is bent, Unix seconds."""
    end_s: float
    """Moment at which its effect is over, Unix seconds."""
    affected: tuple[str, ...] = ()
    """Further devices of the same site and domain on which an alert is right too (a queue reaches upstream)."""


def encode_truth(truth: Truth) -> bytes:
    """Return one line, without its newline."""
    return msgspec.json.encode(truth)


def decode_truths(lines: Iterable[bytes]) -> list[Truth]:
    """Read all lines of a truth file.

    :raises PayloadError: a line is not a truth record; names the line
    """
    truths = []
    for number, line in enumerate(lines, start=1):
        try:
            truths.append(msgspec.json.decode(line, type=Truth))
        except msgspec.MsgspecError as error:
            message = f"line {number} is not a truth record: {error}"
            raise PayloadError(message) from error
    return truths
