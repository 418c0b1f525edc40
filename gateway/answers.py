"""What operators answer in the console, read from its file; the gateway never writes there."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

import msgspec
import structlog

from contract.answers import LABELS, Acknowledgement

log = structlog.get_logger(__name__)

AT_ONCE: Final = 500
"""Answers that one look returns at most."""
_WAIT_S: Final = 1.0
"""Longest wait for the console to finish a row, seconds."""
_QUERY: Final = """SELECT number, alert_id, site, domain, device, rule, onset_s, at_s, verdict FROM labels AS answer
    WHERE number > iif(?1 > (SELECT max(number) FROM labels), 0, ?1) AND verdict != 'note' AND NOT EXISTS (
        SELECT 1 FROM labels AS earlier WHERE earlier.alert_id = answer.alert_id
            AND earlier.number < answer.number AND earlier.verdict != 'note')
    ORDER BY number LIMIT ?2"""


class ConsoleAnswers:
    """Implements :class:`gateway.ports.Answers` on the file in a folder that is the console's own."""

    def __init__(self, folder: Path) -> None:
        """Remember the file; it is there once somebody answered."""
        self._path = (folder / LABELS).absolute()
        self._readable = True

    def after(self, number: int) -> list[Acknowledgement]:
        """Return the acknowledgements after a number, oldest first; all, where the file does not reach it: a new one.

        None while it cannot be read, which is logged.
        """
        try:
            found = self._read(number) if self._path.exists() else []
        except (OSError, sqlite3.Error, msgspec.ValidationError) as error:
            if self._readable:
                log.warning("answers of operators cannot be read, they wait", file=str(self._path), error=str(error))
            self._readable = False
            return []
        if not self._readable:
            log.info("answers of operators can be read again")
        self._readable = True
        return found

    def _read(self, number: int) -> list[Acknowledgement]:
        with closing(sqlite3.connect(f"{self._path.as_uri()}?mode=ro", uri=True, timeout=_WAIT_S)) as connection:
            connection.row_factory = sqlite3.Row
            return [
                msgspec.convert(dict(row), Acknowledgement) for row in connection.execute(_QUERY, (number, AT_ONCE))
            ]
