"""Settings of a source, as they stand under ``sources:`` in ``gateway.yaml``.

What they mean together is checked in :mod:`gateway.sources.checks`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from contract import topics
from contract.errors import TopicError
from gateway.sources.times import TimeUnit

Format = Literal["json", "messagepack", "cbor", "value", "senml-json", "senml-cbor", "line-protocol", "sparkplug-b"]


def _identity(text: str) -> str:
    try:
        return topics.check_identity("it", text)
    except TopicError as error:
        raise ValueError(str(error)) from error


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise ValueError("is not an IANA time zone") from error
    return name


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class FieldSettings(_Section):
    """Where a field goes. ``field: channel`` alone is enough where the units agree."""

    channel: str
    """Channel of the domain that takes the value."""
    unit: str | None = None
    """Unit in which the field is sent, such as ``°F``; it is converted to the channel's. Default: the channel's."""
    scale: float = 1.0
    """Factor on what is sent, before any conversion: 0.1 where tenths are sent."""
    offset: float = 0.0
    """Added after ``scale``, before any conversion."""
    values: dict[str, float] = {}
    """What words stand for, such as ``{"ajar": 0.5}``; on, off, true, false, open and closed are known."""

    @model_validator(mode="before")
    @classmethod
    def _channel_alone(cls, given: Any) -> Any:
        return {"channel": given} if isinstance(given, str) else given


class TimeSettings(_Section):
    """Where a message says when it was measured. ``time: FIELD`` alone is enough for most."""

    field: str
    """Path of the field."""
    unit: TimeUnit = "auto"
    """Unit of a number: s, ms, us, ns; ``auto`` tells by its size."""
    zone: Annotated[str, AfterValidator(_zone)] | None = None
    """IANA time zone of text without an offset. Default: the site's."""

    @model_validator(mode="before")
    @classmethod
    def _field_alone(cls, given: Any) -> Any:
        return {"field": given} if isinstance(given, str) else given


class SourceSettings(_Section):
    """Sensors that speak something else than edgefleet's own messages."""

    topic: str
    """Topic pattern with named parts, such as ``zigbee2mqtt/{device}``. A part is a level or a piece of one;
    ``{field}`` names the field instead of the device; ``+`` is a level without a name, ``#`` all that follows."""
    format: Format = "json"
    """What the payload is."""
    domain: str
    """Domain of these devices; it says what their channels are."""
    site: str = "home"
    """Site of these devices: a name, or made of parts of the topic, such as ``{group}``."""
    device: str = "{device}"
    """Name of a device, made of parts of the topic. It is written in a-z, 0-9 and '-'."""
    device_field: str | None = None
    """Path of the field that names the device, where the topic does not."""
    devices: dict[str, Annotated[str, AfterValidator(_identity)]] = {}
    """Names here, by the name that the topic or field gives; others are written in lower case."""
    fields: dict[str, FieldSettings] = Field(min_length=1)
    """Path of a field in the payload (``a.b.0``) to the channel that takes it."""
    samples: str | None = None
    """Path of the array that holds several samples. Default: a payload that is an array is one."""
    time: TimeSettings | None = None
    """Where a message says when it was measured. Default: when it is received."""
    seq: str | None = None
    """Path of a counter of the device's messages; with it the gateway proves loss."""
    align: bool | None = None
    """Whether times are set back to the start of their period, so that channels that come one by one meet in one
    sample. Default: yes where messages carry no time, for single values and for Sparkplug B."""
    availability: str | None = None
    """Topic pattern on which a device is said to be online or offline: as a word, or as ``state`` of a JSON object."""
