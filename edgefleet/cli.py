"""The command line: its commands in the order of its help. Each family of them has a room of its own, ``*_cli``."""

# ruff: noqa: PLC0415  # imports stand where they are used: help is quick

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final, Literal

import typer

from edgefleet import recording_cli, site_cli, state_cli
from edgefleet.terminal import Json, duration, errors, new_app, output, print_json, print_published, progress

BrokerChoice = Literal["auto", "mosquitto", "amqtt"]
PASS_ON: Final = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}

app = new_app(
    "edgefleet",
    "An edge IoT gateway with on-device inference, and a fleet of simulated sensors to prove it against.",
    group=True,
)


@app.command()
def demo(
    *,
    run_s: Annotated[
        float, typer.Option("--for", parser=duration, metavar="TIME", help="Length of the live part.")
    ] = "60s",  # type: ignore[assignment]  # goes through the parser
    devices: Annotated[int, typer.Option(min=1, max=10_000, help="Devices, spread over the four domains.")] = 40,
    history_s: Annotated[
        float,
        typer.Option("--history", parser=duration, metavar="TIME", help="Measured before the live part."),
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

    with errors():
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
    with errors():
        summary = asyncio.run(run(options, progress()))
    if as_json:
        print_json(summary.as_dict())
    else:
        output().print(summary.render())


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

    with errors():
        settings = load(config)
    if print_effective:
        typer.echo(_yaml(settings.model_dump(mode="json")), nl=False)
    if check:
        typer.echo(f"{config}: no faults.", err=True)
    if check or print_effective:
        return
    with errors():
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
        typer.Option("--for", parser=duration, metavar="TIME", help="Length of the live part."),
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Seed, instead of the one in the file.")] = None,
    as_json: Json = False,
) -> None:
    """Publish a simulated fleet until stopped.

    Example: `edgefleet simulate -c fleet.yaml --broker mqtt://127.0.0.1:1883 --truth truth.jsonl`
    """
    import asyncio

    from simulator import settings as fleet_settings

    with errors():
        from edgefleet.running import simulate as run

        settings = fleet_settings.load(config or fleet_settings.EXAMPLE)
        changes = {"broker": broker, "run_s": run_s, "seed": seed}
        settings = settings.model_copy(update={name: value for name, value in changes.items() if value is not None})
        done = asyncio.run(run(settings, truth, progress()))
    print_published(done.samples, done.messages, as_json=as_json)


app.command()(recording_cli.replay)
app.command()(recording_cli.backtest)
app.command()(state_cli.score)
app.command()(state_cli.alerts)
app.command()(state_cli.audit)


@app.command()
def bench(
    *,
    step_s: Annotated[
        float, typer.Option("--step", parser=duration, metavar="TIME", help="Time for each rate.")
    ] = "5s",  # type: ignore[assignment]  # goes through the parser
    as_json: Json = False,
) -> None:
    """Tell how many devices this machine sustains: commits, features, local store; new devices are not scored yet.

    Example: `edgefleet bench --step 5s`
    """
    import asyncio

    with errors():
        from edgefleet.bench import bench as run

        result = asyncio.run(run(step_s, progress()))
    if as_json:
        print_json(result.as_dict())
        return
    output().print(result.render())
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


def _yaml(value: object) -> str:
    import yaml

    text: str = yaml.safe_dump(value, sort_keys=False)
    return text
