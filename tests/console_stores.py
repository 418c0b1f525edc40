"""State folders as a gateway leaves them, written by its own store: of few devices, of many, of one that is long."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contract.domains import DOMAINS
from contract.messages import Alert, Reason
from contract.points import GATEWAY, FieldValue, Point, nanoseconds
from contract.topics import DeviceId
from contract.truth import Truth
from gateway.ports import LedgerLine, Outputs, Quarantined, Readings
from gateway.stores.local import LocalStore

T0 = 1_700_000_000.0
PUMP = DeviceId("plant-1", "industrial", "pump-01")


def alert(who: DeviceId = PUMP, **changes: Any) -> Alert:
    """Return an alert of a model that fires; ``changes`` differ."""
    values: dict[str, Any] = {
        "id": f"{who.device}-a1",
        "site": who.site,
        "domain": who.domain,
        "device": who.device,
        "rule": "anomaly",
        "severity": "warning",
        "state": "firing",
        "onset_s": T0 + 600.0,
        "at_s": T0 + 600.0,
        "trigger_s": T0 + 599.0,
        "score": 0.93,
        "summary": "pressure_bar 9.1 bar, usually 4.2 (+8.0 σ)",  # noqa: RUF001
        "reasons": (Reason(feature="pressure_bar", value=9.1, baseline=4.2, sigma=8.0),),
        "model_version": "1.0.0",
    }
    return Alert(**values | changes)


def truth(who: DeviceId = PUMP, **changes: Any) -> Truth:
    """Return an injected fault; ``changes`` differ."""
    values: dict[str, Any] = {
        "fault": "valve_closing",
        "kind": "fault",
        "site": who.site,
        "domain": who.domain,
        "device": who.device,
        "onset_s": T0 + 500.0,
        "end_s": T0 + 850.0,
    }
    return Truth(**values | changes)


def line(who: DeviceId = PUMP, **changes: Any) -> LedgerLine:
    """Return the ledger's line of a device that lost nothing."""
    values: dict[str, Any] = {
        "published": 100,
        "stored": 100,
        "duplicate": 0,
        "late": 0,
        "quarantined": 0,
        "lost": 0,
        "gaps": (),
        "last_s": T0 + 600.0,
    }
    return LedgerLine(who.site, who.domain, who.device, **values | changes)


def health(at_s: float, **changes: FieldValue) -> Point:
    """Return a health report."""
    fields: dict[str, FieldValue] = {
        "uptime_s": 60.0,
        "messages_total": 1000,
        "messages_per_s": 10.0,
        "samples_total": 1000,
        "quarantined_total": 0,
        "windows_total": 100,
        "inferences_total": 90,
        "alerts_total": 1,
        "alerts_open": 1,
        "devices": 1,
        "batches_waiting": 0,
        "outbox_entries": 0,
        "outbox_bytes": 0,
        "outbox_age_s": 0.0,
        "inference_s": 0.5,
        "memory_bytes": 80 * 2**20,
        "written_bytes": 10 * 2**20,
    }
    return Point(GATEWAY, {"gateway": "edge-1"}, fields | changes, nanoseconds(at_s))


def readings(
    who: DeviceId, times: NDArray[np.float64], values: NDArray[np.float32], *, hop_s: float, late: bool = False
) -> list[Readings]:
    """Return samples as the gateway stores them: a block a hop."""
    starts = np.floor(times / hop_s) * hop_s
    firsts = np.flatnonzero(np.diff(starts, prepend=-np.inf))
    ends = [*firsts[1:].tolist(), len(times)]
    return [
        Readings(
            who.site,
            who.domain,
            who.device,
            nanoseconds(float(starts[first])),
            late,
            end - first,
            times[first:end].astype("<f8").tobytes(),
            values[first:end].astype("<f4").tobytes(),
        )
        for first, end in zip(firsts.tolist(), ends, strict=True)
    ]


def quiet(count: int, channels: int = 8, seed: int = 1) -> NDArray[np.float32]:
    """Return samples of channels that rest at 1, 2, 3, … with some noise."""
    noise = np.random.default_rng(seed).normal(0.0, 0.05, (count, channels))
    return (np.arange(1, channels + 1) + noise).astype(np.float32)


def windows(who: DeviceId, times: Iterable[float], score: float = 0.1, **fields: float) -> list[Point]:
    """Return the points of windows."""
    tags = {"site": who.site, "device": who.device}
    return [Point(who.domain, tags, {"score": score, "coverage": 1.0, **fields}, nanoseconds(at_s)) for at_s in times]


def write(state_dir: Path, *outputs: Outputs, now_s: float | None = None) -> None:
    """Write outputs as the gateway would, at ``now_s`` of its clock."""
    state_dir.mkdir(parents=True, exist_ok=True)

    async def run() -> None:
        store = LocalStore(state_dir / "store.db", clock=time.time if now_s is None else lambda: now_s)
        try:
            await store.write(outputs)
        finally:
            await store.close()

    with ThreadPoolExecutor(1) as beside:  # a browser's loop may run in this thread
        beside.submit(lambda: asyncio.run(run())).result()


def small(state_dir: Path, now_s: float) -> None:
    """Write a folder with a bit of everything: three devices, an alert, quarantine, health; its gateway is alive."""
    others = [DeviceId("farm-1", "agriculture", "cow-01"), DeviceId("plant-1", "industrial", "pump-02")]
    times = T0 + np.arange(900.0)
    values = quiet(900)
    values[700:, 3] += 3.0  # pressure leaves its band
    cow_times = T0 + 60.0 * np.arange(15.0)
    write(
        state_dir,
        Outputs(
            alerts=[alert(onset_s=T0 + 760.0, at_s=T0 + 760.0, trigger_s=T0 + 760.0)],
            readings=[
                *readings(PUMP, times, values, hop_s=10.0),
                *readings(others[1], times, quiet(900, seed=2), hop_s=10.0),
                *readings(others[0], cow_times, quiet(15, 5), hop_s=600.0),
            ],
            points=[
                *windows(PUMP, T0 + 60.0 + 10.0 * np.arange(84), pressure_bar_mean=4.0),
                *(health(now_s - age_s, messages_total=1000 - int(age_s)) for age_s in (20.0, 10.0, 0.0)),
            ],
            quarantined=[Quarantined(1, 0, now_s, "fleet/odd", "not JSON", b"<script>alert(1)</script>")],
            ledger=[line(who, last_s=T0 + 899.0) for who in (PUMP, *others)],
        ),
        now_s=now_s,
    )


def wide(state_dir: Path, devices: int) -> None:
    """Write a fleet of many devices, one in a hundred of which has an alert."""
    domains = sorted(DOMAINS)
    everyone = [DeviceId(f"site-{i % 7}", domains[i % 4], f"device-{i:05d}") for i in range(devices)]
    write(
        state_dir,
        Outputs(ledger=[line(who) for who in everyone], alerts=[alert(who, id=str(who)) for who in everyone[::100]]),
    )


def long(state_dir: Path, samples: int, *, at_once: int = 100_000) -> Sequence[float]:
    """Write one device with very many samples, a second apart; return the times of the first and the last."""
    for first in range(0, samples, at_once):
        times = T0 + np.arange(first, min(first + at_once, samples), dtype=np.float64)
        write(state_dir, Outputs(readings=readings(PUMP, times, quiet(len(times)), hop_s=10.0)))
    write(state_dir, Outputs(ledger=[line(published=samples, stored=samples, last_s=T0 + samples - 1)]))
    return T0, T0 + samples - 1
