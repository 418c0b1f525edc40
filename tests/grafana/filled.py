"""A real InfluxDB that a real demo filled: fleet, broker, gateway, and an operator who acknowledges what fires.

It is ``edgefleet demo`` itself, but that its gateway has this InfluxDB and a limit besides, and that a few sensors
break in ways in which no simulated one does.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
import yaml
from rich.console import Console

from console.labels import LabelStore, label
from contract.domains import INDUSTRIAL
from contract.messages import Alert, Sample
from contract.points import GATEWAY
from contract.topics import DeviceId
from edgefleet import demo, state
from gateway.sqlite_file import StorageError
from gateway.stores.reader import LocalReader
from simulator.fleet import Fleet, Line, build_fleet, device_names
from tests.influx import RealInflux

POINTS: Final = "edgefleet"
ALERTS: Final = "edgefleet-alerts"
BUCKETS: Final = {"edgefleet-features": POINTS, "edgefleet-alerts": ALERTS}
"""Bucket of each data source."""
DEVICES: Final = 6
"""Of each domain."""
OPTIONS: Final = demo.DemoOptions(run_s=4.0, devices=4 * DEVICES, history_s=60 * 3600.0)
BREAKS_S: Final = 500.0
"""How long before the live part sensors break, seconds."""
LIMITS: Final = {"retail": {"limits": {"warm": {"channel": "ambient_c", "above": 5.0}}}}
"""A limit of one's own, which every shop is above."""
LOOK_EVERY_S: Final = 0.1

Break = Callable[[Sample], Sample | None]
"""What a broken device makes of a sample; ``None``: it says nothing."""


def _measured(**values: float) -> Break:
    return lambda sample: msgspec.structs.replace(sample, values=sample.values | values)


def _jumping(sample: Sample) -> Sample:
    jump_c = 20.0 + 60.0 * (int(sample.ts) % 2)
    return msgspec.structs.replace(sample, values=sample.values | {"temperature_c": jump_c})


_names = device_names(INDUSTRIAL, DEVICES)
BROKEN: Final[dict[str, Break]] = {
    _names[-1]: lambda _: None,
    _names[-2]: _measured(current_a=INDUSTRIAL.channels[2].high),
    _names[-3]: _jumping,
    _names[-4]: _measured(vibration_1_g=0.05),
}
"""Pumps whose sensors break in each of the ways that a rule knows: silent, at the end of its range, too fast, stuck."""


@dataclass(slots=True)
class Breaking:
    """A line of the fleet whose devices break at a time; one that says nothing has no power."""

    line: Line
    breaks_s: float

    @property
    def devices(self) -> tuple[DeviceId, ...]:
        """The devices."""
        return self.line.devices

    @property
    def next_s(self) -> float:
        """Time of the next step."""
        return self.line.next_s

    def advance(self) -> Sequence[Sequence[Sample]]:
        """Take a step; return what leaves each device."""
        broken = self.next_s >= self.breaks_s
        rows = zip(self.devices, self.line.advance(), strict=True)
        return [_bent(BROKEN.get(device.device), samples) if broken else samples for device, samples in rows]

    def dead(self, index: int) -> bool:
        """Tell whether a device is without power."""
        return self.devices[index].device == _names[-1] or self.line.dead(index)


def _bent(bend: Break | None, samples: Sequence[Sample]) -> Sequence[Sample]:
    if bend is None:
        return samples
    return [sample for sample in map(bend, samples) if sample is not None]


def breaking_fleet(settings: Any, *, now_s: float) -> Fleet:
    """Return the demo's fleet with sensors that break."""
    fleet = build_fleet(settings, now_s=now_s)
    groups = tuple(
        replace(group, lines=tuple(Breaking(line, group.span.live_s - BREAKS_S) for line in group.lines))
        for group in fleet.groups
    )
    return replace(fleet, groups=groups)


@dataclass(slots=True, kw_only=True)
class Run:
    """What came of the run, by the gateway's own store."""

    began_s: float
    now_s: float
    """When it ended, Unix seconds."""
    present: list[Alert]
    """The newest transition of every alert."""
    delays_s: list[float] = field(default_factory=list)
    """How long each alert that somebody acknowledged had waited for it."""

    @property
    def firing(self) -> list[Alert]:
        """Return the alerts that fire."""
        return [alert for alert in self.present if alert.state == "firing"]


async def operate(folder: Path) -> None:
    """Acknowledge every alert soon after it fires, until cancelled."""
    store, labels, seen = LocalReader(folder / state.STORE), LabelStore(folder), set[str]()
    while True:
        try:
            firing = store.open_alerts()
        except StorageError:  # the gateway has not made it yet
            firing = []
        for alert in firing:
            if alert.id not in seen:
                labels.add(label(alert, "acknowledged", at_s=time.time(), operator="ann"))
                seen.add(alert.id)
        await asyncio.sleep(LOOK_EVERY_S)  # another process's file cannot be awaited


@asynccontextmanager
async def filled_influx(folder: Path) -> AsyncIterator[tuple[RealInflux, Run]]:
    """Run the demo on an InfluxDB; yield both when it is over."""
    async with RealInflux(folder / "influx", database=POINTS) as influx:
        await influx.query(f'CREATE DATABASE "{ALERTS}"', post=True)
        written = demo.write_gateway_settings

        def with_influx(*arguments: Any) -> Path:
            file = written(*arguments)
            section = {"url": influx.url, "token": "any", "bucket": POINTS, "alerts_bucket": ALERTS}
            file.write_text(file.read_text() + yaml.safe_dump({"influx": section, "domains": LIMITS}))
            return file

        began_s, state_dir = time.time(), folder / "state"
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(demo, "write_gateway_settings", with_influx)
            patch.setattr(demo, "build_fleet", breaking_fleet)
            operator = asyncio.create_task(operate(state_dir))
            try:
                summary = await demo.demo(replace(OPTIONS, state_dir=state_dir), Console(quiet=True))
            finally:
                operator.cancel()
        assert summary.lost == 0
        store = LocalReader(state_dir / state.STORE)
        assert store.counts().refused == 0
        assert store.newest_points(GATEWAY, limit=1)[0].fields["outbox_entries"] == 0, "InfluxDB lacks something yet"
        yield (
            influx,
            Run(
                began_s=began_s,
                now_s=time.time(),
                present=list({one.alert.id: one.alert for one in store.transitions()}.values()),
                delays_s=[said.at_s - said.onset_s for said in LabelStore(state_dir).all()],
            ),
        )
