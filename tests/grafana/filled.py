"""A real InfluxDB that holds what the product writes: faulty fleets through pipeline, shelves, judge and store."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec
from pydantic import SecretStr

from contract import topics
from contract.answers import Acknowledgement
from contract.codec import encode_burst
from contract.domains import DOMAINS, INDUSTRIAL
from contract.messages import Alert, Sample
from contract.points import acknowledgement_point
from contract.topics import DeviceId
from gateway import plans as planning
from gateway.health import Reporter, health_point
from gateway.inference.shelf import load_all
from gateway.pipeline import Pipeline
from gateway.ports import Batch, Message, OutboxLoad, Outputs
from gateway.settings import InfluxSettings, Settings, shelves_folder
from gateway.stores.influx import InfluxStore
from simulator.fleet import build_fleet, device_names
from simulator.settings import FleetSettings, GroupSettings
from tests.influx import RealInflux

POINTS: Final = "edgefleet"
ALERTS: Final = "edgefleet-alerts"
BUCKETS: Final = {"edgefleet-features": POINTS, "edgefleet-alerts": ALERTS}
"""Bucket of each data source."""
SEED: Final = 7
DEVICES: Final = 6
"""Of each domain."""
HOURS: Final = {"industrial": 1.5, "agriculture": 60.0, "retail": 36.0, "traffic": 36.0}
"""History of each domain, hours."""
BATCH_S: Final = 600.0
"""Data that one batch of the gateway holds in the history, seconds."""
LIVE_S: Final = 120.0
"""End of the run, in which samples come one by one, as they do when somebody watches."""
LIVE_BATCH_S: Final = 5.0
BREAKS_S: Final = 600.0
"""How long before the end sensors break, seconds."""
ACKNOWLEDGED_S: Final = 90.0
"""From onset to somebody's answer."""

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
class Run:
    """What came of the run, as the gateway put it out."""

    now_s: float
    alerts: list[Alert] = field(default_factory=list)
    """Every transition."""

    @property
    def present(self) -> list[Alert]:
        """Return the newest transition of every alert."""
        return list({alert.id: alert for alert in self.alerts}.values())

    @property
    def firing(self) -> list[Alert]:
        """Return the alerts that fire."""
        return [alert for alert in self.present if alert.state == "firing"]

    def outputs(self) -> Iterator[Outputs]:
        """Yield what the pipeline makes of the fleet's last hours, and somebody's answers."""
        plans = planning.plans(Settings(), load_all(shelves_folder(Settings())))
        pipeline = Pipeline(plans, planning.limits(Settings()))
        scorers = [plan.model.scorer for plan in plans if plan.model]
        received_s = 0.0
        reporter = Reporter(
            pipeline,
            wall_s=lambda: received_s,
            monotonic_s=lambda: received_s,
            inference_s=lambda: sum(each.inference_s for each in scorers),
        )
        load = OutboxLoad(entries=3, size_bytes=4096, oldest_age_s=1.5)
        for position, (received_s, messages) in enumerate(batches(history(self.now_s), self.now_s), start=1):
            out = pipeline.process(Batch(position, received_s, messages))
            self.alerts += out.alerts
            yield out
            yield Outputs(points=[health_point("edge-1", reporter.report(batches_waiting=1, outbox=load))])
        yield Outputs(points=[acknowledgement_point(answer(alert)) for alert in self.firing])


def answer(alert: Alert) -> Acknowledgement:
    """Return what somebody says of an alert."""
    who = {"site": alert.site, "domain": alert.domain, "device": alert.device, "rule": alert.rule}
    at_s = alert.onset_s + ACKNOWLEDGED_S
    return Acknowledgement(number=1, alert_id=alert.id, onset_s=alert.onset_s, at_s=at_s, verdict="acknowledged", **who)


def history(now_s: float) -> list[tuple[float, Message]]:
    """Return the fleet's telemetry messages by the time at which each is sent."""
    groups = tuple(
        GroupSettings(site=f"{name}-site", domain=name, devices=DEVICES, history_s=3600 * HOURS[name])
        for name in DOMAINS
    )
    fleet = build_fleet(FleetSettings(groups=groups, run_s=1.0, seed=SEED, device_faults=0), now_s=now_s)
    messages: list[tuple[float, Message]] = []
    for line in (line for group in fleet.groups for line in group.lines):
        bursts: dict[DeviceId, list[Sample]] = {device: [] for device in line.devices}
        while (at_s := line.next_s) < now_s:
            for device, samples in zip(line.devices, line.advance(), strict=True):
                bursts[device] += measured(device, samples, now_s)
                if len(bursts[device]) >= 60 or (bursts[device] and at_s >= now_s - LIVE_S):
                    messages.append((at_s, (topics.telemetry(device), encode_burst(bursts[device]))))
                    bursts[device] = []
    return sorted(messages, key=lambda pair: pair[0])


def measured(device: DeviceId, samples: Sequence[Sample], now_s: float) -> list[Sample]:
    """Return what a device measures, broken or not."""
    bend = BROKEN.get(device.device)
    if bend is None:
        return list(samples)
    bent = [bend(sample) if sample.ts >= now_s - BREAKS_S else sample for sample in samples]
    return [sample for sample in bent if sample is not None]


def batches(messages: Sequence[tuple[float, Message]], now_s: float) -> Iterator[tuple[float, list[Message]]]:
    """Yield messages as the gateway would have received them, and when."""
    first, received_s, live_s = 0, messages[0][0], now_s - LIVE_S
    while received_s < now_s:
        received_s = min(received_s + BATCH_S, live_s) if received_s < live_s else received_s + LIVE_BATCH_S
        last = next((i for i in range(first, len(messages)) if messages[i][0] > received_s), len(messages))
        yield received_s, [message for _, message in messages[first:last]]
        first = last


@asynccontextmanager
async def filled_influx(folder: Path, run: Run) -> AsyncIterator[RealInflux]:
    """Run an InfluxDB that was filled through the product's own store."""
    async with RealInflux(folder, database=POINTS) as influx:
        await influx.query(f'CREATE DATABASE "{ALERTS}"', post=True)
        settings = InfluxSettings(url=influx.url, token=SecretStr("any"), bucket=POINTS, alerts_bucket=ALERTS)
        store = InfluxStore(settings)
        try:
            refused = [each for out in run.outputs() for each in await store.write([out])]
        finally:
            await store.close()
        assert refused == []
        yield influx
