"""A fixed input: what devices publish, from a seed; the same messages in the same order every time.

It holds what real fleets send: counters with holes, repeated and late samples, a sensor that stands still, one that is
saturated, values out of range, and bytes that are no JSON. It is in the past and no device says goodbye: nothing of it
depends on when it is received.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from contract import codec, topics
from contract.domains import INDUSTRIAL
from contract.messages import Sample
from contract.topics import DeviceId
from gateway.ports import Message
from tests.batches import START_S, USUAL

PRESSURE_HIGH = next(one.high for one in INDUSTRIAL.channels if one.name == "pressure_bar")
ODD_EVERY = 97
"""One of so many messages is out of the ordinary."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """Messages of some devices, one second apart, taking turns."""

    seed: int
    devices: int
    messages: int

    @property
    def names(self) -> list[DeviceId]:
        """The devices."""
        return [DeviceId("plant", "industrial", f"pump-{number}") for number in range(self.devices)]

    def __iter__(self) -> Iterator[Message]:
        """Yield the messages, always the same."""
        draw = np.random.default_rng(self.seed)
        names, usual = list(USUAL), np.array(list(USUAL.values()))
        scale = draw.uniform(0.7, 1.3, (self.devices, len(usual)))
        seconds = -(-self.messages // self.devices)
        left = self.messages
        last: dict[int, Message] = {}
        for second in range(seconds):
            values = np.round(usual * scale * draw.normal(1.0, 0.02, scale.shape), 4)
            odd = draw.integers(0, ODD_EVERY, self.devices)
            for index, device in enumerate(self.names[:left]):
                row = dict(zip(names, values[index].tolist(), strict=True))
                if odd[index] == 0 and index in last:
                    yield last[index]  # said again, byte for byte
                else:
                    last[index] = self._message(device, index, second, row, int(odd[index]))
                    yield last[index]
            left -= self.devices

    def _message(self, device: DeviceId, index: int, second: int, row: dict[str, float], odd: int) -> Message:
        topic = topics.telemetry(device)
        counted = index % 10 != 9  # one in ten devices does not count
        seq, ts = (second if counted else None), START_S + second
        if index % 5 == 1 and 300 <= second % 900 < 600:
            row["flow_l_min"] = 31.5  # stands still for five minutes in fifteen
        if index % 5 == 2 and 100 <= second % 700 < 400:
            row["pressure_bar"] = PRESSURE_HIGH  # at the end of its range
        match odd:
            case 1 if counted:
                return topic, b'{"ts": broken'
            case 2 if counted:
                row["temperature_c"] = 1e6
            case 3 if counted and second > 5:
                ts -= 5.0  # late, and the slot is held
            case 4:
                del row["current_a"]
            case _:
                pass
        return topic, codec.encode_sample(Sample(ts=ts, seq=seq, values=row))
