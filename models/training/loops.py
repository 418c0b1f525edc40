"""Loop detectors of a commuter belt: speed alone, every five minutes, with the congestion of every working day.

The simulated corridors queue only behind an event and give flow, occupancy and speed every minute. Many detectors give
a mean speed every five minutes and nothing else, and most of their congestion is the rush hour's. These are known by
their statistics alone: a free speed, times of day at which their bottleneck fills, how fast speed falls, how unsteady
it is in the queue.

====================  =============================================================================================
part                  what is drawn
====================  =============================================================================================
free speed            96 … 112 km/h, three in a hundred 50 … 80; deviation of five-minute means 2 … 6 km/h
rush hours            every second detector has one from 6.3 … 8 h on, two of three from 14 … 17 h on, for 1 … 5 h; on
                      working days, each with a chance of its own; onset differs by 25 min from day to day
onset                 speed falls within 5 … 60 min, at first slowly
queue                 15 … 60 km/h, wandering within 15 min by 5 … 16 km/h
recovery              within 5 … 40 min
incidents             every third day for 15 … 120 min, without warning
slow traffic          2.5 times a day a dip by 8 … 40 % for minutes to hours that never becomes a queue
====================  =============================================================================================

The numbers are those of urban freeways with loop detectors; the shapes follow Chen, Skabardonis and Varaiya 2004,
"Systematic identification of freeway bottlenecks".
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from contract.domains import TRAFFIC
from contract.topics import DeviceId
from contract.truth import Truth
from models.training.simulate import Fleet, Recording

PERIOD_S: Final = 300.0
DAY_STEPS: Final = 288
BOUND_KM_H: Final = 64.0
MERGED_STEPS: Final = 6
LEAD_S: Final = 900.0
"""An alert is right this long before the queue."""
SPEED: Final = TRAFFIC.channel_names.index("speed_km_h")
DOMAIN: Final = replace(TRAFFIC, period_s=PERIOD_S)

Doubles = NDArray[np.float64]


def loops(fleet: Fleet) -> Recording:
    """Return what the detectors of a fleet sent."""
    rng = np.random.default_rng([fleet.seed, 11])
    steps = int(fleet.length_s / PERIOD_S)
    times: Doubles = np.asarray(fleet.start_s + PERIOD_S * np.arange(steps), np.float64)
    devices = tuple(DeviceId(fleet.site, TRAFFIC.name, f"b-{number:03d}") for number in range(fleet.devices))
    values = np.full((len(devices), steps, len(TRAFFIC.channels)), np.nan, np.float32)
    for place in range(len(devices)):
        values[place, :, SPEED] = _speed(times, rng)
    return Recording(
        domain=DOMAIN,
        devices=devices,
        times=(times,) * len(devices),
        values=tuple(values),
        sent_s=(times,) * len(devices),
        physical=values,
        start_s=fleet.start_s,
        truths=tuple(truth for place, device in enumerate(devices) for truth in _queues(device, times, values[place])),
    )


def _queues(device: DeviceId, times: Doubles, values: NDArray[np.float32]) -> list[Truth]:
    """Return the stretches in which speed lies below the bound; two that are half an hour apart are one."""
    slow = np.flatnonzero(values[:, SPEED] < BOUND_KM_H)
    runs = np.split(slow, np.flatnonzero(np.diff(slow) > MERGED_STEPS) + 1) if len(slow) else []
    return [
        Truth(
            fault="queue",
            kind="fault",
            site=device.site,
            domain=device.domain,
            device=device.device,
            onset_s=float(times[run[0]]) - LEAD_S,
            end_s=float(times[run[-1]]) + PERIOD_S,
        )
        for run in runs
    ]


def _speed(times: Doubles, rng: np.random.Generator) -> Doubles:
    free = rng.uniform(96.0, 112.0) if rng.random() < 0.97 else rng.uniform(50.0, 80.0)
    loss = np.zeros(len(times))
    hour, weekday = times % 86400.0 / 3600.0, (times // 86400.0 + 3.0) % 7.0
    busy = np.exp(-0.5 * ((hour - 8.0) / 1.5) ** 2) + np.exp(-0.5 * ((hour - 16.5) / 2.0) ** 2)
    loss += rng.uniform(0.0, 0.16) * busy * (weekday < 5.0)
    for first, last, wanted in _rush_hours(rng):
        for midnight in np.arange(times[0] - times[0] % 86400.0, times[-1], 86400.0):
            working = (midnight // 86400.0 + 3.0) % 7.0 < 5.0
            if rng.random() < (wanted if working else 0.1 * wanted):
                onset_s = midnight + 3600.0 * first + rng.normal(0.0, 1500.0)
                end_s = midnight + 3600.0 * last + rng.normal(0.0, 2100.0)
                loss = np.maximum(loss, _jam(times, onset_s, end_s, free, rng))
    for onset_s in _moments(times, 0.35, rng):
        loss = np.maximum(loss, _jam(times, onset_s, onset_s + rng.uniform(900.0, 7200.0), free, rng))
    for onset_s in _moments(times, 2.5, rng):
        depth, width_s = rng.uniform(0.08, 0.4), rng.uniform(200.0, 3600.0)
        loss = np.maximum(loss, depth * np.exp(-0.5 * ((times - onset_s) / width_s) ** 2))
    noise = rng.uniform(2.0, 6.0) * rng.standard_normal(len(times))
    return np.maximum(free * (1.0 - loss) + noise, 3.0)


def _rush_hours(rng: np.random.Generator) -> list[tuple[float, float, float]]:
    """Return first and last hour of each rush hour of a detector, and how often it comes."""
    found = []
    if rng.random() < 0.5:
        first = rng.uniform(6.3, 8.0)
        found.append((first, first + rng.uniform(0.8, 3.8), rng.uniform(0.4, 1.0)))
    if rng.random() < 0.65:
        first = rng.uniform(13.8, 17.0)
        found.append((first, first + rng.uniform(1.0, 5.5), rng.uniform(0.4, 1.0)))
    return found


def _moments(times: Doubles, a_day: float, rng: np.random.Generator) -> Doubles:
    """Return times at which something happens, more of them in the day."""
    count = rng.poisson(a_day * len(times) / DAY_STEPS)
    day = times[0] - times[0] % 86400.0 + 86400.0 * rng.integers(0, len(times) // DAY_STEPS + 1, count)
    moments: Doubles = day + 3600.0 * np.clip(rng.normal(14.0, 4.5, count), 0.0, 23.9)
    return moments


def _jam(times: Doubles, onset_s: float, end_s: float, free: float, rng: np.random.Generator) -> Doubles:
    """Return the share of the free speed that is lost: a slow beginning, an unsteady queue, a recovery."""
    fall_s, rise_s = rng.uniform(300.0, 3600.0), rng.uniform(300.0, 2400.0)
    begun = np.clip((times - onset_s + 0.5 * fall_s) / fall_s, 0.0, 1.0) ** rng.uniform(0.7, 2.0)
    over = np.clip((end_s + 0.5 * rise_s - times) / rise_s, 0.0, 1.0)
    depth = 1.0 - rng.uniform(20.0, 62.0) / free
    unrest = rng.uniform(0.05, 0.16) * _slow(len(times), rng.uniform(1.5, 5.0), rng)
    return np.clip(np.minimum(begun, over) * (depth + unrest), 0.0, 0.95)


def _slow(steps: int, tau: float, rng: np.random.Generator) -> Doubles:
    """Return noise of about unit deviation that forgets within ``tau`` steps."""
    knots = rng.standard_normal(int(steps / tau) + 3)
    return np.interp(np.arange(steps) / tau, np.arange(len(knots)), knots) * 1.2
