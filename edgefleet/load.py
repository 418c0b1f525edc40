"""A load: many industrial devices over one connection, at a fixed rate or as fast as the broker acknowledges.

    python -m edgefleet.load '{"port": 1883, "devices": 1000, "messages": 1000000}'

A process of its own, so that making messages disturbs nobody's measurement. Message ``k`` is sample ``k // devices`` of
device ``k % devices``; with a rate it is sent when it is due, counted from the first one, however late that makes it: a
gateway that stalls is measured with the stall. Where ``start_s`` is not given a message's ``ts`` is when it was due.
The payload is 120 bytes of JSON; with ``channels`` above 4 it is longer.
"""

from __future__ import annotations

import random
import resource
import socket
import sys
import time
from collections.abc import Iterator
from typing import Final

import msgspec

from contract import topics
from contract.topics import device_id
from simulator import wire

UNACKNOWLEDGED: Final = 2000
"""Messages that may be on their way before the broker acknowledges the first."""
CHUNK: Final = 100
"""Messages of one write, where they are not paced."""
TURN_S: Final = 0.002
"""Pause between two looks at the clock, where they are: less than a hundredth of the delays that are measured."""
TAILS: Final = 4096
"""Different sets of values; a window of sixty samples never repeats one in order."""
FIRST_SEQ: Final = 100_000
"""Six digits from the first message to the last, so that every message of a load has one length."""
LATE_S: Final = 0.01
"""What is sent this much after it was due is noted, seconds."""
ODD_CHANNELS: Final = 2
ODD_TIMES: Final = 5.0
"""What is odd in an odd device: its first channels (of a pump the vibrations) are this many times what they were."""
ACK_BYTES: Final = 4
PAYLOAD: Final = b'{"ts":%.3f,"seq":%d,%b'

Channels = tuple[tuple[str, float, int], ...]
CHANNELS: Final[dict[str, Channels]] = {
    "industrial": (
        ("vibration_1_g", 0.03, 4),
        ("vibration_2_g", 0.04, 4),
        ("current_a", 1.33, 3),
        ("pressure_bar", 0.38, 4),
        ("temperature_c", 71.2, 2),
        ("thermocouple_c", 26.4, 2),
        ("voltage_v", 229.6, 1),
        ("flow_l_min", 122.3, 1),
    ),
    "agriculture": (
        ("heart_rate_bpm", 71.0, 1),
        ("blood_pressure_mmhg", 112.0, 1),
        ("body_temperature_c", 38.6, 2),
        ("activity_index", 0.6, 3),
    ),
    "retail": (
        ("stock_fraction", 0.62, 4),
        ("sales_per_min", 1.7, 3),
        ("footfall_per_min", 9.5, 3),
        ("ambient_c", 21.4, 2),
    ),
    "traffic": (("flow_veh_h", 1240.0, 1), ("occupancy_pct", 12.4, 2), ("speed_km_h", 87.2, 2)),
    "scaling": tuple((f"c{number:02d}", 50.0, 2) for number in range(1, 17)),
}
"""By domain: name, mean and decimals of the channels that a message may hold."""


class Load(msgspec.Struct, kw_only=True, frozen=True):
    """What to publish."""

    port: int
    domain: str = "industrial"
    devices: int
    messages: int
    rate_per_s: float | None = None
    """``None``: as fast as the broker acknowledges."""
    period_s: float = 1.0
    """Time between two samples of a device in its own time, seconds."""
    start_s: float | None = None
    """Time of the first sample, Unix seconds; ``None``: when it is sent."""
    channels: int = 4
    """Channels in a message, the first ones of the domain."""
    least_bytes: int = 0
    """A shorter payload is filled up with blanks to this length."""
    stride: int = 1
    """Difference between the numbers in two devices' names."""
    odd_every: int = 0
    """Every so-manieth device measures something else from :attr:`odd_from_s` on; 0 is none."""
    odd_from_s: float = 0.0
    """Time at which the first odd device turns so, Unix seconds; the others follow over :attr:`odd_over_s`."""
    odd_over_s: float = 1.0
    site: str = "load"
    first_seq: int = FIRST_SEQ


class Sent(msgspec.Struct, kw_only=True, frozen=True):
    """What came of it."""

    messages: int
    began_s: float
    """Unix seconds."""
    took_s: float
    """Until the broker had acknowledged the last one."""
    latest_s: float
    """Longest time that a message was sent after it was due, where that is above 10 ms; 0 without a rate."""
    cpu_s: float
    """User and system time of the process that sent, seconds."""
    payload_bytes: int
    late: list[tuple[float, float]] = []
    """When messages were sent late, and when the first of them was due; Unix seconds, in order."""


def run(load: Load) -> Sent:
    """Publish a load; return when the broker has acknowledged all of it."""
    with socket.create_connection(("127.0.0.1", load.port)) as broker:
        broker.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client = f"load-{load.site}-{load.domain}-{load.first_seq}"
        broker.sendall(wire.connect(client, keep_alive_s=0))
        if broker.recv(4)[3:] != b"\0":
            raise ConnectionRefusedError
        began_s, began = time.time(), time.monotonic()
        stream = messages(load, began_s if load.start_s is None else load.start_s)
        late: list[tuple[float, float]] = []
        if load.rate_per_s is None:
            _unpaced(load, stream, broker)
        else:
            late = _paced(load, stream, broker, began)
        took_s = time.monotonic() - began
        usage = resource.getrusage(resource.RUSAGE_SELF)
    return Sent(
        messages=load.messages,
        began_s=began_s,
        took_s=took_s,
        latest_s=max((sent - due for sent, due in late), default=0.0),
        cpu_s=usage.ru_utime + usage.ru_stime,
        payload_bytes=_payload_bytes(load),
        late=[(began_s + sent, began_s + due) for sent, due in late],
    )


def _unpaced(load: Load, stream: Iterator[bytes], broker: socket.socket) -> None:
    sent = acknowledged = 0
    while sent < load.messages:
        count = min(CHUNK, load.messages - sent)
        broker.sendall(b"".join([next(stream) for _ in range(count)]))
        sent += count
        while sent - acknowledged > UNACKNOWLEDGED:
            acknowledged += _acknowledged(broker)
    while acknowledged < sent:
        acknowledged += _acknowledged(broker)


def _paced(load: Load, stream: Iterator[bytes], broker: socket.socket, began: float) -> list[tuple[float, float]]:
    """Send what is due; return when that was late and since when it was due, seconds from ``began``."""
    assert load.rate_per_s is not None
    sent = acknowledged = 0
    late: list[tuple[float, float]] = []
    broker.setblocking(False)  # noqa: FBT003  # its own name for it
    waiting = b""
    while acknowledged < load.messages:
        now_s = time.monotonic() - began
        due = min(load.messages, int(now_s * load.rate_per_s) + 1)
        if due > sent and now_s - sent / load.rate_per_s > LATE_S:
            late.append((now_s, sent / load.rate_per_s))
        if due > sent:
            waiting += b"".join([next(stream) for _ in range(due - sent)])
            sent = due
        try:
            if waiting:
                waiting = waiting[broker.send(waiting) :]
        except BlockingIOError:
            pass  # the broker does not read: what is due waits here
        try:
            acknowledged += _acknowledged(broker)
        except BlockingIOError:
            time.sleep(TURN_S)
    return late


def _acknowledged(broker: socket.socket) -> int:
    """Return how many acknowledgements came; they have one length, and nothing else comes but parts of them."""
    received = broker.recv(65_536)
    if not received:
        raise ConnectionResetError
    while len(received) % ACK_BYTES:
        try:
            received += broker.recv(ACK_BYTES - len(received) % ACK_BYTES)
        except BlockingIOError:
            time.sleep(TURN_S)
    return len(received) // ACK_BYTES


def messages(load: Load, start_s: float) -> Iterator[bytes]:
    """Yield every PUBLISH of a load, in order."""
    usual, odd = _tails(load, odd=False), _tails(load, odd=True)
    size = _payload_bytes(load)
    heads = [
        wire.publish_head(topics.telemetry(device_id(load.site, load.domain, f"device-{d * load.stride:05d}")), size)
        for d in range(load.devices)
    ]
    ids = [number.to_bytes(2, "big") for number in range(1, wire.PACKET_IDS + 1)]
    step_s = load.period_s / load.devices
    turn_s = [_turns_odd_s(load, d) for d in range(load.devices)]
    for k in range(load.messages):
        sample, device = divmod(k, load.devices)
        ts = start_s + k * step_s
        tails = usual if ts < turn_s[device] else odd
        tail = tails[k * 7919 & TAILS - 1]
        yield heads[device] + ids[k % wire.PACKET_IDS] + PAYLOAD % (ts, load.first_seq + sample, tail)


def _payload_bytes(load: Load) -> int:
    return len(PAYLOAD % (1.7e9, load.first_seq, _tails(load, odd=False)[0]))


def _tails(load: Load, *, odd: bool) -> list[bytes]:
    """Return the values as JSON, all of one length: noise of a few per cent around each channel's mean."""
    draw = random.Random(1)  # noqa: S311  # a load, not a secret
    rows: list[bytes] = []
    while len(rows) < TAILS:
        values = [
            f'"{name}":{mean * (ODD_TIMES if odd and c < ODD_CHANNELS else 1.0) * draw.gauss(1.0, 0.02):.{decimals}f}'
            for c, (name, mean, decimals) in enumerate(CHANNELS[load.domain][: load.channels])
        ]
        rows.append((",".join(values) + "}").encode())
    longest = max(*map(len, rows), load.least_bytes - len(PAYLOAD % (1.7e9, load.first_seq, b"")))
    return [row[:-1] + b" " * (longest - len(row)) + b"}" for row in rows]


def _turns_odd_s(load: Load, device: int) -> float:
    if not load.odd_every or device % load.odd_every:
        return float("inf")
    return load.odd_from_s + load.odd_over_s * device / load.devices


def main() -> None:
    """Run the load that the argument says; print what came of it as JSON."""
    load = msgspec.json.decode(sys.argv[1], type=Load)
    sys.stdout.buffer.write(msgspec.json.encode(run(load)))


if __name__ == "__main__":
    main()
