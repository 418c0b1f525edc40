"""What every store does, the fake included."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from contract import codec
from contract.messages import Alert
from contract.points import Point
from gateway.ports import Outputs, Store
from gateway.settings import InfluxSettings
from gateway.stores.alert_topic import AlertTopicStore
from gateway.stores.influx import InfluxStore
from gateway.stores.local import LocalStore
from gateway.stores.reader import LocalReader
from tests.fakes import FakeBroker, FakeStore
from tests.influx import PlayedInflux


@dataclass(frozen=True)
class Made:
    """A store, and a way to see what it holds of alerts and points, in any form that can be compared."""

    store: Store
    alerts: Callable[[], set[str]]
    points: Callable[[], set[str]] | None = None


def made_local(path: Path) -> Made:
    reader = LocalReader(path)
    return Made(
        LocalStore(path),
        lambda: {f"{stored.alert.id} {stored.alert.state}" for stored in reader.transitions()},
        lambda: {f"{point.time_ns} {point.fields}" for point in reader.points("m")},
    )


def made_fake() -> Made:
    store = FakeStore()
    return Made(
        store,
        lambda: {f"{alert.id} {alert.state}" for alert in store.contents.alerts},
        lambda: {f"{point.time_ns} {point.fields}" for point in store.contents.points},
    )


def made_influx(server: PlayedInflux) -> Made:
    def lines(start: str) -> set[str]:
        """Return what an InfluxDB would hold: the same series and time overwrite each other."""
        keyed = {(line.split(" ", 1)[0], line.rsplit(" ", 1)[1]): line for line in server.lines}
        return {line for line in keyed.values() if line.startswith(start)}

    store = InfluxStore(InfluxSettings(url=server.url, token=SecretStr("t")))
    return Made(store, lambda: lines("alerts,"), lambda: lines("m "))


def made_topic() -> Made:
    broker = FakeBroker()
    return Made(
        AlertTopicStore(broker),
        lambda: {f"{topic} {codec.decode_alert(payload).id}" for topic, payload in broker.retained.items()},
    )


@pytest.fixture(params=["local", "fake", "influx", "mqtt"])
async def made(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Made]:
    async with AsyncExitStack() as stack:

        async def influx() -> Made:
            return made_influx(await stack.enter_async_context(PlayedInflux()))

        async def plain(make: Callable[[], Made]) -> Made:
            return make()

        makers: dict[str, Callable[[], Awaitable[Made]]] = {
            "local": lambda: plain(lambda: made_local(tmp_path / "s.db")),
            "fake": lambda: plain(made_fake),
            "influx": influx,
            "mqtt": lambda: plain(made_topic),
        }
        made = await makers[request.param]()
        stack.push_async_callback(made.store.close)
        yield made


def alert(name: str, device: str, **changes: Any) -> Alert:
    usual: dict[str, Any] = {
        "id": name,
        "site": "s",
        "domain": "industrial",
        "device": device,
        "rule": "anomaly",
        "severity": "warning",
        "state": "firing",
        "onset_s": 100.0,
        "at_s": 100.0,
        "trigger_s": 100.5,
        "score": 0.9,
        "summary": "Vibration is up.",
    }
    return Alert(**(usual | changes))


BATCH = [
    Outputs(alerts=[alert("a", "p-1")], points=[Point("m", {}, {"n": 1}, 1), Point("m", {}, {"n": 2}, 2)]),
    Outputs(),
    Outputs(alerts=[alert("b", "p-2")], points=[Point("m", {}, {"n": 3}, 3)]),
]


async def test_everything_written_is_held(made: Made) -> None:
    assert await made.store.write(BATCH) == []
    assert len(made.alerts()) == 2
    assert made.points is None or len(made.points()) == 3


async def test_writing_twice_changes_nothing(made: Made) -> None:
    await made.store.write(BATCH)
    once = (made.alerts(), made.points and made.points())
    assert await made.store.write(BATCH) == []
    assert (made.alerts(), made.points and made.points()) == once


async def test_one_by_one_is_the_same_as_all_at_once(made: Made) -> None:
    await made.store.write(BATCH)
    at_once = (made.alerts(), made.points and made.points())
    for outputs in BATCH:
        await made.store.write([outputs])
    assert (made.alerts(), made.points and made.points()) == at_once


async def test_later_point_of_the_same_key_overwrites(made: Made) -> None:
    if made.points is None:
        pytest.skip("takes alerts only")
    await made.store.write([Outputs(points=[Point("m", {}, {"n": 1}, 1)])])
    await made.store.write([Outputs(points=[Point("m", {}, {"n": 7}, 1)])])
    (only,) = made.points()
    assert "7" in only


async def test_writing_nothing_is_fine(made: Made) -> None:
    assert await made.store.write([]) == []
    assert await made.store.write([Outputs()]) == []
    assert made.alerts() == set()


async def test_name_is_one_that_a_cursor_can_be_kept_under(made: Made) -> None:
    assert made.store.name.isidentifier()
    assert made.store.name == made.store.name


async def test_closing_without_a_write_is_fine(made: Made) -> None:
    await made.store.close()
