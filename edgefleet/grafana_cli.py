"""``edgefleet grafana build`` and ``push``: dashboards as files, and into a Grafana that is there already."""

# ruff: noqa: PLC0415  # imports stand where they are used: help is quick, and the extra may be missing

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgefleet.terminal import FAILED, Json, errors, fail, new_app, print_json

if TYPE_CHECKING:
    from contract.messages import Alert
    from grafana.push import InfluxAccess, Pushed

grafana = new_app(
    "grafana",
    "Dashboards, data sources and alert rules of Grafana. Needs the extra `grafana`.\n\n"
    "Example: `edgefleet grafana build`",
    group=True,
)


@grafana.command()
def build(
    *,
    models_dir: Annotated[Path | None, typer.Option("--models", help="Shelves whose rules become alert rules.")] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Folder to write to; default: the checkout's.")] = None,
) -> None:
    """Generate dashboards and provisioning again from the channel tables and the shelves.

    Example: `edgefleet grafana build`
    """
    with errors():
        from grafana import build as building

        changed = building.write(out or building.HERE, models_dir or building.MODELS)
    for path in changed:
        typer.echo(f"{'wrote' if path.exists() else 'deleted'} {path}")
    if not changed:
        typer.echo("nothing has changed")


@grafana.command()
def push(
    *,
    url: Annotated[str, typer.Option("--url", envvar="GRAFANA_URL", help="Address of the Grafana.")],
    token: Annotated[str, typer.Option("--token", envvar="GRAFANA_TOKEN", help="Token of a service account.")],
    influx_url: Annotated[
        str, typer.Option(envvar="INFLUX_HOST", help="InfluxDB as that Grafana reaches it.")
    ] = "http://127.0.0.1:8086",
    influx_token: Annotated[
        str | None, typer.Option(envvar="INFLUX_TOKEN", help="Token that may read; without it data sources stay.")
    ] = None,
    bucket: Annotated[str, typer.Option(help="Bucket of the points.")] = "edgefleet",
    alerts_bucket: Annotated[str, typer.Option(help="Bucket of the alerts.")] = "edgefleet-alerts",
    webhook: Annotated[
        str | None, typer.Option(help="Address that is told of alerts; default: as it is there.")
    ] = None,
    state: Annotated[Path | None, typer.Option("--state", help="State folder whose alerts become annotations.")] = None,
    models_dir: Annotated[Path | None, typer.Option("--models", help="Shelves whose rules become alert rules.")] = None,
    as_json: Json = False,
) -> None:
    """Put them into a Grafana that is there already; again and again, touching only what this command made.

    Example: `edgefleet grafana push --url http://127.0.0.1:3000 --token $TOKEN --influx-token $INFLUX_TOKEN`
    """
    with errors():
        from grafana_client.client import GrafanaException
        from niquests.exceptions import RequestException

        from grafana import build as building
        from grafana.influxql import ALERTS, FEATURES
        from grafana.push import InfluxAccess, Push

        marks = _alerts(state)

    models = models_dir or building.MODELS
    influx: InfluxAccess | None = None
    if influx_token is not None:
        influx = InfluxAccess(url=influx_url, token=influx_token, buckets={FEATURES: bucket, ALERTS: alerts_bucket})
    try:
        pushed = list(
            Push(url, token).everything(
                building.dashboards(models), building.rules(models), influx=influx, webhook=webhook, alerts=marks
            )
        )
    except RequestException as error:
        fail(f"{url} cannot be reached: {error}. Check --url, and that Grafana runs.", error)
    except GrafanaException as error:
        fail(f"{url} refuses: {error}. Check --token: a service account needs the role Admin.", error)
    _report(pushed, as_json=as_json)


def _alerts(state: Path | None) -> list[Alert]:
    if state is None:
        return []
    from edgefleet.state import reader

    return [stored.alert for stored in reader(state).alerts()]


def _report(pushed: list[Pushed], *, as_json: bool) -> None:
    """Say what became of it; fail where something of somebody else's stands in the way."""
    foreign = [one for one in pushed if one.outcome == "not ours"]
    if as_json:
        rows = [{"kind": one.kind, "name": one.name, "outcome": one.outcome} for one in pushed]
        print_json(rows)
    else:
        for (kind, outcome), count in Counter((one.kind, one.outcome) for one in pushed).items():
            typer.echo(f"{kind:<15}{outcome:<11}{count}")
        for one in foreign:
            typer.echo(f"{one.kind} {one.name} was made by somebody else and is left as it is.", err=True)
    if foreign:
        raise typer.Exit(FAILED)
