"""Devices that report seldom and little: a till that knows sales and whether there is stock, a thermometer once a day.

They are drawn as whole tables, not stepped: what matters at an hour's or a day's distance is not the physics of a
minute but how much sells, how much was delivered, and how long a fever lasts. The ranges are those of the trade and of
the clinic, not of one recording.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from contract.domains import AGRICULTURE, RETAIL, Domain
from contract.topics import DeviceId
from contract.truth import Truth
from gateway.frames import WindowSpec
from models.training.dataset import Labels, fault_labels, future_labels
from models.training.simulate import Fleet, Recording

HOUR_S: Final = 3600.0
DAY_S: Final = 86400.0

TILL: Final = replace(
    RETAIL, period_s=HOUR_S, channels=tuple(replace(channel, flat_line_s=None) for channel in RETAIL.channels)
)
"""A shelf without a load cell: "in stock" never moves for days, and nothing is broken."""
THERMOMETER: Final = replace(
    AGRICULTURE, channels=tuple(replace(channel, flat_line_s=None) for channel in AGRICULTURE.channels)
)

SHARE: Final = np.float32(0.3)
"""Weight of a row in training: there are many of them, and the fleets of the world come first."""

_SHOPPERS: Final = (
    *(0.2, 0.1, 0.1, 0.05, 0.1, 0.2, 0.6, 1.2, 1.9, 2.2, 2.1, 1.6),
    *(1.3, 1.2, 1.4, 1.9, 2.1, 1.7, 1.2, 0.9, 0.7, 0.5, 0.3, 0.2),
)
"""Sales by hour of the day, mean 1: a market's morning, and the way home."""


def tills(fleet: Fleet) -> Recording:
    """Return hourly tills of one shop: units sold, in stock or not, discount and temperature; no footfall."""
    rng, devices, days = np.random.default_rng(fleet.seed), fleet.devices, round(fleet.length_s / DAY_S)
    start_s = fleet.start_s // DAY_S * DAY_S
    demand, discount = _demand(rng, devices, days)
    sold, in_stock = _sell(rng, demand)
    air_c = 12.0 + 8.0 * np.sin(np.arange(days) / 58.0 + rng.uniform(0.0, 6.0)) + rng.normal(0.0, 2.0, days)
    values = np.full((devices, days * 24, len(RETAIL.channels)), np.nan, np.float32)
    values[:, :, 0] = in_stock.reshape(devices, -1)
    values[:, :, 1] = sold.reshape(devices, -1) * np.exp(rng.uniform(-3.0, 0.0, (devices, 1))) / 60.0
    values[:, :, 3] = np.repeat(discount, 24, axis=1)
    values[:, :, 4] = np.repeat(air_c, 24)
    names = tuple(DeviceId(fleet.site, RETAIL.name, f"till-{number:03d}") for number in range(devices))
    times = start_s + HOUR_S * np.arange(days * 24, dtype=np.float64)
    return _recording(TILL, names, times, values, ())


def _demand(rng: np.random.Generator, devices: int, days: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return demand ``(devices, days, 24)`` in units, and each day's discount ``(devices, days)``."""
    daily = rng.lognormal(np.log(6.5), 0.6, (devices, 1))
    slow = np.zeros((devices, days))
    drawn = rng.normal(0.0, 0.25, (devices, days))
    for day in range(1, days):
        slow[:, day] = 0.6 * slow[:, day - 1] + drawn[:, day]
    week = 1.0 + rng.normal(0.0, 0.08, (devices, 7)) + np.array([0.0, 0.0, 0.0, 0.0, 0.05, 0.15, 0.12])
    season = week[:, (np.arange(days) + rng.integers(7)) % 7]
    offered = np.repeat(rng.random((devices, -(-days // 5))) < 0.25, 5, axis=1)[:, :days]
    discount = np.where(offered, rng.uniform(0.1, 0.4, (devices, 1)), rng.choice((0.0, 0.05), (devices, 1)))
    level = daily * np.exp(slow) * season * (1.0 + 1.5 * discount)
    hours = np.array(_SHOPPERS) * np.exp(rng.normal(0.0, 0.3, (devices, 24)))
    hours /= hours.sum(axis=1, keepdims=True)
    # people buy for a household at once: sales come in clumps
    clumps = rng.gamma(0.8, 1.0 / 0.8, (devices, days, 24))
    return rng.poisson(level[:, :, None] * hours[:, None, :] * clumps).astype(np.float64), discount


def _sell(rng: np.random.Generator, demand: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return what is sold and whether there is stock at the end of each hour: goods come before the shop wakes.

    The order is made of what the last days sold, so a day that ran out orders too little for the next.
    """
    devices, days, _ = demand.shape
    sold, in_stock = np.zeros_like(demand), np.ones_like(demand)
    usual = demand[:, :7].sum(axis=2).mean(axis=1)
    care = rng.lognormal(np.log(0.98), 0.15, devices)
    steady = rng.uniform(0.25, 0.55, devices)
    delivery = rng.integers(1, 7, devices)
    second = np.where(rng.random(devices) < 0.3, rng.integers(12, 16, devices), -1)
    stock = np.round(usual * care)
    luck = np.zeros(devices)
    for day in range(days):
        luck = 0.3 * luck + rng.normal(0.0, 1.0, devices) * steady
        come = np.clip(delivery + rng.integers(-1, 2, devices), 0, 6)
        extra = (second > 0) & (rng.random(devices) < 0.3)
        for hour in range(24):
            order = np.maximum(np.round(usual * care * np.exp(luck)), 1.0)
            stock = np.where(hour == come, np.maximum(0.3 * stock, 0.0) + order, stock)
            stock = np.where(extra & (hour == second), stock + np.round(0.4 * usual), stock)
            sold[:, day, hour] = np.minimum(demand[:, day, hour], stock)
            stock -= sold[:, day, hour]
            in_stock[:, day, hour] = stock > 0.0
        usual = 0.9 * usual + 0.1 * np.maximum(sold[:, day].sum(axis=1), 0.8 * usual)
    return sold, in_stock


def thermometers(fleet: Fleet) -> Recording:
    """Return animals whose temperature is taken once a day, four in ten of which have one fever of some days."""
    rng, devices, days = np.random.default_rng(fleet.seed), fleet.devices, round(fleet.length_s / DAY_S)
    start_s = fleet.start_s // DAY_S * DAY_S + 9.0 * HOUR_S
    usual = rng.normal(38.75, 0.35, (devices, 1))
    celsius = usual + rng.normal(0.0, 1.0, (devices, days)) * rng.uniform(0.2, 0.5, (devices, 1))
    # the barn, the thermometer and the hour make some days warmer for all
    celsius += rng.normal(0.0, 0.1, days)
    truths = []
    names = tuple(DeviceId(fleet.site, AGRICULTURE.name, f"animal-{number:03d}") for number in range(devices))
    times = start_s + DAY_S * np.arange(days, dtype=np.float64)
    for number in np.flatnonzero(rng.random(devices) < 0.4).tolist():
        onset, lasting = int(rng.integers(4, days - 3)), int(rng.integers(3, 9))
        rise = np.clip((np.arange(days) - onset + 1.0) / rng.uniform(1.0, 2.5), 0.0, 1.0)
        course = rise * (np.arange(days) >= onset) * np.clip((onset + lasting - np.arange(days)) / 2.0, 0.0, 1.0)
        celsius[number] += rng.uniform(0.7, 2.0) * course
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


def running_out(
    recording: Recording, spec: WindowSpec, device: NDArray[np.int64], end_s: NDArray[np.float64]
) -> Labels:
    """Label windows of tills after which the goods run out within three hours; those that have say nothing new."""
    ahead = future_labels("stock_fraction", below=0.5, within_s=3.0 * HOUR_S, unsure_below=0.5)
    labels, weights = ahead(recording, spec, device, end_s)
    step = np.round((end_s - recording.start_s) / HOUR_S).astype(np.int64) - 1
    out = recording.physical[device, np.clip(step, 0, recording.physical.shape[1] - 1), 0] < 0.5
    awake = (end_s % DAY_S >= 6.0 * HOUR_S) & (end_s % DAY_S <= 20.0 * HOUR_S)
    return labels, np.where(out | ~awake, np.float32(0.0), SHARE) * weights


def feverish(recording: Recording, spec: WindowSpec, device: NDArray[np.int64], end_s: NDArray[np.float64]) -> Labels:
    """Label windows of thermometers that hold a reading taken in a fever."""
    labels, weights = fault_labels(0.0, {})(recording, spec, device, end_s)
    return labels, SHARE * weights


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
