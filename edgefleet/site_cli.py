"""``edgefleet sniff`` and ``edgefleet doctor`` on the command line."""

# ruff: noqa: PLC0415  # imports stand where they are used: help is quick

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgefleet.durations import shown
from edgefleet.terminal import Broker, Json, duration, errors, print_json, progress

if TYPE_CHECKING:
    from contract.domains import Domain


def sniff(
    *,
    broker: Broker,
    run_s: Annotated[float, typer.Option("--for", parser=duration, metavar="TIME", help="How long to watch.")] = "60s",  # type: ignore[assignment]  # goes through the parser
    config: Annotated[
        Path | None, typer.Option("--config", "-c", help="Settings whose own domains may take the fields.")
    ] = None,
    topic_filter: Annotated[str, typer.Option("--topic", help="Watch only this topic filter.")] = "#",
    write: Annotated[
        Path | None, typer.Option("--write", help="Add the proposals to this settings file, which has no sources yet.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Look at a broker and propose a `sources:` section for gateway.yaml, with a confidence and its reasons.

    Nothing is written without `--write`.

    Example: `edgefleet sniff --broker mqtt://127.0.0.1:1883 --for 60s`
    """
    import asyncio

    from edgefleet.sniff import render, sniffed, watch
    from edgefleet.sniff import write as write_to
    from simulator.broker_url import BrokerUrl

    _quiet()
    with errors():
        domains = _domains(config or write)
        url = BrokerUrl.parse(broker)
        with progress().status(f"watching {url.host} for {shown(run_s)}"):
            seen = asyncio.run(watch(url, run_s, topic_filter))
        found = sniffed(seen, domains)
        if as_json:
            print_json(found.as_dict())
        else:
            typer.echo(render(found), nl=False)
        if write is not None:
            for path in write_to(found, write):
                typer.echo(f"written: {path}", err=True)


def _quiet() -> None:
    """Let the rooms that are used say errors only, and those not where the output goes."""
    from gateway.serve import configure_log
    from gateway.settings import LogSettings

    configure_log(LogSettings(level="error"))


def _domains(config: Path | None) -> Mapping[str, Domain]:
    from gateway.domains import all_domains, own_domains
    from gateway.settings_file import load

    return all_domains(own_domains(load(config).domains_dir if config is not None else None))


def doctor(
    *,
    config: Annotated[Path, typer.Option("--config", "-c", help="Settings of the gateway.")] = Path(
        "/etc/edgefleet/gateway.yaml"
    ),
    as_json: Json = False,
) -> None:
    """Tell whether this machine is fit to run the gateway: power, heat, clock, memory, card, broker, InfluxDB, models.

    Exit code: 0 all well, 1 something to look at, 2 something that will not do.

    Example: `edgefleet doctor -c /etc/edgefleet/gateway.yaml --json`
    """
    from edgefleet.doctor import examine, exit_code, render

    _quiet()
    findings = examine(config)
    if as_json:
        print_json([each.as_dict() for each in findings])
    else:
        typer.echo(render(findings))
    raise typer.Exit(exit_code(findings))
