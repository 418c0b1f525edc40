"""The command line: arguments in, rooms composed, exit codes out. Imports stand where they are used: help is quick.

Exit codes: 0 done, 1 failed, 2 refused before anything was started, 130 interrupted.
"""

# ruff: noqa: PLC0415  # see above

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal

import typer

from edgefleet import site_cli
from edgefleet.durations import parse_duration

if TYPE_CHECKING:
    from rich.console import Console

FAILED: Final = 1
REFUSED: Final = 2
INTERRUPTED: Final = 130
STATE_DIR: Final = Path("/var/lib/edgefleet")
PASS_ON: Final = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}

app = typer.Typer(
    name="edgefleet",
    help="An edge IoT gateway with on-device inference, and a fleet of simulated sensors to prove it against.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)

State = Annotated[Path, typer.Option("--state", help="State folder of a gateway.", show_default=True)]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for a program to read.")]
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
BrokerChoice = Literal["auto", "mosquitto", "amqtt"]
Broker = Annotated[str, typer.Option("--broker", help="mqtt://[USER:PASSWORD@]HOST[:PORT], or mqtts:// for TLS.")]


def main() -> None:
    """Run the command; an interrupt ends it without a trace."""
    try:
        app()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


def _checked(parse: Callable[[str], float]) -> Callable[[str], float]:
    """Return a parser whose refusal names the option."""

    def checked(text: str) -> float:
        try:
            return parse(text)
        except ValueError as error:
            raise typer.BadParameter(str(error)) from error

    return checked


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


@app.command()
def demo(
    *,
    run_s: Annotated[
        float, typer.Option("--for", parser=_checked(parse_duration), metavar="TIME", help="Length of the live part.")
    ] = "60s",  # type: ignore[assignment]  # goes through the parser
    devices: Annotated[int, typer.Option(min=1, max=10_000, help="Devices, spread over the four domains.")] = 40,
    history_s: Annotated[
        float,
        typer.Option(
            "--history", parser=_checked(parse_duration), metavar="TIME", help="Measured before the live part."
        ),
    ] = "24h",  # type: ignore[assignment]  # goes through the parser
    seed: Annotated[int, typer.Option(min=0, help="Draws devices and events.")] = 7,
    state: Annotated[
        Path | None, typer.Option("--state", help="Keep everything here; default: deleted at the end.")
    ] = None,
    broker: Annotated[BrokerChoice, typer.Option(help="auto: Mosquitto where it is installed, else amqtt.")] = "auto",
    console: Annotated[bool, typer.Option("--console/--no-console", help="Serve the web page meanwhile.")] = True,
    open_browser: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,
    as_json: Json = False,
) -> None:
    """Show it all on this machine: broker, fleet and gateway, then how many injected faults were caught.

    Example: `edgefleet demo --for 60s --devices 40 --seed 7`
    """
    import asyncio

    from edgefleet.console_process import installed
    from edgefleet.demo import DemoOptions
    from edgefleet.demo import demo as run

    options = DemoOptions(
        run_s=run_s,
        devices=devices,
        history_s=history_s,
        seed=seed,
        state_dir=state,
        broker=broker,
        console=console and installed(),
        open_browser=open_browser,
    )
    with _errors():
        summary = asyncio.run(run(options, _progress()))
    if as_json:
        _print_json(summary.as_dict())
    else:
        _console().print(summary.render())


@app.command()
def gateway(
    *,
    config: Annotated[Path, typer.Option("--config", "-c", help="Settings file.")] = Path("gateway.yaml"),
    check: Annotated[bool, typer.Option("--check", help="List every fault of the settings, start nothing.")] = False,
    print_effective: Annotated[bool, typer.Option("--print-effective", help="Print the settings in force.")] = False,
) -> None:
    """Run the gateway.

    Example: `edgefleet gateway -c gateway.yaml --check`
    """
    from edgefleet.lean import absent

    # structlog's tracebacks would be colourful: 6 MB, and a fifth of a second of the start; greenlet is another MB
    with absent("rich", "greenlet"):
        import structlog  # noqa: F401

    from gateway.settings_file import load

    with _errors():
        settings = load(config)
    if print_effective:
        typer.echo(_yaml(settings.model_dump(mode="json")), nl=False)
    if check:
        typer.echo(f"{config}: no faults.", err=True)
    if check or print_effective:
        return
    with _errors():
        from gateway.serve import serve

        serve(settings, config)


@app.command()
def simulate(
    *,
    config: Annotated[
        Path | None, typer.Option("--config", "-c", help="Fleet file; default: the one that comes along.")
    ] = None,
    broker: Annotated[str | None, typer.Option("--broker", help="Broker, instead of the one in the file.")] = None,
    truth: Annotated[
        Path | None, typer.Option("--truth", help="Write here what is wrong with which device, and when.")
    ] = None,
    run_s: Annotated[
        float | None,
        typer.Option("--for", parser=_checked(parse_duration), metavar="TIME", help="Length of the live part."),
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Seed, instead of the one in the file.")] = None,
    as_json: Json = False,
) -> None:
    """Publish a simulated fleet until stopped.

    Example: `edgefleet simulate -c fleet.yaml --broker mqtt://127.0.0.1:1883 --truth truth.jsonl`
    """
    import asyncio

    from edgefleet.running import simulate as run
    from simulator import settings as fleet_settings

    with _errors():
        settings = fleet_settings.load(config or fleet_settings.EXAMPLE)
        changes = {"broker": broker, "run_s": run_s, "seed": seed}
        settings = settings.model_copy(update={name: value for name, value in changes.items() if value is not None})
        published = asyncio.run(run(settings, truth, _progress()))
    _published(published.samples, published.messages, as_json=as_json)


@app.command()
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
            "--period", parser=_checked(parse_duration), metavar="TIME", help="Between two rows, with --start."
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

    from edgefleet.running import ReplayRequest, recording_of
    from edgefleet.running import replay as run
    from simulator.broker_url import BrokerUrl

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
    with _errors():
        url = BrokerUrl.parse(broker)
        published = asyncio.run(run(recording_of(request), url, speed, _progress()))
    _published(published.samples, published.messages, as_json=as_json)


@app.command()
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
        typer.Option(
            "--period", parser=_checked(parse_duration), metavar="TIME", help="Between two rows; default: the domain's."
        ),
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
    with _errors():
        recording = recording_of(request)
        settings = Settings(domains={domain: DomainSettings(period_s=period_s)})
        plan = room.plan_for(domain, settings)
        found = room.backtest(recording, plan)
        other = None
        if raise_at is not None:
            other = room.backtest(recording_of(request), room.with_thresholds(plan, raise_at, clear_at))
        room.write_rows(found.rows, out)
    if as_json:
        _print_json(room.as_json(found, other))
        return
    console = _console()
    console.print(room.alert_table(found))
    console.print(f"{len(found.rows)} windows in {out}; {len(found.fired)} alerts would have fired")
    if other is not None:
        console.print(f"with raise_at {raise_at}: {len(other.fired)} instead of {len(found.fired)}")


@app.command()
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

    with _errors():
        found = scores(truth, state)
    if as_json:
        _print_json({domain: one.as_dict() for domain, one in found.items()})
    else:
        _console().print(score_table(found))


@app.command()
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

    with _errors():
        rows = alert_rows(state, firing=firing, limit=limit)
    if as_json:
        _print_json(rows)
    else:
        _console().print(alert_table(rows))


@app.command()
def audit(*, state: State = STATE_DIR, as_json: Json = False) -> None:
    """Show what became of every device's samples: published, stored, duplicate, late, quarantined, lost.

    Example: `edgefleet audit --state /var/lib/edgefleet --json`
    """
    from edgefleet.reading import audit_table, evicted, ledger_rows

    with _errors():
        rows, gone = ledger_rows(state), evicted(state)
    if as_json:
        _print_json(rows)
    else:
        _console().print(audit_table(rows, gone))


@app.command()
def bench(
    *,
    step_s: Annotated[
        float, typer.Option("--step", parser=_checked(parse_duration), metavar="TIME", help="Time for each rate.")
    ] = "5s",  # type: ignore[assignment]  # goes through the parser
    as_json: Json = False,
) -> None:
    """Tell how many devices this machine sustains: commits, features, local store; new devices are not scored yet.

    Example: `edgefleet bench --step 5s`
    """
    import asyncio

    from edgefleet.bench import bench as run

    with _errors():
        result = asyncio.run(run(step_s, _progress()))
    if as_json:
        _print_json(result.as_dict())
        return
    _console().print(result.render())
    for sentence in result.sentences():
        typer.echo(sentence)


@app.command(context_settings=PASS_ON)
def models(context: typer.Context) -> None:
    """Look after the shelves: list, check, verify, train, evaluate, export-c.

    Example: `edgefleet models list`
    """
    from edgefleet.models_cli import models as shelves

    shelves(args=context.args, prog_name="edgefleet models")


@app.command(context_settings=PASS_ON)
def console(context: typer.Context) -> None:
    """Serve the web page over a gateway's local store.

    Example: `edgefleet console --state /var/lib/edgefleet --listen 127.0.0.1:8080`
    """
    from edgefleet.console_cli import console_app

    console_app(args=context.args, prog_name="edgefleet console")


@app.command(context_settings=PASS_ON)
def labels(context: typer.Context) -> None:
    """List what operators said of alerts on that page.

    Example: `edgefleet labels --state /var/lib/edgefleet --json`
    """
    from edgefleet.console_cli import labels_app

    labels_app(args=context.args, prog_name="edgefleet labels")


@app.command(context_settings=PASS_ON)
def grafana(context: typer.Context) -> None:
    """Build the dashboards, or push them into a Grafana that is there already.

    Example: `edgefleet grafana push --url http://127.0.0.1:3000 --token $TOKEN`
    """
    from edgefleet.grafana_cli import grafana as dashboards

    dashboards(args=context.args, prog_name="edgefleet grafana")


app.command()(site_cli.sniff)
app.command()(site_cli.doctor)


@contextmanager
def _errors() -> Iterator[None]:
    """Turn errors that a person can act on into their message and an exit code."""
    from contract.errors import ContractError
    from edgefleet.errors import EdgefleetError
    from gateway.domains import DomainTableError
    from gateway.inference.errors import ShelfError
    from gateway.settings_file import SettingsError
    from gateway.sqlite_file import StorageError
    from simulator.errors import SimulatorError

    try:
        yield
    except (SettingsError, SimulatorError, ShelfError, DomainTableError, ContractError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(REFUSED) from error
    except (EdgefleetError, StorageError, OSError) as error:
        typer.echo(f"edgefleet: {error}", err=True)
        raise typer.Exit(FAILED) from error


def _published(samples: int, messages: int, *, as_json: bool) -> None:
    if as_json:
        _print_json({"published": samples, "messages": messages})
    else:
        typer.echo(f"published {samples:,} samples in {messages:,} messages; the broker acknowledged all of them")


def _print_json(value: object) -> None:
    import json

    typer.echo(json.dumps(value))


def _yaml(value: object) -> str:
    import yaml

    text: str = yaml.safe_dump(value, sort_keys=False)
    return text


def _console() -> Console:
    from rich.console import Console

    return Console()


def _progress() -> Console:
    """Return where progress goes: standard error, so that the output can be piped."""
    from rich.console import Console

    return Console(stderr=True)
