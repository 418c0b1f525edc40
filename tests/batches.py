"""Batches made of plain numbers, for tests of the pipeline and the wiring."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from contract import codec, topics
from contract.answers import Acknowledgement
from contract.domains import INDUSTRIAL, Domain
from contract.messages import Sample
from contract.topics import DeviceId
from gateway.alerts import Rule, sensor_rules
from gateway.calendars import Calendar
from gateway.domain_pipeline import Model, Plan
from gateway.frames import WindowSpec
from gateway.intake import IntakeLimits
from gateway.pipeline import Pipeline
from gateway.ports import ANSWER, Batch, Message

START_S = 1_700_000_000.0
"""A multiple of ten, so that windows of ten seconds begin with the first sample."""
PUMP = DeviceId("plant", "industrial", "pump-1")
USUAL: dict[str, float] = {
    "vibration_1_g": 0.03,
    "vibration_2_g": 0.04,
    "current_a": 1.2,
    "pressure_bar": 0.4,
    "temperature_c": 70.0,
    "thermocouple_c": 26.0,
    "voltage_v": 230.0,
    "flow_l_min": 32.0,
}


class FlowScorer:
    """A model in one line: the less flow, the higher the score. Fakes :class:`gateway.ports.Scorer`."""

    feature_names = ("flow_l_min_mean",)
    inference_s = 0.0

    def score(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return 1 at no flow, 0 at 40 L/min."""
        return np.float32(1.0) - features[:, 0] / np.float32(40.0)


def plan(domain: Domain = INDUSTRIAL, *, length_s: float = 60.0, hop_s: float = 10.0) -> Plan:
    """Return a plan that raises ``anomaly`` as soon as the mean flow of a minute falls below 20 L/min."""
    window = WindowSpec(length_s=length_s, hop_s=hop_s, period_s=domain.period_s, lateness_s=2.0 * domain.period_s)
    anomaly = Rule(
        name="anomaly",
        domain=domain.name,
        kind="model",
        severity="warning",
        raise_at=0.5,
        clear_at=0.4,
        model_version="1.0.0",
    )
    return Plan(
        domain=domain,
        window=window,
        rules=(anomaly, *sensor_rules(domain, window_s=length_s)),
        model=Model(rule="anomaly", version="1.0.0", scorer=FlowScorer()),
        calendar=Calendar(),
    )


def pipeline() -> Pipeline:
    """Return a pipeline of the industrial plan, with no device."""
    return Pipeline([plan()], IntakeLimits())


def reading(second: int, *, device: DeviceId = PUMP, **changed: float) -> Message:
    """Return one telemetry message, ``second`` seconds after the start; no channel stands still."""
    wobble = 1.0 + 0.01 * math.sin(second * 1.7)
    values = {name: value * wobble for name, value in (USUAL | changed).items()}
    sample = Sample(ts=START_S + second, seq=second, values=values)
    return topics.telemetry(device), codec.encode_sample(sample)


def minutes(count: float, *, first: int = 0, device: DeviceId = PUMP, **changed: float) -> list[Message]:
    """Return a message a second for some minutes."""
    return [reading(first + second, device=device, **changed) for second in range(round(60 * count))]


def acknowledgement(number: int, *, delay_s: float = 90.0) -> Acknowledgement:
    """Return an operator's answer to an alert of the pump; ``number`` tells answers and alerts apart."""
    return Acknowledgement(
        number=number,
        alert_id=f"alert-{number}",
        site=PUMP.site,
        domain=PUMP.domain,
        device=PUMP.device,
        rule="anomaly",
        onset_s=START_S + number,
        at_s=START_S + number + delay_s,
        verdict="acknowledged",
    )


def answers(position: int, *given: Acknowledgement, received_s: float = START_S + 86_400) -> Batch:
    """Return a journaled batch of operators' answers."""
    return Batch(position, received_s, [(ANSWER, msgspec.json.encode(one)) for one in given])


def batches(messages: Sequence[Message], *, size: int, received_s: float = START_S + 86_400) -> Iterable[Batch]:
    """Cut messages into journaled batches."""
    for position, start in enumerate(range(0, len(messages), size), start=1):
        yield Batch(position, received_s, messages[start : start + size])
