"""A gateway that is killed again and again leaves in its stores what one leaves that was never killed."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from console.labels import LabelStore, label
from contract.points import ACKNOWLEDGEMENTS, ALERTS
from tests.batches import START_S
from tests.brokers import Mosquitto
from tests.console_stores import alert
from tests.faults.crashes import lives, stored
from tests.faults.gateways import amqtt
from tests.faults.outcomes import compare, influx_outcome, local_outcome
from tests.faults.streams import Stream
from tests.influx import RealInflux, needs_influxd

pytestmark = [pytest.mark.timeout(300)]


KILLS = 4


async def answer(state: Path, part: int) -> None:
    """Say in the console what operators do while a gateway lives: each of ten alerts is acknowledged."""
    for number in range(10 * part, 10 * part + 10):
        one = alert(id=f"alert-{number}", onset_s=START_S + number)
        LabelStore(state).add(label(one, "acknowledged", at_s=START_S + 90.0 + number, operator="ann"))


@pytest.mark.mosquitto
@needs_influxd
async def test_killed_gateway_leaves_what_an_uninterrupted_one_leaves(tmp_path: Path, mosquitto: Mosquitto) -> None:
    """In the local store, and in an InfluxDB; operators answer meanwhile."""
    stream = Stream(seed=4, devices=20, messages=12_000)
    local, remote = {}, {}
    for name, kills in (("whole", 0), ("killed", KILLS)):
        state = tmp_path / name / "state"
        state.mkdir(parents=True)
        for part in range(kills, KILLS + 1):  # those before are given between the kills
            await answer(state, part)
        async with RealInflux(tmp_path / f"influx-{name}") as influx:
            told = await lives(
                tmp_path / name,
                mosquitto.port,
                stream,
                kills=kills,
                seed=1,
                between=partial(answer, state),
                gateway=name,
                influx={"url": influx.url, "token": "secret"},
            )
            assert told.kills == kills
            local[name] = local_outcome(tmp_path / name / "state")
            remote[name] = await influx_outcome(influx, ("industrial", ALERTS, ACKNOWLEDGEMENTS))
    assert stored(local["whole"]) > 11_000
    assert len(local["whole"].rows["alerts"]) > 50
    assert len(remote["whole"].rows["industrial"]) > 500
    assert len(remote["whole"].rows[ACKNOWLEDGEMENTS]) == 10 * (1 + KILLS)
    for outcome in (local, remote):
        difference = compare(outcome["killed"], outcome["whole"])
        assert not difference, str(difference)


async def test_amqtt_with_a_named_client_is_as_good(tmp_path: Path) -> None:
    """Amqtt keeps the session of a client only if it has a user name."""
    stream = Stream(seed=5, devices=5, messages=1500)
    outcomes = {}
    for name, kills in (("whole", 0), ("killed", 2)):
        async with amqtt() as port:
            await lives(tmp_path / name, port, stream, kills=kills, seed=2, gateway=name, broker={"protocol": "3.1.1"})
        outcomes[name] = local_outcome(tmp_path / name / "state")
    difference = compare(outcomes["killed"], outcomes["whole"])
    assert not difference, str(difference)
