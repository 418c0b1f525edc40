"""What operators answer to alerts, as the console keeps it in a file and others read it.

The file is SQLite; the console alone writes it, and only ever adds rows.
"""

from __future__ import annotations

from typing import Final, Literal, get_args

import msgspec

Verdict = Literal["acknowledged", "snoozed", "false_alarm", "confirmed", "note"]
VERDICTS: Final[tuple[Verdict, ...]] = get_args(Verdict)
LABELS: Final = "labels.db"
"""Name of the file, in the folder that is the console's own."""
LABELS_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS labels (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    at_s REAL NOT NULL, operator TEXT NOT NULL, verdict TEXT NOT NULL, note TEXT NOT NULL, until_s REAL,
    alert_id TEXT NOT NULL, site TEXT NOT NULL, domain TEXT NOT NULL, device TEXT NOT NULL,
    rule TEXT NOT NULL, severity TEXT NOT NULL, onset_s REAL NOT NULL, score REAL NOT NULL, model_version TEXT,
    window_start_s REAL, window_end_s REAL NOT NULL);
CREATE INDEX IF NOT EXISTS labels_by_alert ON labels (alert_id);
"""


class Acknowledgement(msgspec.Struct, frozen=True, kw_only=True):
    """The first answer with which somebody took an alert on: any but a note."""

    number: int
    """Row of the console's file, going up."""
    alert_id: str
    site: str
    domain: str
    device: str
    rule: str
    onset_s: float
    """Event time at which the alert began to fire, Unix seconds."""
    at_s: float
    """When it was answered, by the console's clock, Unix seconds."""
    verdict: Verdict
