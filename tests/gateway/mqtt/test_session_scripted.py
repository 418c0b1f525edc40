"""What the session does when the broker misbehaves, refuses, or falls silent."""

from __future__ import annotations

import asyncio

import pytest
from structlog.testing import capture_logs

from gateway.mqtt import (
    ConnectRefusedError,
    PublishRefusedError,
    Session,
    SessionClosedError,
    SettingsError,
    SubscribeRefusedError,
)
from gateway.mqtt.packets import Announcement
from tests.brokers import free_port
from tests.gateway.mqtt.scripted import CONNACK_311, WAIT_S, Peer, collect, drop, scripted, settings, until


async def accept(peer: Peer) -> None:
    await peer.accept()
    await peer.until_closed()


async def close_at_once(peer: Peer) -> None:
    await peer.expect(0x10)


async def test_a_broker_that_falls_silent_is_given_up_and_called_again() -> None:
    """The connection stays open and the pings go through; only the answers stop."""
    async with scripted(accept) as port, Session(settings(port, keep_alive_s=0.2)) as session:
        await until(lambda: session.statistics().connects >= 2)
        assert session.statistics().failures >= 1


async def test_a_broker_that_answers_pings_is_kept() -> None:
    pings = 0

    async def answer(peer: Peer) -> None:
        nonlocal pings
        await peer.accept()
        while await peer._reader.readexactly(2) == b"\xc0\x00":
            pings += 1
            peer.send("d0 00")

    async with scripted(answer) as port, Session(settings(port, keep_alive_s=0.1)) as session:
        await until(lambda: pings >= 6)
        assert session.statistics().connects == 1
        assert session.connected


async def test_the_brokers_keep_alive_overrides_ours() -> None:
    pinged = asyncio.Event()

    async def wants_one_second(peer: Peer) -> None:
        await peer.accept("20 06 0000 03 13 0001")
        await peer._reader.readexactly(2)
        peer.send("d0 00")
        await peer._reader.readexactly(2)
        pinged.set()

    async with scripted(wants_one_second) as port, Session(settings(port, keep_alive_s=600)):
        await asyncio.wait_for(pinged.wait(), WAIT_S)


@pytest.mark.parametrize("garbage", ["f0 00", "34 05 0001 74 0001", "30 80 80 80 80 01", "20 03 00 00 00", "90 01 00"])
async def test_a_malformed_packet_ends_the_connection_and_the_session_returns(garbage: str) -> None:
    told = asyncio.Event()

    async def malformed(peer: Peer) -> None:
        await peer.accept()
        peer.send(garbage)
        if await peer.expect(0xE0) == b"\x81":
            told.set()

    async with scripted(malformed, accept) as port, Session(settings(port)) as session:
        await until(lambda: session.connected and session.statistics().failures == 1)
        assert session.statistics().malformed == 1
        assert session.statistics().protocol == "5"
        assert told.is_set()


@pytest.mark.parametrize("code", ["85", "86", "87", "8a"])
async def test_a_refusal_that_does_not_pass_is_raised_to_all_who_wait(code: str) -> None:
    async def refuse(peer: Peer) -> None:
        await peer.expect(0x10)
        peer.send(f"20 08 00 {code} 05 1f 0002 6e6f")

    async with scripted(refuse) as port, Session(settings(port)) as session:
        publishing = asyncio.create_task(session.publish("t/a", b""))
        with pytest.raises(ConnectRefusedError, match=r"no$") as refusal:
            await asyncio.wait_for(session.receive(), WAIT_S)
        assert refusal.value.reason_code == int(code, 16)
        with pytest.raises(ConnectRefusedError):
            await publishing
        with pytest.raises(ConnectRefusedError):
            await session.publish("t/a", b"")


async def test_a_refusal_that_passes_is_waited_out() -> None:
    async def busy(peer: Peer) -> None:
        await peer.expect(0x10)
        peer.send("20 03 00 89 00")

    async with scripted(busy, busy, accept) as port, Session(settings(port)) as session:
        await until(lambda: session.connected)
        assert session.statistics().failures == 2


async def test_credentials_that_were_right_once_are_tried_again_when_refused() -> None:
    """A broker that restarts with half its configuration must not end a gateway that ran for a year."""

    async def refuse(peer: Peer) -> None:
        await peer.expect(0x10)
        peer.send("20 03 00 87 00")

    async def accept_once(peer: Peer) -> None:
        await peer.accept()

    async with scripted(accept_once, refuse, refuse, accept) as port, Session(settings(port)) as session:
        await until(lambda: session.statistics().connects == 2)


async def test_a_refused_filter_is_named() -> None:
    async def refuse(peer: Peer) -> None:
        await peer.expect(0x10)
        peer.send("20 03 00 00 00")
        await peer.expect(0x82)
        peer.send("90 05 0001 00 01 87")

    filters = ("t/#", "secret/#")
    async with scripted(refuse) as port, Session(settings(port, subscriptions=filters)) as session:
        with pytest.raises(SubscribeRefusedError, match=r"'secret/#' refused: not authorized \(0x87\)"):
            await asyncio.wait_for(session.receive(), WAIT_S)


@pytest.mark.parametrize("refusal", ["20 02 00 01", "20 03 00 84 00", "", "ff ff"])
async def test_a_broker_without_version_5_is_called_with_311(refusal: str) -> None:
    """It may say so in its own format, in that of MQTT 5, just close the connection, or talk nonsense."""

    async def only_311(peer: Peer) -> None:
        connect = await peer.expect(0x10)
        assert connect[:7] == b"\0\4MQTT\5"
        peer.send(refusal)

    async def accept_311(peer: Peer) -> None:
        await peer.accept(CONNACK_311)
        assert peer.connect[:7] == b"\0\4MQTT\4"
        await peer.until_closed()

    async with scripted(only_311, accept_311) as port, Session(settings(port)) as session:
        await until(lambda: session.connected)
        assert session.statistics().protocol == "3.1.1"


async def test_a_broker_without_the_version_that_was_set_is_refused() -> None:
    async def only_311(peer: Peer) -> None:
        await peer.expect(0x10)
        peer.send("20 02 00 01")

    async with scripted(only_311) as port, Session(settings(port, protocol="5")) as session:
        with pytest.raises(ConnectRefusedError, match="version not supported"):
            await asyncio.wait_for(session.receive(), WAIT_S)


async def test_waits_between_attempts_double_up_to_their_bound_and_are_drawn_evenly_from_zero() -> None:
    bounds: list[tuple[float, float]] = []
    slept: list[float] = []
    enough = asyncio.Event()

    def uniform(low: float, high: float) -> float:
        bounds.append((low, high))
        return high / 4

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 7:
            enough.set()
            await asyncio.Event().wait()

    wanted = settings(free_port(), backoff_base_s=1.0, backoff_max_s=20.0)
    async with Session(wanted, sleep=sleep, uniform=uniform) as session:
        await asyncio.wait_for(enough.wait(), WAIT_S)
        assert not session.connected
    assert bounds == [(0.0, high) for high in (1.0, 2.0, 4.0, 8.0, 16.0, 20.0, 20.0)]
    assert slept == [high / 4 for _, high in bounds]


async def test_a_connection_that_did_not_last_does_not_shorten_the_waits() -> None:
    """Two gateways with one client id throw each other out; they must not do so ever faster."""

    async def taken_over(peer: Peer) -> None:
        await peer.accept()
        peer.send("e0 02 8e 00")

    bounds: list[float] = []

    def uniform(_low: float, high: float) -> float:
        bounds.append(high)
        return 0.0

    long = {"backoff_base_s": 1.0, "backoff_max_s": 64.0}
    with capture_logs() as logs:
        async with scripted(taken_over) as port, Session(settings(port, **long), uniform=uniform) as session:
            await until(lambda: session.statistics().failures >= 5)
    assert any("session taken over by another client" in entry.get("reason", "") for entry in logs)
    assert bounds[:4] == [1.0, 2.0, 4.0, 8.0]


async def test_messages_of_ours_stay_within_the_brokers_window_and_are_sent_again_in_order() -> None:
    """Receive maximum 2: the third message waits for the first acknowledgement; the others come again."""
    first: list[tuple[int, bytes]] = []
    second: list[tuple[int, bytes]] = []

    async def two_at_a_time(peer: Peer) -> None:
        await peer.accept("20 06 0000 03 21 0002")
        first.extend([await peer.packet(), await peer.packet()])
        peer.send(b"\x40\x02" + first[0][1][5:7])
        first.append(await peer.packet())

    async def acknowledge(peer: Peer) -> None:
        await peer.accept("20 03 01 00 00")
        for _ in range(3):
            second.append(await peer.packet())
            peer.send(b"\x40\x02" + second[-1][1][5:7])
        await peer.until_closed()

    async with scripted(two_at_a_time, acknowledge) as port, Session(settings(port)) as session:
        async with asyncio.timeout(WAIT_S), asyncio.TaskGroup() as tasks:
            for number in range(4):
                tasks.create_task(session.publish("t/a", b"%d" % number))
        assert session.statistics().published == 4
    assert [body[-1:] for _, body in first] == [b"0", b"1", b"2"]
    assert [body[-1:] for _, body in second] == [b"1", b"2", b"3"]
    assert [head for head, _ in first] == [0x32] * 3
    assert [head for head, _ in second] == [0x3A, 0x3A, 0x32]
    assert [body[5:7] for _, body in second[:2]] == [body[5:7] for _, body in first[1:]]


async def test_a_message_that_the_broker_refuses_fails_alone() -> None:
    async def quota(peer: Peer) -> None:
        await peer.accept("20 0a 0000 07 27 00000064 25 00")
        refused = await peer.expect(0x32)
        peer.send(b"\x40\x03" + refused[5:7] + b"\x97")
        taken = await peer.expect(0x32)
        peer.send(b"\x40\x02" + taken[5:7])
        await peer.until_closed()

    async with scripted(quota) as port, Session(settings(port)) as session, asyncio.timeout(WAIT_S):
        with pytest.raises(PublishRefusedError, match="quota exceeded"):
            await session.publish("t/a", b"1")
        with pytest.raises(PublishRefusedError, match="packet too large"):
            await session.publish("t/a", b"x" * 200)
        with pytest.raises(PublishRefusedError, match="retain not supported"):
            await session.publish("t/a", b"1", retain=True)
        with pytest.raises(PublishRefusedError, match="topic name invalid"):
            await session.publish("t/#", b"1")
        await session.publish("t/a", b"2")


async def test_a_cancelled_publish_is_not_sent_later() -> None:
    heard: list[bytes] = []

    async def listen(peer: Peer) -> None:
        await peer.accept()
        heard.append(await peer.expect(0x32))
        peer.send(b"\x40\x02" + heard[-1][5:7])
        await peer.until_closed()

    async with Session(settings(free_port())) as session:
        given_up = asyncio.create_task(session.publish("t/a", b"given up"))
        await until(lambda: session.statistics().unpublished == 1)
        given_up.cancel()
    async with scripted(listen) as port, Session(settings(port)) as session:
        drowned = asyncio.create_task(session.publish("t/a", b"drowned"))
        await asyncio.sleep(0)  # one turn of the loop: it is queued, not sent
        drowned.cancel()
        await asyncio.wait_for(session.publish("t/a", b"kept"), WAIT_S)
    assert [body[-4:] for body in heard] == [b"kept"]


async def test_closing_fails_what_waits_and_says_why() -> None:
    async with Session(settings(free_port())) as session:
        receiving = asyncio.create_task(session.receive())
        publishing = asyncio.create_task(session.publish("t/a", b""))
        await until(lambda: session.statistics().unpublished == 1)
    for waiting in (receiving, publishing):
        with pytest.raises(SessionClosedError):
            await waiting
    with pytest.raises(SessionClosedError):
        await session.receive()


async def test_an_error_in_the_body_is_not_hidden_by_closing() -> None:
    with pytest.raises(ZeroDivisionError):
        async with Session(settings(free_port())):
            raise ZeroDivisionError


async def test_closing_does_not_wait_for_a_broker_that_takes_no_farewell() -> None:
    disconnected = asyncio.Event()

    async def deaf(peer: Peer) -> None:
        await peer.accept()
        await peer.expect(0x33)
        await peer.expect(0xE0)
        disconnected.set()

    goodbye = Announcement(topic="t/state", payload=b"stopped")
    async with scripted(deaf) as port:
        async with asyncio.timeout(WAIT_S), Session(settings(port, farewell=goodbye, close_timeout_s=0.05)) as session:
            await until(lambda: session.connected)
        await asyncio.wait_for(disconnected.wait(), WAIT_S)


async def test_an_old_connections_messages_are_not_acknowledged_on_a_new_one() -> None:
    """Packet ids start anew with a connection: an old id would acknowledge another message, which would be lost."""
    acknowledged: list[bytes] = []

    async def send_one(peer: Peer) -> None:
        await peer.accept()
        peer.send("32 08 0003 742f61 0007 00")
        acknowledged.append(await peer.expect(0x40))
        await peer.until_closed()  # to hang up would bring a third connection, which nobody acknowledges

    async with scripted(send_one) as port, Session(settings(port)) as session, asyncio.timeout(WAIT_S):
        old = await session.receive()
        await until(lambda: session.connected)
        drop(session)
        new = await session.receive()
        old.acknowledge()
        assert session.statistics().acknowledged == 0
        new.acknowledge()
        new.acknowledge()
        await until(lambda: acknowledged)
        assert session.statistics().acknowledged == 1


async def test_while_the_buffer_is_full_the_socket_is_not_read() -> None:
    """The broker blocks in writing: what it could not send stays with it. Everything comes once there is room."""
    message = bytes.fromhex("30 ff 03 0003 742f61 00") + b"x" * (0x1FF - 6)
    total = 40_000
    written = 0

    async def flood(peer: Peer) -> None:
        nonlocal written
        await peer.accept()
        for _ in range(total):
            peer.send(message)
            await peer._writer.drain()
            written += 1
        await peer.until_closed()

    async with scripted(flood) as port, Session(settings(port, buffer_messages=100, batch_messages=50)) as session:
        await until(lambda: session.statistics().pauses)
        held = session.statistics().buffered_messages
        assert 100 <= held <= 100 + 256 * 1024 // len(message)
        seen = -1
        while seen != written:  # until the kernel's buffers are full, too
            seen = written
            await asyncio.sleep(0.05)
        assert session.statistics().buffered_messages == held
        assert written < total
        assert len(await collect(session, total)) == total


async def test_a_full_buffer_is_not_filled_further_by_reconnects() -> None:
    """Each connection would make the broker send its backlog again, onto what is still held of the last."""
    calls = 0

    async def resend(peer: Peer) -> None:
        nonlocal calls
        calls += 1
        await peer.accept()
        peer.send(bytes.fromhex("32 08 0003 742f61 0007 00") * 20)

    async with scripted(resend) as port, Session(settings(port, buffer_messages=10)) as session:
        await until(lambda: not session.connected and session.statistics().failures == 1)
        assert calls == 1
        assert session.statistics().buffered_messages == 20
        await collect(session, 40)
        assert calls >= 2


def test_settings_that_cannot_work_are_refused_all_at_once() -> None:
    with pytest.raises(SettingsError) as refusal:
        settings(
            70_000,
            client_id="",
            subscriptions=("t/#/a", "t+"),
            will=Announcement(topic="t/+", payload=b""),
            receive_maximum=0,
            backoff_base_s=9.0,
            password="x",
        )
    said = str(refusal.value)
    for part in ("client_id", "port", "'t/#/a'", "'t+'", "will.topic", "receive_maximum", "backoff_max_s", "password"):
        assert part in said
    assert len(said.splitlines()) == 9


def test_the_password_is_not_shown() -> None:
    assert "sesame" not in repr(settings(1883, username="u", password="sesame"))
