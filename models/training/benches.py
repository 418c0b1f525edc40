"""Test benches: pumps known by their statistics alone, beside the simulated skids.

The simulated skids are of one make: their flow wanders with the demand, their faults move it by many deviations. A pump
on a quiet bench shows the same faults in a flow that is steady but coarse, moves by one or two deviations, while its
temperatures drift by ten for no reason at all. A model that has seen both goes by each device's own calibration.

====================  ==================================================================================================
part                  what is drawn for a device
====================  ==================================================================================================
noise                 white, in steps of the sensor's resolution, 0.2 … 1.5 of a deviation
wander                slow changes (20 … 300 s), of vibration up to 0.6 deviations, of flow up to 0.4
thermal drift         up to ± 6 K, warming by 1 K a minute at most, the calibration too; a cycle of 50 … 120 s
throttling            flow down by 0.8 … 9 deviations; pressure up a little; vibration at the pump up by 0 … 4
dilution              flow up by 1 … 9 deviations, vibration at the pump up, fluid warmer or colder
leak                  flow down by 1 … 8 deviations, vibration a little lower
imbalance             vibration at both sides up by 8 … 200 deviations, and unsteady
what stays            after a fault, up to 0.7 deviations of flow and 1.8 of vibration are left over
channels              every third device lacks some of its channels for ever
====================  ==================================================================================================

Statistics and faults are those of small pump test beds (Katser and Kozitsin 2020 describe one).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from contract.domains import INDUSTRIAL
from contract.topics import DeviceId
from contract.truth import Truth
from gateway.frames import WindowSpec
from models.training.dataset import Labels
from models.training.simulate import Fleet, Recording

VIBRATION_1, VIBRATION_2, CURRENT, PRESSURE, TEMPERATURE, THERMOCOUPLE, VOLTAGE, FLOW = range(8)
LEVEL: Final = (
    (0.02, 0.3),
    (0.03, 0.4),
    (0.8, 5.0),
    (0.02, 2.0),
    (55.0, 95.0),
    (20.0, 32.0),
    (226.0, 234.0),
    (20.0, 150.0),
)
"""Least and greatest level of each channel, in its unit."""
NOISE: Final = (
    (0.01, 0.03),
    (0.01, 0.04),
    (0.05, 0.3),
    (0.05, 1.0),
    (0.002, 0.006),
    (3e-4, 1e-3),
    (0.01, 0.05),
    (0.004, 0.016),
)
"""Least and greatest deviation of its noise, relative to the level."""
WANDER: Final = (0.6, 0.6, 0.2, 0.2, 0.5, 0.5, 0.2, 0.4)
"""Largest slow changes of each channel, in deviations of its noise."""
WARMING_K_MIN: Final = 1.0
"""Fastest that anything warms without a fault, kelvin a minute."""
CALIBRATED_S: Final = 460.0
"""From here on faults may begin."""
LACKING: Final = 1.0 / 3.0
"""Share of devices that lack channels."""

SETTLE_S: Final = 12.0
"""Nobody could say of a window that ends this soon after a fault's onset."""
GONE_S: Final = 8.0
"""A window that ends this long after a fault is normal again, though it may still reach into it."""

Doubles = NDArray[np.float64]
Bend = Callable[[Doubles, np.random.Generator], Doubles]
"""``bend(course, rng)``: what a fault adds, ``(steps, channels)`` in deviations; the course is 0 … 1."""


def benches(fleet: Fleet) -> Recording:
    """Return what the benches of a fleet sent."""
    rng = np.random.default_rng([fleet.seed, 7])
    steps = int(fleet.length_s / INDUSTRIAL.period_s)
    times: Doubles = np.asarray(fleet.start_s + INDUSTRIAL.period_s * np.arange(steps), np.float64)
    devices = tuple(DeviceId(fleet.site, INDUSTRIAL.name, f"b-{number:03d}") for number in range(fleet.devices))
    truths: list[Truth] = []
    values = [_bench(device, times, truths, rng) for device in devices]
    return Recording(
        domain=INDUSTRIAL,
        devices=devices,
        times=(times,) * len(devices),
        values=tuple(values),
        sent_s=(times,) * len(devices),
        physical=np.stack(values),
        start_s=fleet.start_s,
        truths=tuple(truths),
    )


def off(recording: Recording, _spec: WindowSpec, device: NDArray[np.int64], end_s: NDArray[np.float64]) -> Labels:
    """Label windows whose newest samples lie in a fault: an alert should end soon after it, not a window later."""
    labels, weights = np.zeros(len(device), np.bool_), np.ones(len(device), np.float32)
    place = {identity.device: index for index, identity in enumerate(recording.devices)}
    for truth in recording.truths:
        mine = device == place[truth.device]
        inside = mine & (end_s >= truth.onset_s + SETTLE_S) & (end_s <= truth.end_s)
        labels |= inside
        weights[mine & (end_s > truth.onset_s) & (end_s < truth.end_s + GONE_S) & ~inside] = 0.0
    return labels, weights


def _bench(device: DeviceId, times: Doubles, truths: list[Truth], rng: np.random.Generator) -> NDArray[np.float32]:
    level = np.exp(rng.uniform(*np.log(LEVEL).T))
    deviation = level * np.exp(rng.uniform(*np.log(NOISE).T))
    away = rng.standard_normal((len(times), 8)) + _wander(len(times), rng) + _thermal(len(times), rng) / deviation
    away += _faults(device, times, truths, rng)
    step = rng.uniform(0.2, 1.5, 8)
    coarse = np.round((away + rng.uniform(0.0, 1.0, 8)) / step) * step
    values = np.where(rng.random(8) < 0.4, coarse, away) * deviation + level
    # vibration, current, voltage and flow have no sign
    values[:, [VIBRATION_1, VIBRATION_2, CURRENT, VOLTAGE, FLOW]] = np.abs(
        values[:, [VIBRATION_1, VIBRATION_2, CURRENT, VOLTAGE, FLOW]]
    )
    if rng.random() < LACKING:
        values[:, rng.random(8) < rng.uniform(0.2, 0.8)] = np.nan
    sent: NDArray[np.float32] = values.astype(np.float32)
    return sent


def _wander(steps: int, rng: np.random.Generator) -> Doubles:
    """Return slow changes: a random walk held near zero, smooth over its time."""
    strength = rng.uniform(0.0, WANDER)
    return strength * np.stack([_slow(steps, rng.uniform(20.0, 300.0), rng) for _ in WANDER], axis=1)


def _slow(steps: int, tau_s: float, rng: np.random.Generator) -> Doubles:
    """Return noise of unit deviation that forgets within ``tau_s``."""
    knots = rng.standard_normal(int(steps / tau_s) + 3)
    return np.interp(np.arange(steps) / tau_s + rng.uniform(0.0, 1.0), np.arange(len(knots)), knots) * 1.2


def _thermal(steps: int, rng: np.random.Generator) -> Doubles:
    """Return what temperatures do without any fault, in kelvin: never for long as fast as a motor without cooling."""
    away = np.zeros((steps, 8))
    seconds = np.arange(steps)
    for channel, most_k in ((TEMPERATURE, 6.0), (THERMOCOUPLE, 2.0)):
        for onset_s in rng.uniform(-200.0, steps, rng.integers(0, 5)):
            # cooling may be sudden, warming takes its time
            size_k, tau_s = rng.uniform(-most_k, 0.6 * most_k), rng.uniform(60.0, 400.0)
            tau_s = max(tau_s, 60.0 * size_k / WARMING_K_MIN)
            since_s = np.maximum(seconds - onset_s, 0.0)
            away[:, channel] += (
                size_k * (1.0 - np.exp(-since_s / tau_s)) * np.exp(-since_s / rng.uniform(600.0, 3000.0))
            )
        if rng.random() < 0.5:
            away[:, channel] += rng.uniform(0.05, 0.3) * np.sin(seconds * 2.0 * np.pi / rng.uniform(50.0, 120.0))
        away[:, channel] += rng.uniform(-0.2, 0.2) * seconds / 60.0 * (rng.random() < 0.5)
    return away


def _faults(device: DeviceId, times: Doubles, truths: list[Truth], rng: np.random.Generator) -> Doubles:
    away = np.zeros((len(times), 8))
    onset_s = CALIBRATED_S + rng.uniform(0.0, 500.0)
    while onset_s < times[-1] - times[0] - 300.0 and rng.random() < 0.9:
        length_s, rise_s = rng.uniform(150.0, 500.0), rng.uniform(5.0, 60.0)
        label = str(rng.choice(list(FAULTS)))
        seconds = times - times[0] - onset_s
        course = np.clip(np.minimum(seconds / rise_s, (length_s - seconds) / rng.uniform(5.0, 20.0)), 0.0, 1.0)
        away += FAULTS[label](course, rng)
        left = np.where(seconds[:, None] > length_s, 1.0, 0.0)
        away[:, [VIBRATION_1, VIBRATION_2]] += left * rng.uniform(-1.8, 1.8, 2)
        away[:, FLOW] += left[:, 0] * rng.uniform(-0.4, 0.7)
        truths.append(
            Truth(
                fault=label,
                kind="fault",
                site=device.site,
                domain=device.domain,
                device=device.device,
                onset_s=float(times[0] + onset_s),
                end_s=float(times[0] + onset_s + length_s),
            )
        )
        onset_s += length_s + rng.uniform(150.0, 600.0)
    return away


def _between(rng: np.random.Generator, low: float, high: float) -> float:
    """Return a size between two, small ones as likely as large ones."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def _throttling(course: Doubles, rng: np.random.Generator) -> Doubles:
    away = np.zeros((len(course), 8))
    away[:, FLOW] = -_between(rng, 0.8, 9.0) * course
    away[:, PRESSURE] = rng.uniform(-0.1, 0.6) * course
    away[:, VIBRATION_2] = rng.uniform(-0.5, 4.0) * course * (rng.random() < 0.5)
    return away


def _dilution(course: Doubles, rng: np.random.Generator) -> Doubles:
    away = np.zeros((len(course), 8))
    away[:, FLOW] = _between(rng, 1.0, 9.0) * course
    away[:, VIBRATION_1] = rng.uniform(-3.0, 2.0) * course
    away[:, VIBRATION_2] = rng.uniform(1.0, 5.0) * course
    away[:, THERMOCOUPLE] = rng.uniform(-10.0, 20.0) * course
    return away


def _leak(course: Doubles, rng: np.random.Generator) -> Doubles:
    away = np.zeros((len(course), 8))
    away[:, FLOW] = -_between(rng, 1.0, 8.0) * course
    away[:, VIBRATION_2] = rng.uniform(-2.5, 0.5) * course
    return away


def _imbalance(course: Doubles, rng: np.random.Generator) -> Doubles:
    away = np.zeros((len(course), 8))
    size = _between(rng, 8.0, 200.0)
    unrest = 1.0 + rng.uniform(0.0, 0.1) * rng.standard_normal((len(course), 2))
    away[:, VIBRATION_1 : VIBRATION_2 + 1] = size * course[:, None] * rng.uniform(0.5, 1.2, 2) * unrest
    away[:, FLOW] = -rng.uniform(0.0, 5.0) * course
    return away


FAULTS: Final[dict[str, Bend]] = {
    "throttling": _throttling,
    "dilution": _dilution,
    "leak": _leak,
    "imbalance": _imbalance,
}
