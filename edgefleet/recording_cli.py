"""``edgefleet replay`` and ``edgefleet backtest``: recorded CSV files, published or judged offline."""

# ruff: noqa: PLC0415  # imports stand where they are used: help is quick

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgefleet.terminal import (
    INTERRUPTED,
    Broker,
    Json,
    duration,
    errors,
    output,
    print_json,
    print_published,
    progress,
)

CsvFile = Annotated[Path, typer.Argument(help="CSV file with a header.", metavar="FILE.csv")]
DomainName = Annotated[str, typer.Option(help="What the device is: agriculture, industrial, retail or traffic.")]
DeviceName = Annotated[str, typer.Option(help="Name of the device.")]
SiteName = Annotated[str, typer.Option(help="Name of the site.")]
Columns = Annotated[
    str | None, typer.Option("--map", help="COLUMN=channel,… or COLUMN=channel*FACTOR to convert a unit.")
]
TimeColumn = Annotated[str | None, typer.Option(help="Column with the time; default: found.")]
Delimiter = Annotated[str | None, typer.Option(help="Between two fields; default: found.")]
Zone = Annotated[str, typer.Option(help="Time zone of times without an offset.")]
Start = Annotated[str | None, typer.Option(help="Time of the first row, where the file has none (ISO 8601).")]


def replay(
    *,
    file: CsvFile,
    domain: DomainName,
    device: DeviceName,
    broker: Broker,
    site: SiteName = "replay",
    columns: Columns = None,
    time_column: TimeColumn = None,
    delimiter: Delimiter = None,
    zone: Zone = "UTC",
    start: Start = None,
    period_s: Annotated[
        float | None,
        typer.Option(
            "--period", parser=duration, metavar="TIME", help="Between two rows, with --start; default: the domain's."
        ),
    ] = None,
    speed: Annotated[float, typer.Option(parser=_speed, metavar="N|max", help="Times faster than recorded.")] = "1",  # type: ignore[assignment]  # goes through the parser
    shift_to_now: Annotated[
        bool, typer.Option("--shift-to-now", help="Move all times so that the last row is due at the end, now.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Publish a recorded CSV file as one device.

    Example: `edgefleet replay pump.csv --domain industrial --device pump-1 --map "Current=current_a" --speed max
    --broker mqtt://127.0.0.1:1883`
    """
    import asyncio

    from simulator.broker_url import BrokerUrl

    with errors():
        from edgefleet.running import ReplayRequest, recording_of
        from edgefleet.running import replay as run

    request = ReplayRequest(
        file=file,
        site=site,
        domain=domain,
        device=device,
        columns=columns,
        time_column=time_column,
        delimiter=delimiter,
        zone=zone,
        start=start,
        period_s=period_s,
        speed=speed,
        shift_to_now=shift_to_now,
    )
    with errors():
        url = BrokerUrl.parse(broker)
        published, whole = asyncio.run(run(recording_of(request), url, speed, progress()))
    print_published(published.samples, published.messages, as_json=as_json)
    if not whole:
        typer.echo("stopped before the end of the recording", err=True)
        raise typer.Exit(INTERRUPTED)


def backtest(
    *,
    file: CsvFile,
    domain: DomainName,
    device: DeviceName,
    out: Annotated[Path, typer.Option(help="CSV file to write, a row a window: window_end,score,coverage,state.")],
    site: SiteName = "replay",
    columns: Columns = None,
    time_column: TimeColumn = None,
    delimiter: Delimiter = None,
    zone: Zone = "UTC",
    start: Start = None,
    period_s: Annotated[
        float | None,
        typer.Option("--period", parser=duration, metavar="TIME", help="Between two rows; default: the domain's."),
    ] = None,
    raise_at: Annotated[
        float | None, typer.Option(min=0.0, max=1.0, help="Also count the alerts under this threshold.")
    ] = None,
    clear_at: Annotated[float | None, typer.Option(min=0.0, max=1.0, help="With --raise-at: where they clear.")] = None,
    as_json: Json = False,
) -> None:
    """Run a recorded CSV file through the gateway's pipeline, offline: every score, and every alert that would fire.

    Example: `edgefleet backtest pump.csv --domain industrial --device pump-1 --map "Current=current_a" --out scores.csv
    --raise-at 0.9`
    """
    if clear_at is not None and (raise_at is None or clear_at > raise_at):
        raise typer.BadParameter("Give --raise-at too, and clear at or below it.", param_hint="--clear-at")
    from edgefleet import backtest as room
    from edgefleet.running import ReplayRequest, recording_of
    from gateway.settings import DomainSettings, Settings

    request = ReplayRequest(
        file=file,
        site=site,
        domain=domain,
        device=device,
        columns=columns,
        time_column=time_column,
        delimiter=delimiter,
        zone=zone,
        start=start,
        period_s=period_s,
    )
    with errors():
        recording = recording_of(request)
        settings = Settings(domains={domain: DomainSettings(period_s=period_s)})
        plan = room.plan_for(domain, settings)
        found = room.backtest(recording, plan)
        other = None
        if raise_at is not None:
            other = room.backtest(recording_of(request), room.with_thresholds(plan, raise_at, clear_at))
        room.write_rows(found.rows, out)
    if as_json:
        print_json(room.as_json(found, other))
        return
    console = output()
    console.print(room.alert_table(found))
    console.print(f"{len(found.rows)} windows in {out}; {len(found.fired)} alerts would have fired")
    if other is not None:
        console.print(f"with raise_at {raise_at}: {len(other.fired)} instead of {len(found.fired)}")


def _speed(text: str) -> float:
    if text == "max":
        return float("inf")
    try:
        speed = float(text)
    except ValueError:
        speed = 0.0
    if not speed > 0:
        raise typer.BadParameter("Write how many times faster, such as 10, or max.")
    return speed
