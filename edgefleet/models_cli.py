"""``edgefleet models``: the shelves, whether a file may run, parity with TFLite Micro, and rebuilding them.

Exit codes: 0 good, 1 a check failed, 2 refused before anything was done.
"""

# ruff: noqa: PLC0415  # imports stand where they are used: help is quick

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgefleet.terminal import FAILED, Json, errors, new_app, print_json, print_table, progress, refuse

if TYPE_CHECKING:
    from gateway.inference.manifest import Manifest
    from gateway.inference.shelf import Shelf
    from gateway.inference.verify import Parity, Report
    from models.training.recorded.rows import Row

models = new_app(
    "models",
    "The shelves: what they are, whether a file may run, parity with TFLite Micro, rebuild, C for a firmware.\n\n"
    "Example: `edgefleet models list`",
    group=True,
)

Shelves = Annotated[
    Path | None, typer.Option("--models", help="Folder of the shelves. Default: the ones that come with edgefleet.")
]
Data = Annotated[
    Path | None,
    typer.Option("--data", help="Folder of recorded public data. [default: EDGEFLEET_DATA]", file_okay=False),
]
Domain = Annotated[str, typer.Argument(help="Domain of the shelf, such as industrial.")]


@models.command("list")
def list_(*, shelves: Shelves = None, as_json: Json = False) -> None:
    """List the shelves and what they reach.

    Example: `edgefleet models list`
    """
    with errors():
        stated = [shelf.manifest for shelf in _load_all(_folder(shelves))]
    if as_json:
        print_json([manifest.model_dump(mode="json") for manifest in stated])
        return
    print_table(
        ["domain", "rule", "version", "window/hop", "inputs", "arena", "precision", "recall"],
        [_listed(manifest) for manifest in stated],
    )


@models.command()
def check(
    file: Annotated[Path, typer.Argument(help="Any .tflite file.", exists=True, dir_okay=False, readable=True)],
    *,
    as_json: Json = False,
) -> None:
    """Say whether a model may run here and on a microcontroller, and why not.

    Example: `edgefleet models check my_model.tflite`
    """
    from gateway.inference.verify import check as check_file

    report = check_file(file)
    if as_json:
        print_json(_report_json(report))
    else:
        _print_report(report)
    raise typer.Exit(0 if report.passed else FAILED)


@models.command()
def verify(
    domain: Annotated[str | None, typer.Argument(help="Domain of the shelf; all of them without it.")] = None,
    *,
    shelves: Shelves = None,
    as_json: Json = False,
) -> None:
    """Load shelves, and run their golden vectors in LiteRT and in the TFLite Micro interpreter.

    Example: `edgefleet models verify industrial`
    """
    from dataclasses import asdict

    from gateway.inference.micro import MicroMissingError
    from gateway.inference.verify import parity

    with errors():
        loaded = _load_all(_folder(shelves)) if domain is None else [_load(_folder(shelves), domain)]
    try:
        results = [parity(shelf) for shelf in loaded]
    except MicroMissingError as error:
        # the shelves did load: hashes, types, operators, features and LiteRT's outputs hold
        skipped = {"shelves": [shelf.manifest.domain for shelf in loaded], "skipped": str(error)}
        print_json(skipped) if as_json else typer.echo(f"{len(loaded)} shelves load. Parity was skipped: {error}")
        return
    if as_json:
        print_json([asdict(result) | {"passed": result.passed} for result in results])
    else:
        print_table(["domain", "vectors", "differing", "largest", "bound", "arena", "verdict"], map(_verified, results))
    raise typer.Exit(0 if all(result.passed for result in results) else FAILED)


@models.command()
def train(
    domain: Annotated[str | None, typer.Argument(help="Domain of the shelf.")] = None,
    *,
    every: Annotated[bool, typer.Option("--all", help="Rebuild every shelf.")] = False,
    data: Data = None,
    ablate: Annotated[
        bool, typer.Option("--ablate", help="Fit again without each augmentation and regularisation, for the card.")
    ] = False,
    shelves: Shelves = None,
) -> None:
    """Rebuild a shelf from nothing: simulate, read what is recorded, fit, quantise, measure, write.

    Needs the extra `train`, and the recorded data that the shelf's card names.

    Example: `edgefleet models train industrial`
    """
    from gateway.inference.micro import MicroMissingError

    folder = _folder(shelves)
    recipes = _recipes()
    chosen = list(recipes) if every else [_known(domain, recipes)]
    from models.training.guard import LeakError
    from models.training.recorded import DataError, folder_of, needed
    from models.training.train import GateError
    from models.training.train import train as rebuild

    try:
        recordings = folder_of(data)
        if wanted := [make.name for name in chosen for make in recipes[name].recorded]:
            needed(recordings, wanted)
    except DataError as error:
        refuse(str(error))
    for name in chosen:
        try:
            with _progress(name) as report:
                manifest = rebuild(name, recipes[name], folder, report, recordings, ablate=ablate)
        except DataError as error:
            refuse(str(error))
        except ModuleNotFoundError as error:
            refuse(f"{error.name} is not installed. Install edgefleet[train]; it has wheels for x86-64 Linux only.")
        except MicroMissingError as error:
            refuse(str(error))
        except (GateError, LeakError) as error:
            typer.echo(f"{name}: not written, {error}.", err=True)
            raise typer.Exit(FAILED) from error
        typer.echo(f"{name}: {' · '.join(_reached(manifest))}")


@models.command()
def evaluate(
    domain: Domain,
    *,
    data: Data = None,
    unchecked: Annotated[
        bool, typer.Option("--unchecked", help="Take other files than the known ones: figures are not comparable.")
    ] = False,
    recorded: Annotated[bool, typer.Option("--recorded", help="Recorded data only: simulate no fleet.")] = False,
    card: Annotated[bool, typer.Option("--card", help="Write the recorded figures into the shelf's CARD.md.")] = False,
    shelves: Shelves = None,
    as_json: Json = False,
) -> None:
    """Measure a shelf again: on fleets that it never saw and, with --data, on recorded data, beside naive rules.

    Example: `edgefleet models evaluate retail --data recordings --json`
    """
    from dataclasses import asdict

    with errors():
        shelf = _load(_folder(shelves), domain)
    recipes = _recipes()
    recipe = recipes[_known(domain, recipes)]
    from models.training import evaluate as room
    from models.training.recorded import DataError, folder_of

    try:
        folder = folder_of(data, unchecked=unchecked)
        rows = [] if folder is None else room.recorded(shelf, folder)
    except DataError as error:
        refuse(str(error))
    if folder is None and recorded:
        refuse("--recorded without data: name its folder with --data, or in EDGEFLEET_DATA.")
    if card and rows:
        room.write_card(shelf, rows)
    results = None
    if not recorded:
        with _progress(domain) as report:
            results = room.evaluate(shelf, recipe, report)
    if as_json:
        print_json(
            {
                "domain": domain,
                "version": shelf.manifest.version,
                "metrics": [] if results is None else [metric.model_dump() for metric in results.metrics],
                "naive": [] if results is None else [naive.model_dump() for naive in results.naive],
                "recorded": [asdict(row) | {"passed": row.passed, "at_goal": row.at_goal} for row in rows],
            }
        )
        return
    if results is not None:
        print_table(
            ["data", "metric", "int8", "float"],
            [[m.data, m.name, f"{m.int8:g}", "" if m.float32 is None else f"{m.float32:g}"] for m in results.metrics],
        )
        names = list(results.naive[0].metrics)
        naive = [[each.name, *(f"{each.metrics[name]:g}" for name in names)] for each in results.naive]
        print_table(["without a model", *names], naive)
    for row in rows:
        _print_row(row)


@models.command("export-c")
def export_c(
    domain: Domain,
    *,
    out: Annotated[Path, typer.Option("--out", help="Folder for the two files.", file_okay=False)] = Path(),
    shelves: Shelves = None,
    as_json: Json = False,
) -> None:
    """Write a shelf as a C array with its operators and arena size, for a firmware.

    Example: `edgefleet models export-c industrial --out firmware/model`
    """
    from gateway.inference.firmware import export

    with errors():
        shelf = _load(_folder(shelves), domain)
        header, source = export(shelf.manifest, shelf.content, out)
    stated = shelf.manifest
    if as_json:
        print_json(
            {
                "header": str(header),
                "source": str(source),
                "ops": list(stated.ops),
                "arena_bytes": stated.arena_bytes,
                "model_bytes": len(shelf.content),
            }
        )
        return
    typer.echo(f"{header}\n{source}\noperators: {', '.join(stated.ops)}\narena: {stated.arena_bytes} bytes")


def _folder(shelves: Path | None) -> Path:
    from gateway.settings import Settings, shelves_folder

    return shelves if shelves is not None else shelves_folder(Settings())


def _load(folder: Path, domain: str) -> Shelf:
    from gateway.inference.manifest import MANIFEST
    from gateway.inference.shelf import load

    if not (folder / domain).is_dir():
        names = ", ".join(sorted(file.parent.name for file in folder.glob(f"*/{MANIFEST}"))) or "none"
        refuse(f"{folder} holds no shelf {domain!r}. Use one of those that are there: {names}.")
    return load(folder / domain)


def _load_all(folder: Path) -> list[Shelf]:
    from gateway.inference.shelf import load_all

    loaded = list(load_all(folder))
    if not loaded:
        refuse(f"{folder}: holds no shelf. Point --models at a folder of shelves, or build them with train.")
    return loaded


def _recipes() -> dict[str, Any]:
    try:
        from models.training.domains import RECIPES
    except ModuleNotFoundError as error:
        refuse(f"{error.name} is not there: training needs a checkout of edgefleet and its extra `train`.")
    return RECIPES


def _known(domain: str | None, recipes: dict[str, Any]) -> str:
    if domain is None or domain not in recipes:
        named = "No domain is named" if domain is None else f"{domain!r} has no recipe"
        refuse(f"{named}. Use one of {', '.join(recipes)}, or --all with train.")
    return domain


@contextmanager
def _progress(domain: str) -> Iterator[Any]:
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description:<32}"), BarColumn(), TimeElapsedColumn())
    console = progress()
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task(domain, total=1.0)

        def report(what: str, share: float) -> None:
            bar.update(task, completed=share, description=f"{domain}: {what}")

        yield report


def _listed(manifest: Manifest) -> list[str]:
    window = f"{manifest.window.length_s:g}/{manifest.window.hop_s:g} s"
    test = {metric.name: metric.int8 for metric in manifest.metrics if metric.data == "test"}
    reached = [f"{test[name]:.3f}" if name in test else "" for name in ("event precision", "event recall")]
    arena = f"{manifest.arena_bytes} B"
    return [manifest.domain, manifest.rule, manifest.version, window, str(len(manifest.features)), arena, *reached]


def _verified(result: Parity) -> list[str]:
    numbers = (result.vectors, result.differing, result.largest_quanta, result.bound_quanta, result.arena_bytes)
    return [result.domain, *map(str, numbers), "good" if result.passed else "FAILED"]


def _reached(manifest: Manifest) -> list[str]:
    return [f"{metric.name} {metric.int8:.3f}" for metric in manifest.metrics if metric.gate is not None]


def _report_json(report: Report) -> dict[str, Any]:
    anatomy = report.anatomy
    return {
        "file": str(report.path),
        "passed": report.passed,
        "findings": [{"rule": finding.rule, "text": finding.text} for finding in report.findings],
        "notes": list(report.notes),
        "size_bytes": anatomy.size_bytes if anatomy else None,
        "ops": list(anatomy.ops) if anatomy else [],
        "arena_bytes": report.arena_bytes,
    }


def _print_report(report: Report) -> None:
    verdict = "may run here and on a microcontroller" if report.passed else "may not run"
    typer.echo(f"{report.path}: {verdict}")
    if report.anatomy is not None:
        typer.echo(f"  {report.anatomy.size_bytes} bytes, operators {', '.join(report.anatomy.ops)}")
    if report.arena_bytes is not None:
        typer.echo(f"  arena {report.arena_bytes} bytes in TFLite Micro")
    for finding in report.findings:
        typer.echo(f"  {finding.rule}: {finding.text}")
    for note in report.notes:
        typer.echo(f"  note: {note}")


def _print_row(row: Row) -> None:
    bars = (("floor", row.floor, row.passed), ("goal", row.goal, row.at_goal))
    said = [f"{name} {bar:g}: {'reached' if met else 'MISSED'}" for name, bar, met in bars if bar is not None]
    plain = "" if row.float32 is None else f" (float {row.float32:.4g})"
    typer.echo(f"{row.data}, {row.metric}: {row.int8:.4g}{plain}  {'; '.join(said)}")
    if row.naive:
        typer.echo("  without this model: " + ", ".join(f"{name} {value:.4g}" for name, value in row.naive.items()))
    if row.note:
        typer.echo(f"  {row.note}")
