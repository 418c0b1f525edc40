"""``edgefleet doctor``: looks at the machine and at everything that the settings name, and says what to do."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from edgefleet.findings import EXIT_CODES, Finding, ok
from edgefleet.machine import Machine, machine_findings
from edgefleet.surroundings import surrounding_findings
from gateway.settings import Settings
from gateway.settings_file import SettingsError, load

_MARKS: Final = {"ok": "ok      ", "info": "note    ", "warning": "warning ", "critical": "CRITICAL"}


def examine(config: Path, machine: Machine | None = None) -> list[Finding]:
    """Look at everything; settings that are refused are a finding, too, and then only the machine is looked at."""
    try:
        settings = load(config)
    except SettingsError as error:
        mend = f"Mend {config}; edgefleet gateway -c {config} --check says the same."
        found = [Finding("settings", "critical", str(error), mend)]
        return [*found, *machine_findings(machine or Machine(), Settings().state_dir)]
    return [
        ok("settings", f"{config} has no faults"),
        *machine_findings(machine or Machine(), settings.state_dir),
        *surrounding_findings(settings, time.time()),
    ]


def exit_code(findings: Sequence[Finding]) -> int:
    """Return 0 where all is well, 1 where something is to be looked at, 2 where something will not do."""
    return max((EXIT_CODES[finding.severity] for finding in findings), default=0)


def render(findings: Sequence[Finding]) -> str:
    """Return the findings for people, the worst last, where they are read."""
    order = list(_MARKS)
    lines = []
    for finding in sorted(findings, key=lambda finding: order.index(finding.severity)):
        lines.append(f"{_MARKS[finding.severity]}  {finding.check}: {finding.text}")
        if finding.remedy:
            lines.append(f"{'':10}→ {finding.remedy}")
    return "\n".join(lines)
