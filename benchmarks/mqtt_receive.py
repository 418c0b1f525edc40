"""CPU a message of receiving: the gateway's session against a bare paho-mqtt callback loop, in one run on Mosquitto.

    python benchmarks/mqtt_receive.py [--messages 100000] [--repeat 3]

Each receiver is a process of its own with a persistent, empty session; one publisher process sends 120-byte JSON from
1,000 devices. Counted: user and system time of the receiver from its first message to its last. Ours acknowledges each
delivery as soon as it has it; paho acknowledges by itself. Medians of the repetitions are printed, spread in brackets.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import multiprocessing
import resource
import socket
import statistics
import tempfile
import time
from collections.abc import Callable
from multiprocessing.connection import Connection as Pipe
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import structlog
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from gateway.mqtt import Session, SessionSettings, packets
from gateway.mqtt.packets import Version
from tests.brokers import Mosquitto

PAYLOAD = (
    b'{"ts":1700000000.123,"seq":%06d,"vibration_1_g":0.0271,"vibration_2_g":0.0409,"current_a":1.33,'
    b'"pressure_bar":0.382}'
)
DEVICES = 1000
CHUNK = 200
FILTER = "fleet/v1/+/+/+/telemetry"


def cpu_s() -> float:
    """Return user and system time of this process, seconds."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def receive_ours(port: int, count: int, version: Version, ready: Pipe, *, fast_loop: bool) -> None:
    """Receive with the gateway's session."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))

    async def main() -> None:
        protocol: Any = "5" if version is Version.V5 else "3.1.1"
        settings = SessionSettings(client_id="ours", subscriptions=(FILTER,), port=port, protocol=protocol)
        async with Session(settings) as session:
            while not session.connected:  # noqa: ASYNC110 - nothing is measured yet
                await asyncio.sleep(0.01)
            ready.send("ready")
            received, deliveries, start_s, began_s = 0, 0, 0.0, 0.0
            while received < count:
                delivery = await session.receive()
                if not received:
                    start_s, began_s = cpu_s(), time.perf_counter()
                received += len(delivery.messages)
                deliveries += 1
                delivery.acknowledge()
            ready.send((cpu_s() - start_s, time.perf_counter() - began_s, received / deliveries))

    if fast_loop:
        import uvloop  # noqa: PLC0415 - only where it is measured

        uvloop.run(main())
    else:
        asyncio.run(main())


def receive_paho(port: int, count: int, version: Version, ready: Pipe) -> None:
    """Receive with paho's own loop and a callback that does nothing but count."""
    received = 0
    start_s = began_s = 0.0

    def on_message(client: paho.Client, _data: object, _message: paho.MQTTMessage) -> None:
        nonlocal received, start_s, began_s
        if not received:
            start_s, began_s = cpu_s(), time.perf_counter()
        received += 1
        if received == count:
            ready.send((cpu_s() - start_s, time.perf_counter() - began_s, 1.0))
            client.disconnect()

    def subscribe(client: paho.Client, *_: object) -> None:
        client.subscribe(FILTER, 1)

    client = paho.Client(CallbackAPIVersion.VERSION2, client_id="paho", protocol=MQTTProtocolVersion(version))
    client.on_message = on_message
    client.on_subscribe = lambda *_: ready.send("ready")
    client.on_connect = subscribe
    client.connect("127.0.0.1", port)
    client.loop_forever()


def publish(port: int, count: int, quality: int) -> None:
    """Send ``count`` messages as fast as the broker takes them, with packets made beforehand."""
    stream = [encoded(number, quality) for number in range(count)]
    with socket.create_connection(("127.0.0.1", port)) as broker:
        broker.sendall(packets.connect(version=Version.V311, client_id="publisher", keep_alive_s=0, clean_start=True))
        broker.recv(4)
        outstanding = 0  # bytes of PUBACK to come
        for start in range(0, count, CHUNK):
            chunk = stream[start : start + CHUNK]
            broker.sendall(b"".join(chunk))
            outstanding += 4 * len(chunk) * quality
            while outstanding > 4 * CHUNK:
                outstanding -= len(broker.recv(65536))
        while outstanding:
            outstanding -= len(broker.recv(65536))


def encoded(number: int, quality: int) -> bytes:
    """Return one PUBLISH; the codec writes QoS 1 only, so QoS 0 is made by leaving the packet id out."""
    topic = f"fleet/v1/plant-a/industrial/pump-{number % DEVICES:04d}/telemetry"
    packet = packets.publish(topic, PAYLOAD % number, packet_id=number % 60000 + 1, version=Version.V311)
    if quality:
        return packet
    length = packet[1] + (packet[2] << 7) - 128 - 2
    body = 3 + 2 + len(topic)
    return bytes((0x30, length & 127 | 128, length >> 7)) + packet[3:body] + packet[body + 2 :]


async def measure(receiver: Callable[..., None], count: int, quality: int, version: Version, **options: bool) -> Any:
    """Run one receiver and one publisher on a fresh broker; return CPU and wall time, seconds, and batch size."""
    spawn = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        # QoS 0 is dropped above this by default, and the count would never be reached
        async with Mosquitto(Path(folder), ["max_queued_bytes 0", "set_tcp_nodelay true"]) as broker:
            here, there = spawn.Pipe()
            receiving = spawn.Process(
                target=receiver, args=(broker.port, count, version, there), kwargs=options, daemon=True
            )
            receiving.start()
            assert await asyncio.to_thread(here.recv) == "ready"
            publishing = spawn.Process(target=publish, args=(broker.port, count, quality), daemon=True)
            publishing.start()
            result = await asyncio.to_thread(lambda: here.recv() if here.poll(120) else None)
            for process in (receiving, publishing):
                await asyncio.to_thread(process.join, 10)
                process.kill()
            return result


async def main() -> None:
    """Measure every combination and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--repeat", type=int, default=3)
    arguments = parser.parse_args()
    receivers: list[tuple[str, Callable[..., None], dict[str, bool]]] = [
        ("session, uvloop", receive_ours, {"fast_loop": True}),
        ("session, asyncio", receive_ours, {"fast_loop": False}),
        ("paho callback", receive_paho, {}),
    ]
    print(f"{'receiver':<18}{'MQTT':>6}{'QoS':>5}{'CPU us/msg':>22}{'msg/s':>10}{'batch':>8}")
    for version in Version:
        for quality in (0, 1):
            for name, receiver, options in receivers:
                runs = [
                    await measure(receiver, arguments.messages, quality, version, **options)
                    for _ in range(arguments.repeat)
                ]
                done = [run for run in runs if run is not None]
                if not done:
                    print(f"{name:<18}{version.name:>6}{quality:>5}  did not finish")
                    continue
                costs = sorted(cpu / arguments.messages * 1e6 for cpu, _, _ in done)
                rate = statistics.median(arguments.messages / wall for _, wall, _ in done)
                batch = statistics.median(size for _, _, size in done)
                spread = f"{statistics.median(costs):.1f} [{costs[0]:.1f} … {costs[-1]:.1f}]"
                print(f"{name:<18}{version.name:>6}{quality:>5}{spread:>22}{rate:>10,.0f}{batch:>8.0f}", flush=True)


if __name__ == "__main__":
    asyncio.run(main())
