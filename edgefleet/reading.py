"""What ``score``, ``alerts`` and ``audit`` read from a state folder, as rows for JSON and tables for people."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec
from rich.markup import escape
from rich.table import Table

from contract.topics import DeviceId
from edgefleet import state
from edgefleet.scoring import Score, score
from gateway.settings import Settings, shelves_folder

GIVEN_UP: Final = ("thinned", "dropped")
COUNTS: Final = ("published", "stored", "duplicate", "late", "quarantined", "lost")
HEADINGS: Final = ("publ.", "stored", "dupl.", "late", "quar.", "lost")
"""The same, short enough for 80 columns."""


def scores(truth_file: Path, state_dir: Path) -> dict[str, Score]:
    """Return the score of every domain.

    :raises StateError: truth or store is not there
    """
    truths = state.read_truths(truth_file)
    store = state.reader(state_dir)
    watched = state.watched(store.ledger(), truths)
    shelves = shelves_folder(Settings())
    tolerances = {domain: state.tolerance(domain, shelves) for domain in watched}
    return score(truths, state.firings(store), tolerances, watched)


def alert_rows(state_dir: Path, *, firing: bool, limit: int) -> list[dict[str, Any]]:
    """Return the present state of alerts, by time.

    :raises StateError: there is no store
    """
    stored = state.reader(state_dir).alerts(firing=True if firing else None, limit=limit)
    return [{**msgspec.to_builtins(one.alert), "stored_s": one.stored_s} for one in stored]


def ledger_rows(state_dir: Path) -> list[dict[str, Any]]:
    """Return the ledger, by device: the gateway's own account, what stands in the store, and what limits took.

    ``delivered`` is the number of samples in the local store now; ``thinned`` and ``dropped`` are samples, points and
    alerts that the limits of the outbox took from a store that was away, with the span of time in ``reductions``.
    ``quarantine_evicted`` is the number of quarantined messages, of all devices, that had to go for the quarantine's
    limit; it is the same in every row.

    :raises StateError: there is no store
    """
    store = state.reader(state_dir)
    delivered, reductions, evicted = store.delivered(), store.reductions(), store.counts().quarantine_evicted
    rows = []
    for line in store.ledger():
        who = DeviceId(line.site, line.domain, line.device)
        mine = [one for one in reductions if (one.site, one.domain, one.device) == (who.site, who.domain, who.device)]
        row = {name: getattr(line, name) for name in line.__struct_fields__} | {"delivered": delivered.get(who, 0)}
        for what in GIVEN_UP:
            row[what] = sum(one.samples + one.points + one.alerts for one in mine if one.what == what)
        row["reductions"] = [msgspec.structs.asdict(one) for one in mine]
        row["quarantine_evicted"] = evicted
        rows.append(row)
    return rows


def alert_table(rows: Sequence[dict[str, Any]]) -> Table:
    """Return alerts as a table."""
    table = Table()
    table.add_column("since (UTC), device", no_wrap=True)
    table.add_column("alert")
    table.add_column("why")
    for row in rows:
        since = datetime.fromtimestamp(row["onset_s"], UTC).strftime("%Y-%m-%d %H:%M:%S")
        device = f"{row['site']}/{row['domain']}/{row['device']}"
        alert = f"{row['rule']}, {row['severity']}\n{row['state']}, {row['score']:.2f}"
        table.add_row(escape(f"{since}\n{device}"), escape(alert), escape(row["summary"]), end_section=True)
    return table


def evicted(state_dir: Path) -> int:
    """Return how many quarantined messages had to go for the quarantine's limit.

    :raises StateError: there is no store
    """
    return state.reader(state_dir).counts().quarantine_evicted


def audit_table(rows: Sequence[dict[str, Any]], evicted: int = 0) -> Table:
    """Return the ledger as a table, with its sums; ``evicted`` quarantined messages are no longer kept."""
    caption = (
        f"{evicted:,} quarantined messages are counted and no longer kept: the quarantine's limit" if evicted else None
    )
    table = Table(show_footer=True, caption=caption)
    table.add_column("device", footer=f"{len(rows)} devices", no_wrap=True)
    for name, heading in zip(COUNTS, HEADINGS, strict=True):
        table.add_column(heading, justify="right", no_wrap=True, footer=f"{sum(row[name] for row in rows):,}")
    given_up = [name for name in GIVEN_UP if any(row.get(name) for row in rows)]
    for name in given_up:
        table.add_column(name, justify="right", no_wrap=True, footer=f"{sum(row[name] for row in rows):,}")
    for row in rows:
        gaps = ", ".join(f"{first}-{last}" for first, last in row["gaps"])
        device = f"{row['site']}/{row['domain']}/{row['device']}" + (f"\n  missing {gaps}" if gaps else "")
        table.add_row(device, *(f"{row[name]:,}" for name in (*COUNTS, *given_up)))
    return table
