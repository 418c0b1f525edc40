"""Devices that report seldom and little: a thermometer once a day.

They are drawn as whole tables, not stepped: what matters at a day's distance is not the physics of a minute but how
long a fever lasts. The ranges are those of the clinic, not of one recording.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from contract.domains import AGRICULTURE, Domain
from contract.topics import DeviceId
from contract.truth import Truth
from gateway.frames import WindowSpec
from models.training.dataset import Labels, fault_labels
from models.training.simulate import Fleet, Recording

HOUR_S: Final = 3600.0
DAY_S: Final = 86400.0

THERMOMETER: Final = replace(
    AGRICULTURE, channels=tuple(replace(channel, flat_line_s=None) for channel in AGRICULTURE.channels)
)
"""A thermometer that shows the same twice is not broken."""


def thermometers(fleet: Fleet) -> Recording:
    """Return animals whose temperature is taken once a day, four in ten of which have one fever of some days.

    Animals and breeds differ by more than a slight fever, days by as much: excitement, heat, a thermometer not held
    still. What tells a fever is that it stays.
    """
    rng, devices, days = np.random.default_rng(fleet.seed), fleet.devices, round(fleet.length_s / DAY_S)
    start_s = fleet.start_s // DAY_S * DAY_S + 9.0 * HOUR_S
    usual = rng.normal(38.85, 0.45, (devices, 1))
    celsius = usual + rng.normal(0.0, 1.0, (devices, days)) * rng.uniform(0.2, 0.5, (devices, 1))
    celsius += np.where(rng.random((devices, days)) < 0.06, rng.normal(0.3, 0.7, (devices, days)), 0.0)
    # the barn, the thermometer and the hour make some days warmer for all
    celsius += rng.normal(0.0, 0.15, days)
    truths = []
    names = tuple(DeviceId(fleet.site, AGRICULTURE.name, f"animal-{number:03d}") for number in range(devices))
    times = start_s + DAY_S * np.arange(days, dtype=np.float64)
    for number in np.flatnonzero(rng.random(devices) < 0.4).tolist():
        onset, lasting = int(rng.integers(4, days - 3)), int(rng.integers(4, 10))
        rise = np.clip((np.arange(days) - onset + 1.0) / rng.uniform(1.0, 2.5), 0.0, 1.0)
        course = rise * (np.arange(days) >= onset) * np.clip((onset + lasting - np.arange(days)) / 2.0, 0.0, 1.0)
        celsius[number] += rng.uniform(0.6, 1.8) * course
        truths.append(
            Truth(
                site=fleet.site,
                domain=AGRICULTURE.name,
                device=names[number].device,
                fault="fever",
                kind="fault",
                onset_s=float(times[onset]) - HOUR_S,
                end_s=float(start_s + DAY_S * (onset + lasting - 1)) + 2.0 * HOUR_S,
            )
        )
    values = np.full((devices, days, len(AGRICULTURE.channels)), np.nan, np.float32)
    values[:, :, AGRICULTURE.channel_names.index("body_temperature_c")] = np.round(celsius, 1)
    return _recording(THERMOMETER, names, times, values, tuple(truths))


def feverish(recording: Recording, spec: WindowSpec, device: NDArray[np.int64], end_s: NDArray[np.float64]) -> Labels:
    """Label windows of thermometers that hold a reading of a fever's second day or later; of the first nobody knows."""
    return fault_labels(DAY_S, {})(recording, spec, device, end_s)


def _recording(
    domain: Domain,
    names: tuple[DeviceId, ...],
    times: NDArray[np.float64],
    values: NDArray[np.float32],
    truths: tuple[Truth, ...],
) -> Recording:
    """Return tables ``(devices, times, channels)`` as what the devices sent, on time."""
    return Recording(
        domain=domain,
        devices=names,
        times=tuple(times for _ in names),
        values=tuple(values),
        sent_s=tuple(times for _ in names),
        physical=values,
        start_s=float(times[0]),
        truths=truths,
    )
