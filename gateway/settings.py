"""Settings of the gateway: frozen, refused when built. :mod:`gateway.settings_file` reads them from YAML."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, model_validator

from contract import topics
from contract.errors import TopicError
from gateway.limits import ChannelLimit
from gateway.sources.settings import SourceSettings


def _identity(text: str) -> str:
    try:
        return topics.check_identity("the name", text)
    except TopicError as error:
        raise ValueError(str(error)) from error


def _time_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError) as error:
        message = "is not an IANA time zone"
        raise ValueError(message) from error
    return name


Identity = Annotated[str, AfterValidator(_identity)]
TimeZone = Annotated[str, AfterValidator(_time_zone)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class TlsSettings(_Section):
    """Encryption towards the broker."""

    ca_file: Path | None = None
    """PEM file of the authorities that may have signed the broker's certificate. Default: the system's."""
    certificate_file: Path | None = None
    """PEM file of the gateway's own certificate, where the broker asks for one."""
    key_file: Path | None = None
    """PEM file of the key of ``certificate_file``."""

    @model_validator(mode="after")
    def _both_or_none(self) -> Self:
        if (self.certificate_file is None) != (self.key_file is None):
            message = "certificate_file and key_file go together: set both or neither"
            raise ValueError(message)
        return self


class BrokerSettings(_Section):
    """The MQTT broker."""

    host: str = "127.0.0.1"
    """Name or address of the broker."""
    port: int = Field(1883, ge=1, le=65535)
    """TCP port of the broker, 1 … 65535; 8883 is usual with TLS."""
    protocol: Literal["auto", "3.1.1", "5"] = "auto"
    """MQTT version: ``auto`` tries 5 and falls back to 3.1.1."""
    client_id: str | None = Field(None, min_length=1, max_length=128)
    """Fixed, so that the broker keeps the session while the gateway is away. Default: ``edgefleet-GATEWAY``."""
    username: str | None = None
    """User name at the broker. Default: none is sent."""
    password: SecretStr | None = None
    """Password at the broker; better ``password_file``, or ``${VAR}`` from the environment."""
    password_file: Path | None = None
    """File whose first line is the password."""
    keep_alive_s: int = Field(30, ge=5, le=3600)
    """Longest silence on the connection before the broker is probed, seconds, 5 … 3600."""
    session_expiry_s: int = Field(7 * 86400, ge=0, le=2**32 - 2)
    """How long the broker is asked to keep the session of an absent gateway, seconds (MQTT 5)."""
    receive_maximum: int = Field(8192, ge=1, le=65535)
    """Messages that the broker may send before the first is acknowledged, 1 … 65535 (MQTT 5)."""
    tls: TlsSettings | None = None
    """Present, even empty: the connection is encrypted."""

    @model_validator(mode="after")
    def _one_password(self) -> Self:
        if self.password is not None and self.password_file is not None:
            message = "password and password_file are both set: keep one"
            raise ValueError(message)
        return self


class SiteSettings(_Section):
    """Where the devices are: the frame of calendar features."""

    time_zone: TimeZone = "UTC"
    """IANA name, such as ``Europe/Berlin``."""
    country: str | None = Field(None, pattern=r"^[A-Z]{2}$")
    """ISO 3166 code whose public holidays count. Default: no holidays."""


class LimitSettings(_Section):
    """What untrusted devices may do to the gateway."""

    max_payload_bytes: int = Field(65536, ge=128, le=16 * 2**20)
    """Largest telemetry payload, bytes; a larger one is quarantined."""
    max_devices: int = Field(10_000, ge=1, le=1_000_000)
    """Most devices; messages of further ones are quarantined."""
    max_messages_per_s: float = Field(100.0, gt=0)
    """Most messages a second of one device, averaged over ten minutes; the rest is quarantined."""
    max_future_s: float = Field(300.0, ge=0)
    """How far a device's clock may be ahead of the gateway's, seconds; later samples are quarantined."""


class DomainSettings(_Section):
    """What differs here from a domain's table and shelf."""

    period_s: float | None = Field(None, gt=0)
    """Time between two samples of these devices, seconds. Default: the domain's."""
    lateness_s: float | None = Field(None, ge=0)
    """How late a sample may come and still find its window, seconds. Default: the shelf's."""
    min_coverage: float | None = Field(None, gt=0, le=1)
    """Share of samples that a window needs to be scored, 0 … 1. Default: the shelf's."""
    raise_at: float | None = Field(None, gt=0, le=1)
    """Score at which the model's alert is raised. Default: the shelf's."""
    clear_at: float | None = Field(None, ge=0, lt=1)
    """Score below which it clears; lower than ``raise_at``. Default: the shelf's."""
    silent_after_s: float | None = Field(None, gt=0)
    """Time without a message after which a device is silent, seconds. Default: ten periods, at least 30 s."""
    limits: dict[str, ChannelLimit] = {}
    """Alerts on a channel's value, by name; they need no model."""


class InfluxSettings(_Section):
    """An InfluxDB (2.x, or what speaks its write API) that gets points and alerts."""

    url: str = Field(pattern=r"^https?://[^\s]+$")
    """Address, such as ``http://127.0.0.1:8086``."""
    org: str = "edgefleet"
    """Organisation."""
    bucket: str = "edgefleet"
    """Bucket for points."""
    alerts_bucket: str | None = None
    """Bucket for alerts, which are worth keeping longer. Default: the same one."""
    token: SecretStr | None = None
    """Token that may write the bucket; better ``token_file``, or ``${VAR}`` from the environment."""
    token_file: Path | None = None
    """File whose first line is the token."""
    raw: bool = False
    """Whether raw readings are forwarded too; they always stay in the local store."""
    timeout_s: float = Field(10.0, gt=0)
    """Time after which a write is tried again, seconds."""
    max_series: int = Field(50_000, ge=1)
    """Most series (distinct tags) of a measurement; points of further ones are refused and kept locally."""

    @model_validator(mode="after")
    def _one_token(self) -> Self:
        if (self.token is None) == (self.token_file is None):
            message = "the token is missing or given twice: set token or token_file"
            raise ValueError(message)
        return self


class HomeAssistantSettings(_Section):
    """Alerts and health of the devices, shown in Home Assistant by themselves (MQTT discovery)."""

    prefix: str = Field("homeassistant", pattern=r"^[^+#/]+(/[^+#/]+)*$")
    """Discovery prefix, as in Home Assistant's MQTT settings."""
    expire_after_s: int = Field(120, ge=10)
    """Time without a health report after which Home Assistant shows the gateway's values as unavailable, seconds."""


class JournalSettings(_Section):
    """The log that makes acknowledged messages durable."""

    synchronous: Literal["FULL", "NORMAL"] = "FULL"
    """``FULL``: an acknowledged message survives a power cut. ``NORMAL``: it survives a crash of the gateway only."""
    snapshot_every_s: float = Field(60.0, ge=1)
    """Time between two snapshots of the state, seconds; a restart replays at most this much."""
    snapshot_every_messages: int = Field(1_000_000, ge=1)
    """Messages between two snapshots; one is kept as soon as either is reached. Replaying a million takes some 12 s."""
    max_mb: float = Field(1024.0, ge=1)
    """Most megabytes of batches between two snapshots; when reached, nothing is acknowledged until one is kept."""
    max_write_mb_per_day: float | None = Field(None, gt=0)
    """Megabytes a day that may be written, to spare an SD card: commits wait, up to ``loss_window_s``. Default: any."""
    loss_window_s: float = Field(0.0, ge=0, le=300)
    """Longest that an acknowledged message may wait for its commit, seconds, and so be lost in a crash. 0: never."""

    @model_validator(mode="after")
    def _window_for_budget(self) -> Self:
        if (self.max_write_mb_per_day is None) != (self.loss_window_s == 0):
            message = "max_write_mb_per_day and loss_window_s go together: set both or neither"
            raise ValueError(message)
        return self


class OutboxSettings(_Section):
    """What may wait for stores that are away. Beyond it raw readings are thinned, then dropped, then points go."""

    max_mb: float = Field(2048.0, ge=0.1)
    """Most megabytes; alerts go last."""
    max_age_days: float = Field(30.0, gt=0)
    """Longest wait of points and readings, days; alerts wait as long as there is room."""


class QuarantineSettings(_Section):
    """How many bad messages are kept for a person to look at; beyond, the oldest go and are counted."""

    max_messages: int = Field(10_000, ge=1)
    """Most messages, and as many refused points besides."""
    max_mb: float = Field(16.0, ge=0.01)
    """Most megabytes of payloads."""
    max_age_days: float = Field(30.0, gt=0)
    """Oldest, days."""


class MetricsSettings(_Section):
    """Where the gateway can be watched: ``/healthz``, ``/readyz`` and Prometheus ``/metrics``."""

    listen: str = Field("127.0.0.1:9090", pattern=r"^(off|[^\s:]+:\d{1,5})$")
    """Address and port, or ``off``."""


class RetentionSettings(_Section):
    """How long the local store keeps what."""

    readings_days: float = Field(7.0, gt=0)
    """Raw readings, days."""
    points_days: float = Field(90.0, gt=0)
    """Features and summaries, days."""
    alerts_days: float = Field(730.0, gt=0)
    """Alerts and their acknowledgements, days."""
    max_mb: float = Field(8192.0, ge=1)
    """Most megabytes of all; beyond, the oldest readings go first, then the oldest points."""


class QueueSettings(_Section):
    """Bounds inside the process."""

    batches: int = Field(2, ge=1, le=4096)
    """Journaled batches that may wait to be processed; when full, ingest waits and the broker holds the backlog."""
    tick_s: float = Field(5.0, ge=0.1, le=3600)
    """Longest time without a journal entry while connected, seconds: how finely silence is judged."""


class LogSettings(_Section):
    """What the gateway says of itself."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """Least severe event that is written."""
    format: Literal["console", "json"] = "console"
    """``json`` writes one object a line."""


class Settings(_Section):
    """All settings of one gateway."""

    gateway: Identity = "edge-1"
    """Name of this gateway, 1 to 64 of ``[a-z0-9-]``."""
    state_dir: Path = Path("/var/lib/edgefleet")
    """Folder of journal, outbox and local store; made if it is missing and its parent is there."""
    console_dir: Path | None = None
    """Folder in which the console keeps what operators answer (its ``--own``). Default: ``state_dir``."""
    models_dir: Path | None = None
    """Folder of the shelves. Default: the ones that come with edgefleet."""
    domains_dir: Path | None = None
    """Folder of a user's own domains: ``NAME/domain.yaml``, with a shelf beside it where there is one."""
    health_every_s: float = Field(10.0, ge=0.1)
    """Time between two health reports, seconds."""
    broker: BrokerSettings = BrokerSettings()
    """The MQTT broker."""
    site: SiteSettings = SiteSettings()
    """Time zone and holidays."""
    limits: LimitSettings = LimitSettings()
    """What untrusted devices may do."""
    domains: dict[str, DomainSettings] = {}
    """Differences from a domain's defaults, by domain."""
    sources: dict[Annotated[str, Field(pattern=r"^[a-z0-9_-]{1,64}$")], SourceSettings] = {}
    """Sensors that speak something else than edgefleet's own messages, by a name of your choice."""
    home_assistant: HomeAssistantSettings | None = None
    """Present, even empty: alerts and device health appear in Home Assistant."""
    influx: InfluxSettings | None = None
    """An InfluxDB to forward to. Default: the local store only."""
    journal: JournalSettings = JournalSettings()
    """Durability."""
    outbox: OutboxSettings = OutboxSettings()
    """What may wait for stores that are away."""
    quarantine: QuarantineSettings = QuarantineSettings()
    """How many bad messages are kept."""
    metrics: MetricsSettings = MetricsSettings()
    """Where the gateway can be watched."""
    retention: RetentionSettings = RetentionSettings()
    """How long the local store keeps what."""
    queues: QueueSettings = QueueSettings()
    """Bounds inside the process."""
    log: LogSettings = LogSettings()
    """What the gateway says of itself."""

    def domain(self, name: str) -> DomainSettings:
        """Return what differs for a domain; all ``None`` where nothing does."""
        return self.domains.get(name, DomainSettings())


def shelves_folder(settings: Settings) -> Path:
    """Return the folder of the shelves: the one set, else the checkout's, else the installed one."""
    if settings.models_dir is not None:
        return settings.models_dir
    checkout = Path(__file__).parent.parent / "models"
    return checkout if checkout.is_dir() else Path(sys.prefix) / "share" / "edgefleet" / "models"


def secret(value: SecretStr | None, file: Path | None) -> str | None:
    """Return a secret given by value or by file; ``None`` where neither is set."""
    if file is not None:
        return file.read_text().splitlines()[0].strip()
    return None if value is None else value.get_secret_value()
