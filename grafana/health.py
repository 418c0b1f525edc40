"""From health to colour: the one table that every panel uses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from grafana_foundation_sdk.models.dashboard import ValueMap, ValueMapping, ValueMappingResult

from contract.messages import Severity


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """How one state of health is shown."""

    word: str
    colour: str


RESOLVED: Final = Look(word="ok", colour="green")
FIRING: Final = Look(word="firing", colour="red")
SILENT: Final = Look(word="silent", colour="purple")
CLEARING: Final = Look(word="clearing", colour="yellow")

SEVERITIES: Final[dict[Severity, Look]] = {
    "info": Look(word="info", colour="blue"),
    "warning": Look(word="warning", colour="orange"),
    "critical": Look(word="critical", colour="dark-red"),
}

STATES: Final = {"0": RESOLVED, "1": FIRING}
"""Field ``state`` of an alert."""


def state_mapping() -> ValueMapping:
    """Return how the field ``state`` is worded and coloured."""
    return _mapping(STATES)


def severity_mapping() -> ValueMapping:
    """Return how a severity is coloured."""
    return _mapping(SEVERITIES)


def _mapping(looks: dict[str, Look] | dict[Severity, Look]) -> ValueMapping:
    return ValueMap(
        {
            value: ValueMappingResult(text=look.word, color=look.colour, index=index)
            for index, (value, look) in enumerate(looks.items())
        }
    )
