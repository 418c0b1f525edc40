"""Run every benchmark, print a table, write JSON and charts; exit code 1 if a bar is missed.

    python -m benchmarks                     everything, three times: some seventy minutes
    python -m benchmarks --only cpu,delay    some of it
    python -m benchmarks --repeat 1 --scale 0.1 --out /tmp/bench
    python -m benchmarks --peers             the same input through other gateways too

Ratios are of figures from one run; the table shows the median of the repetitions and their spread.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import platform
import tempfile
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Final

from benchmarks import charts, parts, running
from benchmarks.figures import Figure, Figures
from benchmarks.stages import stages
from edgefleet.load import Load

Measure = Callable[["Settings"], Awaitable[Iterable[Figure]]]
OUT: Final = Path("build/benchmarks")


class Settings(argparse.Namespace):
    """What was asked for."""

    only: str
    repeat: int
    scale: float
    out: Path
    peers: bool


async def _scaling(settings: Settings) -> Iterable[Figure]:
    messages = int(1_000_000 * settings.scale)
    with tempfile.TemporaryDirectory() as folder:
        curves = {
            "devices": await parts.by_devices(messages),
            "channels": await parts.by_channels(messages, Path(folder)),
            "channels, at one length": await parts.by_channels(messages, Path(folder) / "long", parts.LONGEST_BYTES),
        }
    for what, curve in curves.items():
        chart = charts.curve(f"CPU a message by number of {what}", what, curve)
        (settings.out / f"scaling-{what.replace(', at ', '-').replace(' ', '-')}.svg").write_text(chart)
    return [
        Figure(
            name=f"CPU a message, spread over {what}",
            unit="%",
            values=(parts.spread_pct(curve),),
            bar=None if "length" in what else 15.0,
            note=", ".join(f"{count:,}: {cost:.1f}" for count, cost in curve.items()),
        )
        for what, curve in curves.items()
    ]


async def _inference(_: Settings) -> Iterable[Figure]:
    return parts.inference()


async def _stages(settings: Settings) -> Iterable[Figure]:
    found = await asyncio.to_thread(
        stages, Load(port=0, devices=1000, messages=int(600_000 * settings.scale)), batch_messages=4000
    )
    return [Figure(name=f"stage: {name}", unit="µs", values=(cost,)) for name, cost in found.items()]


MEASURES: Final[dict[str, Measure]] = {
    "cpu": lambda s: running.cpu(int(1_000_000 * s.scale)),
    "throughput": lambda s: running.throughput(60.0 * s.scale),
    "delay": lambda s: running.delay(max(80.0, 120.0 * s.scale)),
    "memory": lambda s: running.memory(max(70, int(100 * s.scale))),
    "flat": lambda s: running.flat(int(running.FLAT_MESSAGES * s.scale)),
    "inference": _inference,
    "start": lambda _: running.start_up(),
    "simulator": lambda s: parts.simulator(500, 20.0 * s.scale),
    "sessions": lambda _: parts.sessions(),
    "scaling": _scaling,
    "stages": _stages,
}


async def run(settings: Settings) -> Figures:
    """Measure what was asked for, as often as was asked."""
    found = Figures()
    chosen = settings.only.split(",") if settings.only else list(MEASURES)
    for turn in range(settings.repeat):
        for name in chosen:
            print(f"{name}, {turn + 1} of {settings.repeat}", flush=True)
            for figure in await MEASURES[name](settings):
                found.add(figure)
    return found


def main() -> int:
    """Run; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help=", ".join(MEASURES))
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--scale", type=float, default=1.0, help="share of the messages, to look quickly")
    parser.add_argument("--out", type=Path, default=OUT, help="folder for figures.json and charts")
    parser.add_argument("--peers", action="store_true", help="the other gateways too")
    settings = parser.parse_args(namespace=Settings())
    settings.out.mkdir(parents=True, exist_ok=True)
    found = asyncio.run(run(settings))
    print(found.table())
    content = {"machine": platform.platform(), "figures": [one.as_dict() for one in found.by_name.values()]}
    (settings.out / "figures.json").write_text(json.dumps(content, indent=1, ensure_ascii=False))
    if settings.peers:
        from benchmarks.peers import compare  # noqa: PLC0415  # only where they are asked for

        table = asyncio.run(compare.run(int(120_000 * settings.scale)))
        print(table)
        (settings.out / "peers.md").write_text(table + "\n")
    return 0 if found.met else 1


if __name__ == "__main__":
    raise SystemExit(main())
