"""A real InfluxDB that holds what the product writes: simulated plants through the pipeline, alerts of every rule."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray
from pydantic import SecretStr

from contract import topics
from contract.codec import encode_burst
from contract.domains import DOMAINS
from contract.messages import Alert, Severity
from contract.points import acknowledgement_point
from contract.topics import DeviceId
from gateway import plans as planning
from gateway.alerts import Rule, alert_id
from gateway.health import Reporter, health_point
from gateway.pipeline import Model, Pipeline, Plan
from gateway.ports import Batch, Message, OutboxLoad, Outputs
from gateway.settings import InfluxSettings, Settings
from gateway.stores.influx import InfluxStore
from simulator.fleet import build_fleet, device_names
from simulator.settings import FleetSettings, GroupSettings
from tests.influx import RealInflux

POINTS: Final = "edgefleet"
ALERTS: Final = "edgefleet-alerts"
BUCKETS: Final = {"edgefleet-features": POINTS, "edgefleet-alerts": ALERTS}
"""Bucket of each data source."""
BATCH_S: Final = 600.0
"""Data that one batch of the gateway holds, seconds."""
DEVICES: Final = 2
"""Of each domain: on the first an alert of every rule fires, on the second one did."""
ACKNOWLEDGED_S: Final = 90.0
"""From onset to somebody's answer."""
HOURS: Final = {"industrial": 2.2}
"""History of each domain, hours; 12 where it is not named."""


class HeightScorer:
    """Scores how high the first channel stands in its range: enough to have scores of every size."""

    def __init__(self, channel: str, high: float) -> None:
        """Take a channel and its largest value."""
        self.feature_names = (f"{channel}_mean",)
        self.inference_s = 0.0
        self._high = high

    def score(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return scores 0…1."""
        self.inference_s += 1e-6 * len(features)
        scores: NDArray[np.float32] = np.clip(features[:, 0] / np.float32(self._high), 0.0, 1.0)
        return scores


def scored(plan: Plan) -> Plan:
    """Return a plan with a model; rules as the gateway has them."""
    channel = plan.domain.channels[0]
    scorer = HeightScorer(channel.name, channel.high)
    rule = Rule(name="anomaly", domain=plan.domain.name, kind="model", severity="critical", raise_at=0.9, clear_at=0.5)
    return replace(plan, model=Model(rule=rule.name, version="1", scorer=scorer), rules=(rule, *plan.rules))


def outputs(now_s: float) -> Iterator[Outputs]:
    """Yield what the pipeline makes of a small fleet's last hours, then alerts of every rule."""
    plans = [scored(plan) for plan in planning.plans(Settings(), ())]
    pipeline = Pipeline(plans, planning.limits(Settings()))
    messages = sorted(history(now_s), key=lambda pair: pair[0])
    scorers = [plan.model.scorer for plan in plans if plan.model]
    clock = iter(range(10**6))
    reporter = Reporter(
        pipeline,
        wall_s=lambda: received_s,
        monotonic_s=lambda: BATCH_S * next(clock),
        inference_s=lambda: sum(each.inference_s for each in scorers),
    )
    received_s = messages[0][0]
    position = 0
    while messages:
        received_s += BATCH_S
        count = next((i for i, (at_s, _) in enumerate(messages) if at_s > received_s), len(messages))
        position += 1
        yield pipeline.process(Batch(position, received_s, [message for _, message in messages[:count]]))
        del messages[:count]
        load = OutboxLoad(entries=3, size_bytes=4096, oldest_age_s=1.5)
        yield Outputs(points=[health_point("edge-1", reporter.report(batches_waiting=1, outbox=load))])
    every_rule = [rule for plan in plans for rule in plan.rules]
    yield from alerts(every_rule, now_s)


def history(now_s: float) -> Iterator[tuple[float, Message]]:
    """Yield telemetry messages of the fleet, and when each is sent."""
    groups = tuple(
        GroupSettings(site=f"{name}-site", domain=name, devices=DEVICES, history_s=3600 * HOURS.get(name, 12.0))
        for name in DOMAINS
    )
    settings = FleetSettings(groups=groups, run_s=1.0, faults=0, look_alikes=0, device_faults=0)
    fleet = build_fleet(settings, now_s=now_s)
    for line in (line for group in fleet.groups for line in group.lines):
        bursts: dict[DeviceId, list[object]] = {device: [] for device in line.devices}
        while line.next_s < now_s:
            at_s = line.next_s
            for device, samples in zip(line.devices, line.advance(), strict=True):
                bursts[device] += samples
                if len(bursts[device]) >= 60:
                    yield at_s, (topics.telemetry(device), encode_burst(bursts[device]))  # type: ignore[arg-type]
                    bursts[device] = []


def alerts(rules: Sequence[Rule], now_s: float) -> Iterator[Outputs]:
    """Yield, of every rule, an alert that resolved and one that fires; somebody acknowledged the first."""
    for rule in rules:
        fires, was_mended = device_names(DOMAINS[rule.domain], DEVICES)
        open_, closed = alert(rule, fires, now_s - 300.0), alert(rule, was_mended, now_s - 300.0)
        over = msgspec.structs.replace(closed, state="resolved", at_s=now_s - 120.0, score=0.0)
        seen = [acknowledgement_point(each, each.at_s + ACKNOWLEDGED_S, "confirmed") for each in (open_, closed)]
        yield Outputs(alerts=[open_, closed, over], points=seen)


def alert(rule: Rule, device: str, at_s: float) -> Alert:
    """Return an alert that begins to fire."""
    who = DeviceId(f"{rule.domain}-site", rule.domain, device)
    severity: Severity = rule.severity
    return Alert(
        id=alert_id(who, rule.name, at_s),
        site=who.site,
        domain=who.domain,
        device=who.device,
        rule=rule.name,
        severity=severity,
        state="firing",
        onset_s=at_s,
        at_s=at_s,
        trigger_s=at_s,
        score=1.0,
        summary=f'{rule.name}: "why", in words',
    )


@asynccontextmanager
async def filled_influx(folder: Path, now_s: float) -> AsyncIterator[RealInflux]:
    """Run an InfluxDB that was filled through the product's own store."""
    async with RealInflux(folder, database=POINTS) as influx:
        await influx.query(f'CREATE DATABASE "{ALERTS}"', post=True)
        settings = InfluxSettings(url=influx.url, token=SecretStr("any"), bucket=POINTS, alerts_bucket=ALERTS)
        store = InfluxStore(settings)
        try:
            refused = await store.write(list(outputs(now_s)))
        finally:
            await store.close()
        assert refused == []
        yield influx
