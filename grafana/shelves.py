"""What the dashboards need of the models' shelves: the rules that the gateway judges by, read as plain files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import yaml

from contract.messages import Severity


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRule:
    """How the gateway judges one model's scores."""

    domain: str
    name: str
    severity: Severity
    meaning: str
    """What a score of 1 says."""
    hop_s: float
    """Time between two scores, seconds."""
    raise_at: float
    clear_at: float
    raise_dwell_s: float
    clear_dwell_s: float


def read_rules(models_dir: Path) -> dict[str, ModelRule]:
    """Return the rule of every domain that has a shelf."""
    rules = (_rule(yaml.safe_load(file.read_text("utf-8"))) for file in sorted(models_dir.glob("*/manifest.yaml")))
    return {rule.domain: rule for rule in rules}


def _rule(manifest: dict[str, object]) -> ModelRule:
    judging, window = manifest["judging"], manifest["window"]
    assert isinstance(judging, dict)
    assert isinstance(window, dict)
    fields = {key: manifest[key] for key in ("domain", "severity", "meaning")}
    levels = {key: judging[key] for key in ("raise_at", "clear_at", "raise_dwell_s", "clear_dwell_s")}
    return ModelRule(**fields, **levels, name=manifest["rule"], hop_s=window["hop_s"])  # type: ignore[arg-type]  # the gateway refuses a manifest with other types
