"""``edgefleet score``, ``alerts`` and ``audit``: what a gateway's state folder tells."""

# ruff: noqa: PLC0415  # imports stand where they are used: help is quick

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgefleet.terminal import STATE_DIR, Json, State, errors, output, print_json


def score(
    *,
    truth: Annotated[Path, typer.Option("--truth", help="What simulate or demo wrote.")],
    state: State = STATE_DIR,
    as_json: Json = False,
) -> None:
    """Tell how good a gateway's alerts were, against the faults that were injected.

    Example: `edgefleet score --truth truth.jsonl --state /var/lib/edgefleet --json`
    """
    from edgefleet.reading import scores
    from edgefleet.summary import score_table

    with errors():
        found = scores(truth, state)
    if as_json:
        print_json({domain: one.as_dict() for domain, one in found.items()})
    else:
        output().print(score_table(found))


def alerts(
    *,
    state: State = STATE_DIR,
    firing: Annotated[bool, typer.Option("--firing", help="Only those that fire now.")] = False,
    limit: Annotated[int, typer.Option(min=1, help="At most this many, the newest.")] = 100,
    as_json: Json = False,
) -> None:
    """List alerts, now and past.

    Example: `edgefleet alerts --state /var/lib/edgefleet --firing`
    """
    from edgefleet.reading import alert_rows, alert_table

    with errors():
        rows = alert_rows(state, firing=firing, limit=limit)
    if as_json:
        print_json(rows)
    else:
        output().print(alert_table(rows))


def audit(*, state: State = STATE_DIR, as_json: Json = False) -> None:
    """Show what became of every device's samples: published, stored, duplicate, late, quarantined, lost.

    Example: `edgefleet audit --state /var/lib/edgefleet --json`
    """
    from edgefleet.reading import audit_table, evicted, ledger_rows

    with errors():
        rows, gone = ledger_rows(state), evicted(state)
    if as_json:
        print_json(rows)
    else:
        output().print(audit_table(rows, gone))
