"""A user's own domains: ``NAME/domain.yaml`` in the folder that ``domains_dir`` names, a shelf beside it if there is.

A table says what a device measures; ``limits`` raise alerts without any model.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from contract import topics
from contract.codec import RESERVED
from contract.domains import DOMAINS, Channel, Domain
from contract.errors import TopicError
from gateway.frames import WindowSpec
from gateway.limits import ChannelLimit

TABLE: Final = "domain.yaml"


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class ChannelTable(_Section):
    """One measured quantity; see :class:`contract.domains.Channel`."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
    """Field name in payloads and stores; ends in its unit where it has one."""
    unit: str = "1"
    """Unit as people write it; ``1`` for a ratio."""
    low: float
    """Smallest physically possible value."""
    high: float
    """Largest physically possible value."""
    description: str = ""
    """What the value means."""
    max_rate_per_s: Annotated[float, Field(gt=0)] | None = None
    """Fastest physically possible change, unit per second."""
    flat_line_s: Annotated[float, Field(gt=0)] | None = None
    """A healthy sensor never repeats one value exactly for this long, seconds."""

    @model_validator(mode="after")
    def _sound(self) -> Self:
        if self.low >= self.high:
            raise ValueError(f"low = {self.low} is not below high = {self.high}")
        if self.name in RESERVED:
            raise ValueError(f"{self.name} is a field of its own; name the channel otherwise")
        return self


class WindowTable(_Section):
    """How windows are cut where there is no shelf to say so; in seconds."""

    length_s: float | None = None
    """Default: ten periods."""
    hop_s: float | None = None
    """Default: one period."""
    lateness_s: Annotated[float, Field(ge=0)] | None = None
    """Default: two periods."""
    min_coverage: Annotated[float, Field(gt=0, le=1)] = 0.2
    """Share of samples that a window needs to be judged."""

    def spec(self, period_s: float) -> WindowSpec:
        """Return the windows of a domain.

        :raises ValueError: they cannot be cut so
        """
        return WindowSpec(
            length_s=self.length_s or 10 * period_s,
            hop_s=self.hop_s or period_s,
            period_s=period_s,
            lateness_s=2 * period_s if self.lateness_s is None else self.lateness_s,
            min_coverage=self.min_coverage,
        )


class DomainTable(_Section):
    """``domain.yaml``."""

    device: str
    """What one device is, for people."""
    period_s: Annotated[float, Field(gt=0)]
    """Nominal time between two samples, seconds."""
    channels: Annotated[tuple[ChannelTable, ...], Field(min_length=1)]
    """Measured quantities."""
    window: WindowTable = WindowTable()
    """How windows are cut, without a shelf."""
    limits: dict[str, ChannelLimit] = {}
    """Alerts by name."""

    @model_validator(mode="after")
    def _sound(self) -> Self:
        names = [channel.name for channel in self.channels]
        if len(set(names)) != len(names):
            raise ValueError("a channel is named twice")
        for name, limit in self.limits.items():
            if limit.channel not in names:
                raise ValueError(f"limits.{name}.channel = {limit.channel!r} is none of {', '.join(names)}")
        _ = self.window.spec(self.period_s)  # refuses what cannot be cut
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnDomain:
    """A user's domain."""

    domain: Domain
    window: WindowSpec
    limits: Mapping[str, ChannelLimit]


@dataclass(frozen=True, slots=True)
class DomainFault:
    """One fault of one table."""

    file: Path
    path: str
    message: str
    value: object = None
    """What stands there, where it is one value."""


class DomainTableError(Exception):
    """Tables were refused; the message says every fault."""

    def __init__(self, faults: tuple[DomainFault, ...]) -> None:
        """Keep the faults."""
        self.faults = faults
        super().__init__("\n".join(f"{fault.file}: {fault.path}: {fault.message}" for fault in faults))


def own_domains(folder: Path | None) -> dict[str, OwnDomain]:
    """Return the domains of a folder, by name; none without a folder.

    :raises DomainTableError: one of them is refused
    """
    if folder is None:
        return {}
    found: dict[str, OwnDomain] = {}
    faults: list[DomainFault] = []
    files = sorted(folder.glob(f"*/{TABLE}"))
    if not files:
        what = f"no folder in it holds a {TABLE}" if folder.is_dir() else "it is not a folder"
        faults.append(DomainFault(folder, "*", what))
    for file in files:
        faults += _load(file, found)
    if faults:
        raise DomainTableError(tuple(faults))
    return found


def all_domains(own: Mapping[str, OwnDomain]) -> dict[str, Domain]:
    """Return the domains that come with edgefleet and a user's own."""
    return {**DOMAINS, **{name: each.domain for name, each in own.items()}}


def _load(file: Path, found: dict[str, OwnDomain]) -> Iterator[DomainFault]:
    name = file.parent.name
    try:
        topics.check_identity("the folder's name", name)
        table = DomainTable.model_validate(yaml.safe_load(file.read_text(encoding="utf-8")))
    except TopicError as error:
        yield DomainFault(file, name, str(error))
        return
    except ValidationError as error:
        places = [fault["loc"] for fault in error.errors()]
        for fault in error.errors():
            place, message, value = fault["loc"], str(fault["msg"]).removeprefix("Value error, "), fault["input"]
            if fault["type"] == "too_short" and any(each[: len(place)] == place != each for each in places):
                continue  # refused items are not counted: what is wrong with them is said
            path = ".".join(map(str, place)) or "table"
            yield DomainFault(file, path, message, None if isinstance(value, dict | list | tuple) else value)
        return
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        yield DomainFault(file, "YAML", f"is not readable: {error}")
        return
    if name in DOMAINS:
        yield DomainFault(file, name, "is a domain that comes with edgefleet; choose another name")
        return
    channels = tuple(Channel(**channel.model_dump()) for channel in table.channels)
    domain = Domain(name=name, device=table.device, period_s=table.period_s, channels=channels)
    found[name] = OwnDomain(domain=domain, window=table.window.spec(table.period_s), limits=table.limits)
