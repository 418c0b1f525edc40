# ruff: noqa: INP001  # a script of the containers
"""Health checks: ``python healthy.py gateway``, ``fleet`` or ``console`` exits 0 if all is well."""

from __future__ import annotations

import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Final

from contract.points import GATEWAY
from gateway.sqlite_file import StorageError
from gateway.stores.reader import LocalReader

STORE: Final = Path("/var/lib/edgefleet/store.db")
SIGN_IN: Final = "http://127.0.0.1:8080/login"
ANSWER_S: Final = 5.0
"""Longest wait for the sign-in page."""
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


def console_is_well(page: str = SIGN_IN) -> bool:
    """Tell whether the console answers."""
    try:
        with urllib.request.urlopen(page, timeout=ANSWER_S) as answer:  # noqa: S310  # our own address
            return bool(answer.status == 200)
    except urllib.error.URLError:
        return False


CHECKS: Final[dict[str, Callable[[], bool]]] = {
    "gateway": lambda: gateway_is_well(STORE, time.time()),
    "fleet": lambda: fleet_is_well(TRUTH),
    "console": console_is_well,
}

if __name__ == "__main__":
    sys.exit(0 if CHECKS[sys.argv[1]]() else 1)
