"""``manifest.yaml`` of a shelf: all that serving must know of a model, and what a person asks of it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from contract.messages import Severity
from gateway import frames
from gateway.frames import Events, WindowSpec
from gateway.inference.errors import ManifestError, ShelfFileError

MODEL: Final = "model.tflite"
FLOAT_MODEL: Final = "model_float.tflite"
VECTORS: Final = "vectors.npz"
MANIFEST: Final = "manifest.yaml"
CARD: Final = "CARD.md"
_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""libyaml's safe loader where it is there: start-up waits for it."""
HASHED: Final = (MODEL, FLOAT_MODEL, VECTORS)
"""Files whose hashes the manifest must name."""

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Seconds = Annotated[float, Field(ge=0.0)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Event(_Section):
    """Something that happens on a device whenever a channel crosses a threshold; its times of day are learned."""

    name: str
    """First part of its features' names."""
    channel: str
    above: float
    """Threshold, in the channel's unit."""
    falling: bool = False
    """Whether the channel must fall below it instead."""


class Cycle(_Section):
    """A channel added up from one event to another; see :class:`gateway.frames.Cycle` for every field."""

    name: str
    channel: str
    starts: str
    ends: str


class Window(_Section):
    """Which samples make one row of features; see :class:`gateway.frames.WindowSpec` for every field."""

    length_s: float
    hop_s: float
    period_s: float
    lateness_s: float
    min_coverage: Share
    calibration_s: Seconds = 0.0
    horizons_s: tuple[float, ...] = ()
    buckets: int = 8
    monitor: bool = False
    events: tuple[Event, ...] = ()
    usual: bool = False
    courses: tuple[str, ...] = ()
    cycles: tuple[Cycle, ...] = ()

    @property
    def spec(self) -> WindowSpec:
        """The same for :class:`gateway.windows.Windows`.

        :raises ValueError: windows cannot be cut so
        """
        events = tuple(Events(**event.model_dump()) for event in self.events)
        cycles = tuple(frames.Cycle(**cycle.model_dump()) for cycle in self.cycles)
        return WindowSpec(**self.model_dump(exclude={"events", "cycles"}), events=events, cycles=cycles)

    @model_validator(mode="after")
    def _can_be_cut(self) -> Self:
        if self.hop_s > self.length_s:
            raise ValueError(f"hop_s = {self.hop_s} leaves gaps between windows of {self.length_s} s")
        _ = self.spec  # refuses what cannot be cut
        return self


class Feature(_Section):
    """One input of the model and its standardisation: ``(value - mean) / scale``."""

    name: str
    """Name by which :mod:`gateway.features` computes it."""
    mean: float
    """Mean over the training windows; stands in for a value that is missing."""
    scale: Annotated[float, Field(gt=0.0)]
    """Robust spread over the training windows, in the feature's own unit."""


class Quantisation(_Section):
    """Affine int8 quantisation: ``real = (quantum - zero_point) * scale``."""

    scale: Annotated[float, Field(gt=0.0)]
    zero_point: Annotated[int, Field(ge=-128, le=127)]


class Judging(_Section):
    """How scores become alerts."""

    raise_at: Share
    """An alert is pending from this score on."""
    clear_at: Share
    """A firing alert begins to clear below this score."""
    raise_dwell_s: Seconds
    """How long scores must stay at ``raise_at`` or above before the alert fires, seconds."""
    clear_dwell_s: Seconds
    """How long scores must stay below ``clear_at`` before it resolves, seconds."""
    cooldown_s: Seconds
    """How long after resolving no new alert fires, seconds."""

    @model_validator(mode="after")
    def _hysteresis(self) -> Self:
        if self.clear_at >= self.raise_at:
            raise ValueError(f"clear_at = {self.clear_at} is not below raise_at = {self.raise_at}: alerts would flap")
        return self


class Metric(_Section):
    """One measured number: the int8 model beside the float model, with the bar it must pass."""

    name: str
    data: str
    """Which data: ``test``, ``validation/<name>``, …"""
    int8: float
    float32: float | None = None
    gate: float | None = None
    """The bar; a model on the wrong side of it is not written to the shelf."""
    better: Literal["higher", "lower"] = "higher"

    @property
    def passed(self) -> bool:
        """Whether the int8 model is on the right side of the gate; true where there is none."""
        if self.gate is None:
            return True
        return self.int8 >= self.gate if self.better == "higher" else self.int8 <= self.gate


class Naive(_Section):
    """What a rule that needs no model reaches on the same rows."""

    name: str
    metrics: dict[str, float]


class Recorded(_Section):
    """Recorded data that a model learned from."""

    name: str
    files: dict[str, Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]]
    """Hash of each file, by its path below the folder of recorded data."""
    licence: str
    attribution: str
    rows: dict[str, int]
    """Rows in each part: train, validation."""
    until: str
    """Nothing from this time on was read, ISO 8601."""


class Training(_Section):
    """Where the model comes from."""

    command: str
    """Command that rebuilds the shelf from nothing."""
    data: str
    """What it was trained on, in words."""
    seeds: dict[str, tuple[int, ...]] = {}
    """Fleet seeds of each part: train, validation, test; disjoint."""
    windows: dict[str, int] = {}
    """Windows in each part."""
    recorded: tuple[Recorded, ...] = ()
    """Recorded data among what it was trained on."""


class Bins(_Section):
    """How one quantity was spread over the training windows: bin ``i`` ends at ``edges[i]``, the last is open."""

    edges: tuple[float, ...]
    """Deciles, rising, each but once; a value at an edge belongs to the bin that ends there."""
    shares: Annotated[tuple[Share, ...], Field(min_length=1)]
    """Share of the training windows in each bin, one more than edges."""
    usual: Annotated[float, Field(ge=0.0)]
    """Largest stability index of one training fleet against all of them: what a site, season or weather makes."""

    @model_validator(mode="after")
    def _match(self) -> Self:
        if len(self.shares) != len(self.edges) + 1:
            raise ValueError(f"{len(self.edges)} edges part {len(self.edges) + 1} bins, not {len(self.shares)}")
        if list(self.edges) != sorted(set(self.edges)):
            raise ValueError("edges must rise")
        return self


class Reference(_Section):
    """What the model's inputs and scores looked like in training, so that drift can be told from it."""

    windows: int
    devices: int
    """Devices that these windows come from."""
    bins: dict[str, Bins]
    """By name of the feature; ``score`` for the model's own scores."""


class Manifest(_Section):
    """One shelf."""

    version: str
    """Version of the model; goes out with every score and alert."""
    domain: Annotated[str, Field(pattern=r"^[a-z0-9-]{1,64}$")]
    rule: Annotated[str, Field(pattern=r"^[a-z0-9_]{1,64}$")]
    """Name of the alerts that come of this model, such as ``disease``."""
    severity: Severity
    """Severity of these alerts."""
    meaning: str
    """What a score of 1 says, in one sentence."""
    channels: tuple[str, ...]
    """The domain's channels that the model was trained on, in the contract's order."""
    window: Window
    features: Annotated[tuple[Feature, ...], Field(min_length=1)]
    """The model's inputs, in order."""
    clip: Annotated[float, Field(gt=0.0)]
    """Standardised features are clipped to ± this many scales."""
    input: Quantisation
    output: Quantisation
    judging: Judging
    ops: tuple[str, ...]
    """Operators of the model, for a firmware's resolver."""
    arena_bytes: Annotated[int, Field(gt=0)]
    """Smallest tensor arena in which the TFLite Micro interpreter runs the model, bytes."""
    parity_quanta: Annotated[int, Field(ge=0)]
    """Largest difference between TFLite Micro and LiteRT on the golden vectors, in output quanta."""
    sha256: dict[str, Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]]
    """Hash of each file of the shelf."""
    training: Training
    reference: Reference | None = None
    """Without it the console cannot tell drift."""
    metrics: tuple[Metric, ...] = ()
    naive: tuple[Naive, ...] = ()

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Names of the model's inputs, in order."""
        return tuple(feature.name for feature in self.features)

    @model_validator(mode="after")
    def _whole(self) -> Self:
        missing = [name for name in (MODEL, VECTORS) if name not in self.sha256]
        if missing:
            raise ValueError(f"sha256 names no hash of {', '.join(missing)}")
        if len(set(self.feature_names)) != len(self.features):
            raise ValueError("a feature is named twice")
        return self


def read(folder: Path) -> Manifest:
    """Read a shelf's manifest.

    :raises ShelfFileError: there is none, or it is not YAML
    :raises ManifestError: it breaks a rule; every fault is named
    """
    path = folder / MANIFEST
    try:
        data = yaml.load(path.read_text(encoding="utf-8"), Loader=_LOADER)  # noqa: S506  # safe, see there
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ShelfFileError(path, f"cannot be read ({error})", "Point models_dir at a folder of shelves.") from error
    try:
        return Manifest.model_validate(data)
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())
        raise ManifestError(path, faults, "Build the shelf again with `edgefleet models train`.") from error


def write(folder: Path, manifest: Manifest) -> None:
    """Write a shelf's manifest, keys in the order of this module; a row of numbers stays on one line."""
    stated = manifest.model_dump(mode="json", exclude={"reference"} if manifest.reference is None else None)
    text = yaml.safe_dump(stated, sort_keys=False, allow_unicode=True, width=120, default_flow_style=None)
    (folder / MANIFEST).write_text(text, encoding="utf-8")
