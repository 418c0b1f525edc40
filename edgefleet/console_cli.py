"""``edgefleet console`` and ``edgefleet labels``: the page, and what operators said on it."""

# ruff: noqa: PLC0415  # imports stand where they are used: help is quick, and the page's library is an extra

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal

import typer

from edgefleet.terminal import STATE_DIR, Json, State, errors, fail, new_app, output, print_json, refuse

if TYPE_CHECKING:
    from console.truth import Picture, TruthSource

TRUTH: Final = "truth.jsonl"

Labels = Annotated[
    Path, typer.Option("--state", help="State folder of a gateway, or the console's own.", show_default=True)
]

console_app = new_app()
labels_app = new_app()


@console_app.command()
def console(
    *,
    state: State = STATE_DIR,
    listen: Annotated[
        str, typer.Option(metavar="HOST:PORT", help="Where to listen; beyond loopback a password must be set.")
    ] = "127.0.0.1:8080",
    own: Annotated[
        Path | None,
        typer.Option(help="Folder for answers and passwords; the gateway's console_dir.", show_default="STATE"),
    ] = None,
    models: Annotated[Path | None, typer.Option(help="Folder of the shelves.", show_default="the ones in use")] = None,
    truth: Annotated[Path | None, typer.Option(help="What simulate or demo wrote; STATE/truth.jsonl is found.")] = None,
    secure: Annotated[bool, typer.Option("--secure", help="A proxy before it speaks TLS: cookies need it.")] = False,
    set_password: Annotated[bool, typer.Option("--set-password", help="Ask for a password, keep it, and end.")] = False,
    password_file: Annotated[
        Path | None, typer.Option(help="Take the operator's password from this file's first line.")
    ] = None,
    role: Annotated[Literal["operator", "viewer"], typer.Option(help="Whose password to set.")] = "operator",
    open_browser: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,
) -> None:
    """Serve the web page over a gateway's local store. It only reads; answers to alerts go to a file of their own.

    Example: `edgefleet console --state /var/lib/edgefleet --listen 127.0.0.1:8080`
    """
    with errors():
        from console.errors import ConsoleError
        from console.passwords import Passwords
        from console.server import Options, parse_listen, serve
    from gateway.settings import Settings, shelves_folder

    own = (own or state).absolute()
    try:
        if set_password:
            Passwords(own).put(role, _ask_password())
            typer.echo(f"The password of the {role} is set.")
            return
        if not state.is_dir():
            refuse(f"{state} is not there. Point --state at the state_dir of a gateway.")
        host, port = parse_listen(listen)
        if password_file is not None:
            Passwords(own).take("operator", password_file)
        options = Options(
            state_dir=state.absolute(),
            own_dir=own,
            models_dir=models or shelves_folder(Settings()),
            host=host,
            port=port,
            secure=secure,
            truth=_truth(truth or state / TRUTH, state),
        )
        asyncio.run(serve(options, lambda address: _serving(address, open_browser=open_browser)))
    except ConsoleError as error:
        refuse(str(error), error)


@labels_app.command()
def labels(
    *,
    state: Labels = STATE_DIR,
    as_json: Json = False,
) -> None:
    """List what operators said of alerts: acknowledged, snoozed, confirmed or false, with window, score and model.

    Example: `edgefleet labels --state /var/lib/edgefleet --json`
    """
    from console.errors import ConsoleError
    from console.labels import LabelStore

    if not state.is_dir():
        fail(f"{state} is not there. Point --state at the folder that the console writes to.")
    try:
        rows = [label.as_dict() for label in LabelStore(state).all()]
    except ConsoleError as error:
        fail(str(error), error)
    if as_json:
        print_json(rows)
        return
    from rich.markup import escape
    from rich.table import Table

    table = Table("device", "rule", "verdict", "by", "note")
    for row in rows:
        cells = (f"{row['site']}/{row['domain']}/{row['device']}", row["rule"], row["verdict"], row["operator"])
        table.add_row(*map(escape, (*cells, row["note"])))
    output().print(table)


def _ask_password() -> str:
    if not sys.stdin.isatty():  # from a secret store
        return sys.stdin.readline().rstrip("\n")
    return str(typer.prompt("Password", hide_input=True, confirmation_prompt=True))


def _serving(address: str, *, open_browser: bool) -> None:
    typer.echo(f"console: {address}")
    sys.stdout.flush()
    if open_browser:
        import webbrowser

        webbrowser.open(address)


def _truth(file: Path, state_dir: Path) -> TruthSource | None:
    """Return what computes the picture; ``None`` where nothing was injected."""
    if not file.is_file():
        return None
    from edgefleet.truth_picture import picture

    def source() -> Picture | None:
        return picture(file, state_dir)

    return source
