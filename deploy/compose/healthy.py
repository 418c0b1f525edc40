# ruff: noqa: INP001  # a script of the containers
"""Health checks: ``python healthy.py gateway`` and ``python healthy.py fleet`` exit 0 if all is well."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Final

from contract.points import GATEWAY
from gateway.sqlite_file import StorageError
from gateway.stores.reader import LocalReader

STORE: Final = Path("/var/lib/edgefleet/store.db")
TRUTH: Final = Path("/run/fleet/truth.jsonl")
LATEST_S: Final = 45.0
"""Age at which a report of the gateway, which comes every ten seconds, is too old."""


def gateway_is_well(store: Path, now_s: float) -> bool:
    """Tell whether the gateway wrote a report of late: its stages run and its disk takes what it writes."""
    try:
        return bool(LocalReader(store).points(GATEWAY, start_s=now_s - LATEST_S))
    except StorageError:
        return False


def fleet_is_well(truth: Path, connections: Path = Path("/proc/net/tcp")) -> bool:
    """Tell whether the fleet is built and holds connections to a broker."""
    established = "01"
    states = [line.split()[3] for line in connections.read_text().splitlines()[1:]]
    return truth.is_file() and established in states


if __name__ == "__main__":
    well = gateway_is_well(STORE, time.time()) if sys.argv[1] == "gateway" else fleet_is_well(TRUTH)
    sys.exit(0 if well else 1)
