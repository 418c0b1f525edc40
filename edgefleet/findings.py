"""What the doctor says: findings, each with what to do."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

Severity = Literal["ok", "info", "warning", "critical"]
EXIT_CODES: Final[dict[Severity, int]] = {"ok": 0, "info": 0, "warning": 1, "critical": 2}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    check: str
    severity: Severity
    text: str
    """What was found."""
    remedy: str = ""
    """What to do; empty where there is nothing."""

    def as_dict(self) -> dict[str, Any]:
        """Return the same for a program."""
        return asdict(self)


def ok(check: str, text: str) -> Finding:
    """Say that something is well."""
    return Finding(check, "ok", text)
