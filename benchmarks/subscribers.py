"""Bare subscribers to compare with: they receive, acknowledge and count, and do nothing else.

    python -m benchmarks.subscribers paho|socket PORT COUNT

``paho`` is paho-mqtt's callback loop as its documentation shows it. ``socket`` is the least that a subscriber can do:
it reads, counts the PUBLISH packets and acknowledges each read; what it gets is what the broker delivers.
"""

from __future__ import annotations

import json
import resource
import socket
import sys
import time
from collections.abc import Callable
from typing import Final

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from contract import topics
from gateway.mqtt import packets
from gateway.mqtt.packets import Version
from gateway.mqtt.parser import Parser

READ_BYTES: Final = 256 * 1024


class Meter:
    """CPU and wall time from the first message to the last."""

    def __init__(self, count: int) -> None:
        """Measure so many messages."""
        self.left = self.count = count
        self._cpu_s = self._wall_s = 0.0

    def take(self, messages: int) -> bool:
        """Count; tell whether all are there."""
        if self.left == self.count:
            self._cpu_s, self._wall_s = cpu_s(), time.perf_counter()
        self.left -= messages
        return self.left <= 0

    def report(self) -> None:
        """Print what was measured."""
        wall_s = time.perf_counter() - self._wall_s
        print(json.dumps({"cpu_s": cpu_s() - self._cpu_s, "wall_s": wall_s, "messages": self.count}), flush=True)


def cpu_s() -> float:
    """Return user and system time of this process, seconds."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def with_paho(port: int, meter: Meter) -> None:
    """Receive with paho's own loop; it acknowledges by itself."""

    def on_message(client: paho.Client, _data: object, _message: paho.MQTTMessage) -> None:
        if meter.take(1):
            client.disconnect()

    def on_connect(client: paho.Client, *_: object) -> None:
        client.subscribe(topics.ALL_TELEMETRY, 1)

    client = paho.Client(CallbackAPIVersion.VERSION2, client_id="bare-paho")
    client.on_message = on_message
    client.on_connect = on_connect
    client.on_subscribe = lambda *_: print("ready", flush=True)
    client.connect("127.0.0.1", port)
    client.loop_forever()


def with_socket(port: int, meter: Meter) -> None:
    """Receive with a blocking socket and the gateway's parser."""
    parser = Parser(version=Version.V5, maximum_packet_bytes=2**20)
    with socket.create_connection(("127.0.0.1", port)) as broker:
        broker.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        broker.sendall(packets.connect(version=Version.V5, client_id="bare-socket", keep_alive_s=0, clean_start=True))
        broker.sendall(packets.subscribe(1, (topics.ALL_TELEMETRY,), version=Version.V5))
        done = ready = False
        while not done:
            read = parser.feed(broker.recv(READ_BYTES))
            if not ready and any(isinstance(control, packets.SubAck) for control in read.controls):
                ready = True
                print("ready", flush=True)
            if read.packet_ids:
                broker.sendall(packets.acknowledge(read.packet_ids))
            if read.messages:
                done = meter.take(len(read.messages))


KINDS: Final[dict[str, Callable[[int, Meter], None]]] = {"paho": with_paho, "socket": with_socket}


def main() -> None:
    """Receive as the arguments say."""
    kind, port, count = sys.argv[1:]
    meter = Meter(int(count))
    KINDS[kind](int(port), meter)
    meter.report()


if __name__ == "__main__":
    main()
