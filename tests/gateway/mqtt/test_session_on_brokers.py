"""The session against real brokers, with real clients at the other end."""

from __future__ import annotations

import asyncio
import ssl
import subprocess
from pathlib import Path
from typing import Any

import aiomqtt
import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from structlog.testing import capture_logs

from gateway.mqtt import Announcement, ConnectRefusedError, Session
from gateway.mqtt.packets import Version
from tests.brokers import Mosquitto
from tests.gateway.mqtt.scripted import WAIT_S, collect, drop, publish, settings, until, up

pytestmark = pytest.mark.mosquitto

both = pytest.mark.parametrize("protocol", ["3.1.1", "5"])


def publish_with_paho(port: int, messages: list[tuple[str, bytes]], quality: int, version: int) -> None:
    client = paho.Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion(version))
    client.max_inflight_messages_set(1000)
    client.connect("127.0.0.1", port)
    client.loop_start()
    for sent in [client.publish(topic, payload, quality) for topic, payload in messages]:
        sent.wait_for_publish(WAIT_S)
    client.disconnect()
    client.loop_stop()


@both
@pytest.mark.parametrize("quality", [0, 1])
@pytest.mark.parametrize("publisher_version", list(Version))
async def test_every_message_of_paho_arrives_in_order(
    mosquitto: Mosquitto, protocol: str, quality: int, publisher_version: int
) -> None:
    sent = [(f"t/device-{number % 7}/telemetry", b"%d" % number + b"x" * (number % 300)) for number in range(1500)]
    async with up(mosquitto.port, protocol=protocol) as session:
        sending = asyncio.to_thread(publish_with_paho, mosquitto.port, sent, quality, publisher_version)
        publishing = asyncio.create_task(sending)
        assert await collect(session, len(sent)) == sent
        await publishing
        statistics = session.statistics()
        assert (statistics.messages, statistics.acknowledged) == (len(sent), len(sent) * quality)
        assert statistics.protocol == protocol


@both
async def test_aiomqtt_hears_what_the_session_publishes(mosquitto: Mosquitto, protocol: str) -> None:
    async with (
        aiomqtt.Client("127.0.0.1", mosquitto.port) as observer,
        up(mosquitto.port, protocol=protocol) as session,
    ):
        await observer.subscribe("out/#", 1)
        async with asyncio.timeout(WAIT_S):
            await asyncio.gather(*(session.publish("out/ä", b"%d" % number) for number in range(500)))
            heard = [(await anext(observer.messages)) for _ in range(500)]
    assert [message.payload for message in heard] == [b"%d" % number for number in range(500)]
    assert str(heard[0].topic) == "out/ä"


@both
async def test_what_was_not_acknowledged_comes_again_and_what_was_does_not(mosquitto: Mosquitto, protocol: str) -> None:
    async with up(mosquitto.port, protocol=protocol) as session, asyncio.timeout(WAIT_S):
        await publish(mosquitto.port, b"1", b"2", b"3")
        first = await collect(session, 3, acknowledge=False)
        drop(session)
        again = await collect(session, 3)  # they come before SUBACK
        await until(lambda: session.connected)
        assert first == again == [("t/a", b"1"), ("t/a", b"2"), ("t/a", b"3")]
        drop(session)
        await until(lambda: session.statistics().connects == 3)
        await publish(mosquitto.port, b"4")
        assert await collect(session, 1) == [("t/a", b"4")]


@both
async def test_what_came_while_the_session_was_away_is_delivered_on_its_return(
    mosquitto: Mosquitto, protocol: str
) -> None:
    async with up(mosquitto.port, protocol=protocol):
        pass
    await publish(mosquitto.port, b"missed")
    async with up(mosquitto.port, protocol=protocol) as session:
        assert await collect(session, 1) == [("t/a", b"missed")]


@both
async def test_a_broker_restart_loses_nothing_and_waiting_publishes_complete(
    mosquitto: Mosquitto, protocol: str
) -> None:
    async with up(mosquitto.port, protocol=protocol) as session, asyncio.timeout(WAIT_S):
        await publish(mosquitto.port, b"before")
        before = await session.receive()
        await mosquitto.stop()
        await until(lambda: not session.connected)
        publishing = asyncio.create_task(session.publish("t/own", b"while away"))
        await mosquitto.start()
        await publishing
        before.acknowledge()
        heard = await collect(session, 2)
        assert sorted(heard) == [("t/a", b"before"), ("t/own", b"while away")]


@both
async def test_a_session_that_the_broker_forgot_is_subscribed_anew(mosquitto: Mosquitto, protocol: str) -> None:
    async with up(mosquitto.port, protocol=protocol) as session, asyncio.timeout(WAIT_S):
        await mosquitto.kill()
        await until(lambda: not session.connected)
        await mosquitto.start()
        await until(lambda: session.connected)
        await publish(mosquitto.port, b"after")
        assert await collect(session, 1) == [("t/a", b"after")]


async def test_a_second_client_with_the_same_id_is_outlived(mosquitto: Mosquitto) -> None:
    """Between the two there is the backoff; when the other has gone, this one is back.

    Mosquitto 2.0.11 does not say why it closes; a broker that does is in the scripted tests.
    """
    other_is_gone = asyncio.Event()

    async def wait(_seconds: float) -> None:
        await other_is_gone.wait()

    with capture_logs() as logs:
        async with Session(settings(mosquitto.port), sleep=wait) as session, asyncio.timeout(WAIT_S):
            await until(lambda: session.connected)
            other = aiomqtt.Client(
                "127.0.0.1", mosquitto.port, identifier="gateway-1", protocol=aiomqtt.ProtocolVersion.V5
            )
            async with other:
                await until(lambda: not session.connected)
            other_is_gone.set()
            await until(lambda: session.connected)
    assert [entry["event"] for entry in logs] == ["broker connected", "broker not connected", "broker connected"]


async def test_a_broker_that_starts_later_is_found(mosquitto: Mosquitto) -> None:
    await mosquitto.stop()
    async with Session(settings(mosquitto.port)) as session:
        await until(lambda: session.statistics().failures >= 2)
        assert not session.connected
        await mosquitto.start()
        await until(lambda: session.connected)


@both
async def test_will_birth_and_farewell_are_retained_in_their_turn(mosquitto: Mosquitto, protocol: str) -> None:
    def state(text: bytes) -> Announcement:
        return Announcement(topic="gw/state", payload=text)

    said: dict[str, Any] = {"will": state(b"offline"), "birth": state(b"online"), "farewell": state(b"stopped")}
    async with aiomqtt.Client("127.0.0.1", mosquitto.port) as observer, asyncio.timeout(WAIT_S):
        await observer.subscribe("gw/state", 1)
        async with up(mosquitto.port, protocol=protocol, **said) as session:
            heard = [(await anext(observer.messages)).payload]
            drop(session)
            heard += [(await anext(observer.messages)).payload for _ in range(2)]
        heard.append((await anext(observer.messages)).payload)
    assert heard == [b"online", b"offline", b"online", b"stopped"]
    async with aiomqtt.Client("127.0.0.1", mosquitto.port) as late, asyncio.timeout(WAIT_S):
        await late.subscribe("gw/state", 1)
        last = await anext(late.messages)
    assert (last.payload, last.retain) == (b"stopped", True)


@both
async def test_a_wrong_password_is_refused_and_the_right_one_taken(tmp_path: Path, protocol: str) -> None:
    passwords = tmp_path / "passwords"
    write_password(passwords, "gateway", "right")
    async with Mosquitto(tmp_path / "broker", [f"password_file {passwords}", "allow_anonymous false"]) as broker:
        wrong = settings(broker.port, protocol=protocol, username="gateway", password="wrong")
        async with Session(wrong) as session, asyncio.timeout(WAIT_S):
            with pytest.raises(ConnectRefusedError, match="not authorized"):
                await session.receive()
        async with up(broker.port, protocol=protocol, username="gateway", password="right") as session:
            await session.publish("t/a", b"in")
            assert await collect(session, 1) == [("t/a", b"in")]


def write_password(path: Path, user: str, password: str) -> None:
    path.touch(mode=0o600)
    subprocess.run(["mosquitto_passwd", "-b", path, user, password], check=True, capture_output=True)


async def test_a_unix_socket_serves_as_well(tmp_path: Path) -> None:
    path = tmp_path / "mqtt.sock"
    async with (
        Mosquitto(tmp_path / "broker", [f"listener 0 {path}"]) as broker,
        up(broker.port, unix_path=str(path)) as session,
    ):
        await publish(broker.port, b"1")
        assert await collect(session, 1) == [("t/a", b"1")]


def certificate(folder: Path) -> tuple[Path, Path]:
    """Make a self-signed certificate for 127.0.0.1; return certificate and key."""
    made = folder / "broker.crt", folder / "broker.key"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=broker"
    subject = ["-addext", "subjectAltName=IP:127.0.0.1", "-out", str(made[0]), "-keyout", str(made[1])]
    subprocess.run([*command.split(), *subject], check=True, capture_output=True)
    return made


async def test_tls_is_one_argument_and_checks_who_the_broker_is(tmp_path: Path) -> None:
    crt, key = certificate(tmp_path)
    options = [f"certfile {crt}", f"keyfile {key}"]
    port_line = "listener {} 127.0.0.1"
    async with Mosquitto(tmp_path / "broker") as plain:
        secure = Mosquitto(tmp_path / "secure")
        config = tmp_path / "secure" / "mosquitto.conf"
        line = port_line.format(secure.port)
        config.write_text(config.read_text().replace(line, "\n".join((line, *options))))
        async with secure:
            trusting = ssl.create_default_context(cafile=str(crt))
            async with Session(settings(secure.port), ssl_context=trusting) as session:
                await session.publish("t/a", b"1")
                assert await collect(session, 1) == [("t/a", b"1")]
            async with Session(settings(secure.port), ssl_context=ssl.create_default_context()) as session:
                await until(lambda: session.statistics().failures)
                assert not session.connected
        assert plain.port != secure.port


async def test_receive_maximum_overrides_mosquittos_own_limit_over_version_5(tmp_path: Path) -> None:
    """Mosquitto limits what is in flight to its own setting over 3.1.1, and to ours over 5."""
    payloads = [b"%d" % number for number in range(300)]
    async with Mosquitto(tmp_path, ["max_inflight_messages 20"]) as broker, asyncio.timeout(WAIT_S):
        for protocol, in_flight in (("3.1.1", 20), ("5", 150)):
            async with up(broker.port, protocol=protocol, receive_maximum=150, client_id=f"gw{protocol}") as session:
                await publish(broker.port, *payloads)
                # what the broker may send it has sent when it answers what was published after it
                await collect(session, in_flight, acknowledge=False)
                await session.publish("other", b"")
                assert session.statistics().messages == in_flight


async def test_a_message_above_the_limit_is_kept_away_over_5_and_passed_over_over_311(mosquitto: Mosquitto) -> None:
    for protocol, oversized in (("5", 0), ("3.1.1", 1)):
        async with up(mosquitto.port, protocol=protocol, maximum_packet_bytes=1000, client_id=protocol) as session:
            await publish(mosquitto.port, b"1", b"x" * 5000, b"2")
            assert await collect(session, 2) == [("t/a", b"1"), ("t/a", b"2")]
            assert session.statistics().oversized == oversized
