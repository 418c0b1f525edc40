"""Recorded public data, through a real broker into a running gateway: every row again, windows as pandas has them."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiomqtt
import msgspec
import numpy as np
import pandas as pd
import pytest
import yaml
from numpy.typing import NDArray

from contract import topics
from contract.domains import DOMAINS
from contract.messages import Health
from contract.topics import DeviceId
from edgefleet.gateway_process import gateway_process, listening
from gateway.stores.reader import LocalReader
from tests.brokers import Mosquitto

pytestmark = [pytest.mark.data, pytest.mark.mosquitto, pytest.mark.timeout(180)]

BOUND_S = 60.0
"""Longest wait for the gateway to have taken a file."""
STATISTICS: dict[str, Callable[[NDArray[np.float64]], float]] = {
    "mean": np.mean,
    "std": np.std,
    "min": np.min,
    "max": np.max,
}


@pytest.fixture(scope="module")
def data() -> Path:
    """Return the folder of recorded data."""
    folder = os.environ.get("EDGEFLEET_DATA")
    if folder is None:
        pytest.skip("needs the recorded public data: set EDGEFLEET_DATA to its folder")
    return Path(folder)


@dataclass(frozen=True)
class Recorded:
    """A file, how to replay it, and what it holds by our names."""

    device: DeviceId
    options: Sequence[str]
    rows: pd.DataFrame
    """Channels by time (Unix seconds), as the file has them."""
    period_s: float
    window_s: float
    hop_s: float


def skab(data: Path) -> Recorded:
    """Return a pump with a valve that closes: eight channels, one row a second, with gaps."""
    names = {
        "Accelerometer1RMS": "vibration_1_g",
        "Accelerometer2RMS": "vibration_2_g",
        "Current": "current_a",
        "Pressure": "pressure_bar",
        "Temperature": "temperature_c",
        "Thermocouple": "thermocouple_c",
        "Voltage": "voltage_v",
        "Volume Flow RateRMS": "flow_l_min",
    }
    file = data / "skab" / "valve1" / "0.csv"
    table = pd.read_csv(file, sep=";").rename(columns=names)
    seconds = (pd.to_datetime(table["datetime"]) - pd.Timestamp(0)) / pd.Timedelta(seconds=1)
    table.index = pd.Index(seconds)
    mapping = ",".join(f"{column}={channel}" for column, channel in names.items())
    return Recorded(
        device=DeviceId("replay", "industrial", "skab-valve1-0"),
        options=[str(file), "--map", mapping],
        rows=table[list(names.values())],
        period_s=1.0,
        window_s=20.0,
        hop_s=10.0,
    )


def los_loop(data: Path) -> Recorded:
    """Return the slowest loop detector of Los Angeles: one row in five minutes, miles an hour."""
    file = data / "traffic_tgcn" / "los_speed_first80pct_even_sensors.csv"
    table = pd.read_csv(file)
    sensor = str(table.mean().idxmin())
    times = pd.Timestamp("2012-03-01", tz="UTC").timestamp() + 300.0 * np.arange(len(table))
    rows = pd.DataFrame({"speed_km_h": table[sensor].to_numpy() * 1.609344}, index=pd.Index(times))
    start = ["--start", "2012-03-01T00:00:00Z", "--period", "300s"]
    return Recorded(
        device=DeviceId("replay", "traffic", f"loop-{sensor}"),
        options=[str(file), "--map", f"{sensor}=speed_km_h*1.609344", *start],
        rows=rows,
        period_s=300.0,
        window_s=1800.0,
        hop_s=300.0,
    )


@asynccontextmanager
async def gateway(broker: Mosquitto, folder: Path) -> AsyncIterator[aiomqtt.Client]:
    """Run a gateway at a broker; give a client that hears its health."""
    settings = {
        "state_dir": str(folder / "state"),
        "health_every_s": 0.2,
        "broker": {"host": broker.host, "port": broker.port},
        "queues": {"tick_s": 0.5},
        "domains": {"traffic": {"period_s": 300.0}},
    }
    file = folder / "gateway.yaml"
    file.write_text(yaml.safe_dump(settings))
    async with aiomqtt.Client(broker.host, broker.port) as client:
        await client.subscribe(topics.gateway("edge-1", "health"))
        async with gateway_process(file, folder / "gateway.log"):
            await listening(broker.host, broker.port, "edge-1")
            yield client


async def replayed(broker: Mosquitto, recorded: Recorded) -> None:
    """Publish the file as fast as it goes, with the command that people use."""
    command = (
        *(sys.executable, "-m", "edgefleet", "replay", *recorded.options, "--speed", "max"),
        *("--domain", recorded.device.domain, "--device", recorded.device.device),
        *("--broker", f"mqtt://{broker.host}:{broker.port}"),
    )
    process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    said, _ = await process.communicate()
    assert process.returncode == 0, said.decode()


async def taken(client: aiomqtt.Client, count: int) -> None:
    """Return when the gateway says that it has processed that many samples."""
    async with asyncio.timeout(BOUND_S):
        async for message in client.messages:
            assert isinstance(message.payload, bytes)
            if msgspec.json.decode(message.payload, type=Health).samples_total >= count:
                return


@pytest.mark.parametrize("recording", [skab, los_loop])
async def test_recorded_file_is_found_again_row_by_row(
    recording: Callable[[Path], Recorded], data: Path, mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """Stored rows are the published rows; windows are what pandas makes of the file; alerts follow from the scores."""
    recorded = recording(data)
    async with gateway(mosquitto, tmp_path) as client:
        await replayed(mosquitto, recorded)
        await taken(client, len(recorded.rows))

    store = LocalReader(tmp_path / "state" / "store.db")
    rows_are_the_published_rows(store, recorded)
    windows_are_those_of_pandas(store, recorded)
    alerts_follow_from_the_scores(store, recorded)
    backtest_gives_the_same(store, recorded, tmp_path / "scores.csv")


def rows_are_the_published_rows(store: LocalReader, recorded: Recorded) -> None:
    """Compare raw readings, to float32, and the ledger."""
    rows = recorded.rows
    times, values = store.readings(recorded.device, 0.0, 2.0**33)
    assert times.tolist() == rows.index.tolist()
    order = [DOMAINS[recorded.device.domain].channel_names.index(name) for name in rows.columns]
    np.testing.assert_array_equal(values[:, order], rows.to_numpy(np.float32))
    (line,) = store.ledger()
    assert (line.published, line.stored, line.lost, line.quarantined) == (len(rows), len(rows), 0, 0)


def windows_are_those_of_pandas(store: LocalReader, recorded: Recorded) -> None:
    """Compare every window that must have closed with the file's rows of ``[end - length, end)``."""
    rows, points = recorded.rows, store.points(recorded.device.domain, recorded.device)
    found = {point.time_ns / 1e9: point.fields for point in points}
    first, last = rows.index[0], rows.index[-1]
    ends = np.arange(np.floor(first / recorded.hop_s) + 1, np.floor(last / recorded.hop_s) - 1) * recorded.hop_s
    expected = {end: rows[(rows.index >= end - recorded.window_s) & (rows.index < end)] for end in ends}
    expected = {end: inside for end, inside in expected.items() if len(inside)}
    assert set(expected) <= set(found)
    assert len(expected) > 100
    for end, inside in expected.items():
        for channel in rows.columns:
            for name, statistic in STATISTICS.items():
                value = statistic(inside[channel].to_numpy(np.float32).astype(float))
                assert found[end][f"{channel}_{name}"] == pytest.approx(value, rel=1e-4, abs=1e-5)


def alerts_follow_from_the_scores(store: LocalReader, recorded: Recorded) -> None:
    """Every firing stands at the end of a window whose score is at least the shelf's threshold, and there are some."""
    shelf = yaml.safe_load((Path("models") / recorded.device.domain / "manifest.yaml").read_text())
    scores = {point.time_ns / 1e9: point.fields.get("score") for point in store.points(recorded.device.domain)}
    fired = [
        one.alert for one in store.transitions() if one.alert.rule == shelf["rule"] and one.alert.state == "firing"
    ]
    assert fired
    for alert in fired:
        score = scores[alert.onset_s]
        assert isinstance(score, float)
        assert score >= shelf["judging"]["raise_at"]
        assert alert.score == pytest.approx(score)


def backtest_gives_the_same(store: LocalReader, recorded: Recorded, out: Path) -> None:
    """Compare the same file offline with the rows that came through broker and gateway."""
    command = (
        *(sys.executable, "-m", "edgefleet", "backtest", *recorded.options, "--out", str(out)),
        *("--domain", recorded.device.domain, "--device", recorded.device.device),
        *(() if "--period" in recorded.options else ("--period", f"{recorded.period_s}s")),
    )
    subprocess.run(command, check=True, capture_output=True)
    offline = pd.read_csv(out)
    points = store.points(recorded.device.domain, recorded.device)
    assert offline["window_end"].tolist() == [point.time_ns / 1e9 for point in points]
    scores = np.array([point.fields.get("score", np.nan) for point in points], float)
    np.testing.assert_array_equal(offline["score"].to_numpy(float), scores)
