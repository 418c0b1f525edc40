"""What every command shares: options, exit codes, where output goes, and errors as messages that say what to do.

Exit codes: 0 done, 1 failed, 2 refused before anything was started, 130 interrupted.
"""

# ruff: noqa: PLC0415  # imports stand where they are used: help is quick

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, NoReturn

import typer

from edgefleet.durations import parse_duration

if TYPE_CHECKING:
    from rich.console import Console

FAILED: Final = 1
REFUSED: Final = 2
INTERRUPTED: Final = 130
STATE_DIR: Final = Path("/var/lib/edgefleet")
EXTRAS: Final = {
    "aiomqtt": "demo",
    "amqtt": "demo",
    "argon2": "console",
    "nicegui": "console",
    "grafana_client": "grafana",
    "grafana_foundation_sdk": "grafana",
    "niquests": "grafana",
    "matplotlib": "train",
    "sklearn": "train",
    "tensorflow": "train",
}
"""The extra that brings a library which may be missing."""

State = Annotated[Path, typer.Option("--state", help="State folder of a gateway.", show_default=True)]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for a program to read.")]
Broker = Annotated[str, typer.Option("--broker", help="mqtt://[USER:PASSWORD@]HOST[:PORT], or mqtts:// for TLS.")]


def new_app(name: str | None = None, explanation: str | None = None, *, group: bool = False) -> typer.Typer:
    """Return a command, or a ``group`` of them, that looks like all others; its help is Markdown."""
    return typer.Typer(
        name=name,
        help=explanation,
        no_args_is_help=group,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode="markdown",
    )


def duration(text: str) -> float:
    """Parse an option that is a duration, seconds; a refusal names the option."""
    try:
        return parse_duration(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


@contextmanager
def errors() -> Iterator[None]:
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
    except ModuleNotFoundError as error:
        library = (error.name or "").partition(".")[0]
        if library not in EXTRAS:
            raise
        refuse(f"{library} is not installed. Install it with: pip install 'edgefleet[{EXTRAS[library]}]'", error)
    except (SettingsError, SimulatorError, ShelfError, DomainTableError, ContractError) as error:
        refuse(str(error), error)
    except (EdgefleetError, StorageError) as error:
        fail(str(error), error)
    except OSError as error:
        where = "" if error.filename is None else f"{error.filename}: "
        remedy = "" if error.filename is None else " Name another place, or let this user write there."
        fail(f"{where}{error.strerror or error}.{remedy}", error)


def refuse(message: str, cause: BaseException | None = None) -> NoReturn:
    """End the command before anything was started."""
    typer.echo(message, err=True)
    raise typer.Exit(REFUSED) from cause


def fail(message: str, cause: BaseException | None = None) -> NoReturn:
    """End the command, which has failed."""
    typer.echo(f"edgefleet: {message}", err=True)
    raise typer.Exit(FAILED) from cause


def print_json(value: object) -> None:
    """Print one document for a program."""
    typer.echo(json.dumps(value))


def print_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print rows under their headings, without a frame."""
    from rich.table import Table

    table = Table(*head, box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for row in rows:
        table.add_row(*row)
    output().print(table)


def print_published(samples: int, messages: int, *, as_json: bool) -> None:
    """Print what a fleet or a recording has published."""
    if as_json:
        print_json({"published": samples, "messages": messages})
    elif samples:
        typer.echo(f"published {samples:,} samples in {messages:,} messages; the broker acknowledged all of them")
    else:
        typer.echo("nothing was published")


def output() -> Console:
    """Return where results go for people."""
    from rich.console import Console

    return Console()


def progress() -> Console:
    """Return where progress goes: standard error, so that the output can be piped."""
    from rich.console import Console

    return Console(stderr=True)
