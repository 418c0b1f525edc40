"""What operators say of alerts: acknowledged, snoozed, false alarm, confirmed, with a note. A file of its own.

The gateway alone writes the store, so labels are kept beside it in ``labels.db``. Nothing is ever changed there: each
answer is a row, and what stands is the newest of each kind. A row carries what training needs of the alert, because
the store forgets.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from console.errors import LabelError
from contract.answers import LABELS, LABELS_SCHEMA, Verdict
from contract.messages import Alert

NOTE_CHARACTERS: Final = 2000
"""Longest note; the rest is cut off."""

_COLUMNS: Final = """at_s, operator, verdict, note, until_s, alert_id, site, domain, device, rule, severity, onset_s,
    score, model_version, window_start_s, window_end_s"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """One answer to one alert."""

    at_s: float
    """When it was said, Unix seconds."""
    operator: str
    """Who said it, as they signed in."""
    verdict: Verdict
    note: str
    until_s: float | None
    """End of a snooze, Unix seconds."""
    alert_id: str
    site: str
    domain: str
    device: str
    rule: str
    severity: str
    onset_s: float
    score: float
    model_version: str | None
    """Version of the model that raised the alert; ``None`` for a sensor rule."""
    window_start_s: float | None
    """Start of the window that raised it; ``None`` where no shelf says how long windows are."""
    window_end_s: float

    def as_dict(self) -> dict[str, Any]:
        """Return the row for JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What stands of one alert after all that was said of it."""

    acknowledged: bool = False
    snoozed_until_s: float = 0.0
    verdict: Verdict | None = None
    """``false_alarm`` or ``confirmed``, whichever came last."""
    notes: tuple[Label, ...] = ()
    """Everything that was said, oldest first."""

    def quiet(self, now_s: float) -> bool:
        """Tell whether somebody has taken this on, so that it need not call for attention."""
        return self.acknowledged or self.verdict is not None or self.snoozed_until_s > now_s


NOTHING_SAID: Final = Standing()


def label(
    alert: Alert,
    verdict: Verdict,
    *,
    at_s: float,
    operator: str,
    note: str = "",
    until_s: float | None = None,
    window_s: float | None = None,
) -> Label:
    """Return an answer to an alert; ``window_s`` is the length of the window that raised it."""
    return Label(
        at_s=at_s,
        operator=operator,
        verdict=verdict,
        note=note.strip()[:NOTE_CHARACTERS],
        until_s=until_s,
        alert_id=alert.id,
        site=alert.site,
        domain=alert.domain,
        device=alert.device,
        rule=alert.rule,
        severity=alert.severity,
        onset_s=alert.onset_s,
        score=alert.score,
        model_version=alert.model_version,
        window_start_s=None if window_s is None else alert.onset_s - window_s,
        window_end_s=alert.onset_s,
    )


def standings(labels: Iterable[Label]) -> Mapping[str, Standing]:
    """Return what stands, by alert; ``labels`` oldest first."""
    said: dict[str, list[Label]] = {}
    for one in labels:
        said.setdefault(one.alert_id, []).append(one)
    return {alert_id: _standing(answers) for alert_id, answers in said.items()}


def _standing(answers: list[Label]) -> Standing:
    snoozes = [one.until_s or 0.0 for one in answers if one.verdict == "snoozed"]
    verdicts: list[Verdict] = [one.verdict for one in answers if one.verdict in ("false_alarm", "confirmed")]
    return Standing(
        acknowledged=any(one.verdict == "acknowledged" for one in answers),
        snoozed_until_s=snoozes[-1] if snoozes else 0.0,
        verdict=verdicts[-1] if verdicts else None,
        notes=tuple(answers),
    )


class LabelStore:
    """The labels in one folder; may be used from any thread."""

    def __init__(self, folder: Path) -> None:
        """Remember the file; it is made by the first answer."""
        self._path = (folder / LABELS).absolute()
        self._lock = threading.Lock()

    def add(self, one: Label) -> None:
        """Keep an answer; it is durable when this returns.

        :raises LabelError: it cannot be written
        """
        marks = ", ".join("?" * len(one.__slots__))
        with self._opened(self._path.as_uri()) as connection:
            connection.executescript(LABELS_SCHEMA)
            values = list(asdict(one).values())
            connection.execute(f"INSERT INTO labels ({_COLUMNS}) VALUES ({marks})", values)  # noqa: S608  # our names

    def all(self) -> list[Label]:
        """Return everything that was said, oldest first; nothing where nobody said anything.

        :raises LabelError: it cannot be read
        """
        if not self._path.exists():
            return []
        with self._opened(f"{self._path.as_uri()}?mode=ro") as connection:
            names = [name.strip() for name in _COLUMNS.split(",")]
            rows = connection.execute(f"SELECT {_COLUMNS} FROM labels ORDER BY number")  # noqa: S608  # our names
            return [Label(**dict(zip(names, row, strict=True))) for row in rows]

    @contextmanager
    def _opened(self, uri: str) -> Iterator[sqlite3.Connection]:
        try:
            with self._lock:
                connection = sqlite3.connect(uri, uri=True, timeout=5.0)
                try:
                    with connection:
                        yield connection
                finally:
                    connection.close()
        except sqlite3.Error as error:
            raise LabelError(f"{self._path}: {error}. What operators say cannot be kept there.") from error
