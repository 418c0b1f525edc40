"""Fleets that no simulator thinks of: the pipeline takes whatever they send, and a restart anywhere changes nothing."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from contract import topics
from contract.domains import DOMAINS, Domain
from contract.topics import DeviceId
from gateway import plans as planning
from gateway.inference.shelf import Shelf, load_all
from gateway.pipeline import Pipeline
from gateway.ports import Batch, Message
from gateway.settings import Settings, shelves_folder
from tests.batches import START_S

FLEETS: Final = 400 if os.environ.get("EDGEFLEET_FAULTS_LONG") else 8
BATCHES: Final = 40
TIMES: Final = (0, -1, 1e18, 2**63, None, "x", "2024-01-01T00:00:00Z", START_S - 1e6, START_S + 1e6, 946_684_800.0)
COUNTERS: Final = (None, -1, 0, 1.5, "1", 2**53 - 1, 2**53)
VALUES: Final[tuple[object, ...]] = (None, 0, 1e308, -1e308, 1e-320, True, "x", [], 10**400)
STATES: Final = (b"online", b"stopped", b"offline", b"gone")
BROKEN: Final = (b"", b"{", b"[]", b"null", b"[{}]")


@dataclass(slots=True, kw_only=True)
class Device:
    """A device, and where it is."""

    name: DeviceId
    domain: Domain
    at_s: float
    seq: int = 0
    broken: bool
    """Whether it never sends a good sample."""

    def message(self, draw: random.Random, samples: int) -> Message:
        """Return its next message; now and then it says how it is instead."""
        if draw.random() < 0.03:
            return topics.state(self.name), draw.choice(STATES)
        if self.broken:
            return topics.telemetry(self.name), draw.choice((*BROKEN, b'{"ts": %f, "%s": 1e300}' % (self.at_s, b"x")))
        burst = [self._sample(draw) for _ in range(samples)]
        payload = json.dumps(burst if samples > 1 else burst[0]).encode()
        whole = draw.random() > 0.02
        return topics.telemetry(self.name), payload if whole else payload[: draw.randrange(len(payload))]

    def _sample(self, draw: random.Random) -> dict[str, Any]:
        self.at_s += self.domain.period_s * draw.choice((1, 1, 1, 1, 1, 1, 0, 0.5, 1.001, 2, -1, 70))
        self.seq = max(0, self.seq + draw.choice((*[1] * 12, 0, 2, 5, -3)))
        sample: dict[str, Any] = {"ts": self.at_s, "seq": self.seq}
        for channel in self.domain.channels:
            middle = (channel.low + channel.high) / 2
            sample[channel.name] = draw.choice((middle, middle, draw.uniform(channel.low, channel.high)))
        for field, odd in (("ts", TIMES), ("seq", COUNTERS), (draw.choice(self.domain.channel_names), VALUES)):
            if draw.random() < 0.05:
                sample[field] = draw.choice(odd)
        return sample


def fleet(draw: random.Random) -> Iterator[Batch]:
    """Yield what a fleet sends, as a gateway journals it whose own clock is set, ahead, behind, or steps."""
    devices = [
        Device(
            name=DeviceId("site", domain.name, f"device-{number}"),
            domain=domain,
            at_s=START_S + draw.choice((0, 100, -259_200)),
            broken=draw.random() < 0.2,
        )
        for domain in DOMAINS.values()
        for number in range(draw.choice((1, 3, 10)))
    ]
    now_s = draw.choice((START_S, START_S + 86_400, 100.0))
    for position in range(1, BATCHES + 1):
        now_s += draw.choice((0.01, 1.0, 60.0, 100.0, -50.0))
        samples = draw.choice((1, 1, 30, 300))
        sending = draw.choices(devices, k=draw.choice((0, 1, 10, 50)))
        yield Batch(position, now_s, [device.message(draw, draw.randint(1, samples)) for device in sending])


@pytest.fixture(scope="module")
def shelves() -> list[Shelf]:
    return list(load_all(shelves_folder(Settings())))


@settings(max_examples=FLEETS, deadline=None, phases=[Phase.generate])  # a smaller seed is no simpler
@given(seed=st.integers(0, 2**32), cut=st.integers(1, BATCHES - 1))
@pytest.mark.timeout(1200)
def test_any_fleet_is_taken_and_a_restart_anywhere_changes_nothing(shelves: list[Shelf], seed: int, cut: int) -> None:
    plans, limits = planning.plans(Settings(), shelves), planning.limits(Settings())
    whole, first, second = (Pipeline(plans, limits) for _ in range(3))
    for batch in fleet(random.Random(seed)):
        expected = whole.process(batch)
        if batch.position == cut + 1:
            second.load(first.dump())
        outputs = (first if batch.position <= cut else second).process(batch)
        assert msgspec.msgpack.encode(outputs) == msgspec.msgpack.encode(expected)
        for line in expected.ledger:
            assert min(line.published, line.stored, line.lost, line.quarantined, line.duplicate) >= 0
