"""What commands read of a gateway's state folder and of the shelves."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from contract.domains import DOMAINS
from contract.errors import PayloadError
from contract.messages import Alert
from contract.truth import Truth, decode_truths
from edgefleet.errors import StateError
from edgefleet.scoring import Tolerance, Watched
from gateway.inference import manifest
from gateway.inference.errors import ShelfFileError
from gateway.ports import LedgerLine
from gateway.stores.reader import LocalReader
from simulator.errors import UnknownWorldError
from simulator.fleet import load_world

STORE: Final = "store.db"
UNKNOWN_WINDOW_PERIODS: Final = 60
"""Length of a window, in sample periods, where a domain has no shelf."""


def reader(state_dir: Path) -> LocalReader:
    """Return a reader of the folder's local store.

    :raises StateError: there is none
    """
    path = state_dir / STORE
    if not path.is_file():
        message = f"{path} is not there. Point --state at the state_dir of a gateway that has run."
        raise StateError(message)
    return LocalReader(path)


def read_truths(file: Path) -> list[Truth]:
    """Read a truth file.

    :raises StateError: it cannot be read, or is not one
    """
    try:
        with file.open("rb") as lines:
            return decode_truths(lines)
    except OSError as error:
        message = f"{file} cannot be read ({error.strerror}). Name the file that simulate or demo wrote with --truth."
        raise StateError(message) from error
    except PayloadError as error:
        message = f"{file}: {error}. Name the file that simulate or demo wrote with --truth."
        raise StateError(message) from error


def firings(store: LocalReader) -> list[Alert]:
    """Return every alert once, as it began."""
    return [stored.alert for stored in store.transitions() if stored.alert.state == "firing"]


def watched(ledger: Iterable[LedgerLine], truths: Sequence[Truth]) -> dict[str, Watched]:
    """Return how much was seen of every domain that sent something, or should have."""
    last_s: dict[str, dict[tuple[str, str], float]] = defaultdict(dict)
    days: dict[str, float] = defaultdict(float)
    for line in ledger:
        last_s[line.domain][line.site, line.device] = line.last_s
        days[line.domain] += line.stored * DOMAINS[line.domain].period_s / 86400.0
    domains = sorted({*last_s, *(truth.domain for truth in truths)})
    return {domain: Watched(last_s=last_s[domain], device_days=days[domain]) for domain in domains}


def tolerance(domain: str, models_dir: Path) -> Tolerance:
    """Return what the shelf's windows ask of the score, and how long a fault must have been there to count."""
    period_s = DOMAINS[domain].period_s
    try:
        window = manifest.read(models_dir / domain).window
        grace_s = window.length_s + window.lateness_s
    except ShelfFileError:
        grace_s = UNKNOWN_WINDOW_PERIODS * period_s
    return Tolerance(grace_s=grace_s, margin_s=max(grace_s, _shortest_fault_s(domain) / 2))


def _shortest_fault_s(domain: str) -> float:
    try:
        events = load_world(domain).events
    except UnknownWorldError:
        return 0.0
    return min((event.duration_s[0] for event in events if event.kind == "fault"), default=0.0)
