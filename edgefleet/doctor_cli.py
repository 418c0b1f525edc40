"""``edgefleet doctor influx``."""

# ruff: noqa: PLC0415  # imports stand where they are used: help is quick

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Final

import typer

EXIT_CODES: Final = {"ok": 0, "warning": 0, "failed": 1}
REFUSED: Final = 2

doctor = typer.Typer(
    name="doctor",
    help="Look at what a gateway rests on, and say what to do about it.",
    no_args_is_help=True,
    add_completion=False,
)


@doctor.callback()
def _doctor() -> None:
    """Look at what a gateway rests on, and say what to do about it."""


@doctor.command()
def influx(
    *,
    config: Annotated[Path, typer.Option("--config", "-c", help="Settings of the gateway.")] = Path("gateway.yaml"),
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for a program to read.")] = False,
) -> None:
    """Examine the InfluxDB of a gateway's settings: reach, clock, buckets, retention, scope of the token.

    Example: `edgefleet doctor influx -c /etc/edgefleet/gateway.yaml`
    """
    from edgefleet.doctor_influx import examine
    from gateway.settings_file import SettingsError, load

    try:
        settings = load(config)
    except SettingsError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(REFUSED) from error
    if settings.influx is None:
        typer.echo(f"{config} has no section influx: there is nothing to look at.", err=True)
        raise typer.Exit(REFUSED)
    findings = list(examine(settings.influx))
    if as_json:
        typer.echo(json.dumps([asdict(finding) for finding in findings]))
    else:
        for finding in findings:
            typer.echo(f"{finding.level:<8} {finding.what}: {finding.found}")
            if finding.remedy:
                typer.echo(f"{'':9}{finding.remedy}")
    raise typer.Exit(max(EXIT_CODES[finding.level] for finding in findings))
