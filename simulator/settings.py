"""Settings of a fleet: frozen, refused when built; ``fleet.yaml`` beside this file shows every one."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated, Any, Final, Self

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from contract.domains import DOMAINS
from contract.errors import TopicError
from contract.topics import check_identity
from simulator.errors import RefusedError

EXAMPLE: Final = Path(__file__).with_name("fleet.yaml")
"""A fleet of ten devices in each domain."""


def _identity(text: str) -> str:
    try:
        return check_identity("the name", text)
    except TopicError as error:
        raise ValueError(str(error)) from error


def _domain(name: str) -> str:
    if name not in DOMAINS:
        message = f"is none of {', '.join(DOMAINS)}"
        raise ValueError(message)
    return name


Identity = Annotated[str, AfterValidator(_identity)]
DomainName = Annotated[str, AfterValidator(_domain)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class GroupSettings(_Section):
    """The devices of one domain on one site."""

    site: Identity
    """Name of the site, 1 to 64 of ``[a-z0-9-]``."""
    domain: DomainName
    """What the devices are."""
    devices: int = Field(10, ge=1, le=100_000)
    """How many, 1 … 100,000."""
    history_s: float = Field(0.0, ge=0, le=400 * 86400)
    """Measuring time before the live part, published in bursts, seconds."""
    speed: float = Field(1.0, ge=1, le=10_000)
    """Time-lapse of the live part: 60 shows an hour in a minute. Above 1 the fleet's ``run_s`` must be set."""

    @property
    def period_s(self) -> float:
        """Time between two samples, seconds."""
        return DOMAINS[self.domain].period_s


class FleetSettings(_Section):
    """All settings of a fleet."""

    broker: str = "mqtt://127.0.0.1:1883"
    """Address of the broker: ``mqtt://[USER:PASSWORD@]HOST[:PORT]``, or ``mqtts://`` for TLS."""
    seed: int = Field(7, ge=0, lt=2**63)
    """The same seed and times give the same bytes."""
    run_s: float | None = Field(None, gt=0)
    """How long the live part lasts, seconds. Default: until stopped."""
    faults: float = Field(0.5, ge=0, le=1)
    """Share of the devices that get faults."""
    look_alikes: float = Field(0.25, ge=0, le=1)
    """Share of the devices that get harmless events which look like faults."""
    device_faults: float = Field(0.2, ge=0, le=1)
    """Share of the devices whose own hardware fails."""
    samples_per_message: int = Field(60, ge=1, le=60)
    """Most samples of one message, 1 … 60: a device that is behind sends several in one. With 1 each has its own."""
    groups: tuple[GroupSettings, ...]
    """Who publishes."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if not self.groups:
            raise ValueError("groups is empty: name at least one site and domain")
        if self.run_s is None and any(group.speed > 1 for group in self.groups):
            message = "a group has a speed above 1: set run_s, or its clock would overtake the present"
            raise ValueError(message)
        twice = [pair for pair, n in Counter((group.site, group.domain) for group in self.groups).items() if n > 1]
        if twice:
            message = (
                f"groups {' and '.join('/'.join(pair) for pair in twice)} stand twice: join each, or name another site"
            )
            raise ValueError(message)
        return self


def load(file: Path) -> FleetSettings:
    """Read and check a fleet file.

    :raises RefusedError: it cannot be read, or settings in it are refused; lists all of them
    """
    try:
        text = file.read_text(encoding="utf-8")
        tree = yaml.compose(text, Loader=yaml.SafeLoader)
        content = yaml.safe_load(text)
    except (OSError, UnicodeDecodeError) as error:
        raise RefusedError(str(file), [f"cannot be read: {error}"]) from error
    except yaml.YAMLError as error:
        raise RefusedError(str(file), [f"is not YAML: {error}"]) from error
    try:
        return FleetSettings.model_validate(content or {})
    except ValidationError as error:
        faults = sorted(error.errors(), key=lambda fault: _line(tree, fault["loc"]))
        raise RefusedError(str(file), [_fault(tree, fault) for fault in faults]) from error


def _fault(tree: yaml.Node | None, fault: Any) -> str:
    path = ".".join(str(part) for part in fault["loc"]) or "fleet"
    value = fault["input"]
    shown = f" = {value!r}" if isinstance(value, str | int | float) else ""
    rule = fault["msg"].removeprefix("Value error, ")
    if fault["type"] == "extra_forbidden":
        rule = f"is not a setting: {EXAMPLE} shows them all"
    return f"line {_line(tree, fault['loc'])}  {path}{shown}  {rule}"


def _line(node: yaml.Node | None, loc: tuple[str | int, ...]) -> int:
    """Return the line (from 1) of the deepest node on the way to ``loc``."""
    line = 1
    for part in loc:
        if isinstance(node, yaml.MappingNode):
            found = next(((key, value) for key, value in node.value if key.value == part), None)
            if found is None:
                return line
            line, node = found[0].start_mark.line + 1, found[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
            line = node.start_mark.line + 1
    return line
