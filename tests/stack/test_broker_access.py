"""A real Mosquitto with the stack's own ACL, and passwords that the stack's own script made: who may do what."""

from __future__ import annotations

import asyncio
import stat
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import aiomqtt
import pytest

from contract import topics
from contract.errors import TopicError
from contract.topics import DeviceId
from deploy.compose import init_secrets
from deploy.compose.identities import DEVICES, FOLDERS, OWNERS, PASSWORDS, SECRETS
from tests.brokers import Mosquitto

pytestmark = pytest.mark.mosquitto

DEPLOY: Final = Path(init_secrets.__file__).parent.parent
ACL: Final = DEPLOY / "mosquitto" / "acl"
COW, OTHER = DeviceId("farm-1", "agriculture", "cattle-01"), DeviceId("farm-1", "agriculture", "cattle-02")
WAIT_S: Final = 0.5
"""Time in which a message that is let through arrives many times over."""


def vault_in(folder: Path, owned: list[tuple[str, int]] | None = None) -> init_secrets.Vault:
    """Return a vault whose files stay ours; ``owned`` notes to whom they would be given."""
    note = (lambda path, user, _group: owned.append((path.name, user))) if owned is not None else (lambda *_: None)
    return init_secrets.Vault(folder, note)


@dataclass(frozen=True, slots=True)
class Guarded:
    """A broker that knows its clients."""

    broker: Mosquitto
    passwords: dict[str, str]

    def client(self, user: str, password: str | None = None) -> aiomqtt.Client:
        """Return a client that logs in as a user."""
        secret = self.passwords[user] if password is None else password
        return aiomqtt.Client(self.broker.host, self.broker.port, username=user, password=secret)


@pytest.fixture
async def guarded(tmp_path: Path) -> AsyncIterator[Guarded]:
    """Run the broker with the stack's users and ACL."""
    vault = vault_in(tmp_path / "secrets")
    init_secrets.make(vault, {}, [str(COW), str(OTHER)])
    logins = dict(line.split(":", 1) for line in vault.read(DEVICES).splitlines())
    logins |= {user: vault.read(f"{user}/mqtt.password") for user in ("gateway", "viewer")}
    options = [f"password_file {tmp_path / 'secrets' / PASSWORDS}", f"acl_file {ACL}", "allow_anonymous false"]
    async with Mosquitto(tmp_path / "broker", options) as broker:
        yield Guarded(broker, logins)


@pytest.fixture
async def on_a_pi(tmp_path: Path) -> AsyncIterator[Guarded]:
    """Run the broker as the installer sets it up on a Raspberry Pi, but for the port and where its files are."""
    names = ("gateway", "sensors", "viewer", str(COW))
    passwords = tmp_path / "edgefleet.passwords"
    passwords.write_text("".join(f"{name}:{init_secrets.hashed(name)}\n" for name in names))
    conf = (DEPLOY / "raspberry/mosquitto.conf").read_text()
    conf = conf.replace("/etc/mosquitto/edgefleet.passwords", str(passwords))
    conf = conf.replace("/etc/mosquitto/edgefleet.acl", str(DEPLOY / "raspberry/mosquitto.acl"))
    options = [line for line in conf.splitlines() if not line.startswith(("listener", "per_listener"))]
    async with Mosquitto(tmp_path / "broker", options) as broker:
        yield Guarded(broker, {name: name for name in names})


async def reaches(guarded: Guarded, writer: str, topic: str, reader: str = "gateway") -> bool:
    """Tell whether what one user publishes on a topic comes to another who asked for it."""
    async with guarded.client(reader) as listening, guarded.client(writer) as speaking:
        await listening.subscribe(topic, qos=1)
        await speaking.publish(topic, b"{}", qos=1)
        try:
            async with asyncio.timeout(WAIT_S):
                async for _ in listening.messages:
                    return True
        except TimeoutError:
            pass
        return False


async def test_device_writes_below_its_own_topics(guarded: Guarded) -> None:
    assert await reaches(guarded, str(COW), topics.telemetry(COW))
    assert await reaches(guarded, str(COW), topics.state(COW))


@pytest.mark.parametrize(
    "topic", [topics.telemetry(OTHER), topics.state(OTHER), topics.alert(COW), "gateway/v1/edge-1/state"]
)
async def test_device_that_writes_to_anothers_topic_is_refused(guarded: Guarded, topic: str) -> None:
    """Not to another device's topics, not to its own alert, not to the gateway's."""
    assert not await reaches(guarded, str(COW), topic, reader="viewer")


async def test_gateway_writes_alerts_and_nothing_else_of_a_device(guarded: Guarded) -> None:
    assert await reaches(guarded, "gateway", topics.alert(COW), reader="viewer")
    assert await reaches(guarded, "gateway", topics.gateway("edge-1", "health"), reader="viewer")
    assert not await reaches(guarded, "gateway", topics.telemetry(COW), reader="viewer")


@pytest.mark.parametrize("kind", ["config", "state"])
async def test_gateway_shows_itself_to_home_assistant_and_no_device_does(guarded: Guarded, kind: str) -> None:
    topic = f"homeassistant/binary_sensor/edgefleet/farm-1_agriculture_cattle-01/{kind}"
    assert await reaches(guarded, "gateway", topic, reader="viewer")
    assert not await reaches(guarded, str(COW), topic, reader="viewer")


async def test_viewer_only_looks(guarded: Guarded) -> None:
    assert await reaches(guarded, str(COW), topics.telemetry(COW), reader="viewer")
    assert not await reaches(guarded, "viewer", topics.telemetry(COW))
    assert not await reaches(guarded, "viewer", topics.gateway("edge-1", "command"))


async def test_device_reads_its_own_alert_and_no_other(guarded: Guarded) -> None:
    assert await reaches(guarded, "gateway", topics.alert(COW), reader=str(COW))
    assert not await reaches(guarded, "gateway", topics.alert(COW), reader=str(OTHER))


async def test_on_a_pi_bridges_write_their_own_topics_only(on_a_pi: Guarded) -> None:
    for topic in ("zigbee2mqtt/freezer", "tele/plug/SENSOR", "shellies/ht/sensor/temperature", "spBv1.0/g/NDATA/n"):
        assert await reaches(on_a_pi, "sensors", topic)
    for topic in (topics.telemetry(COW), topics.alert(COW), topics.gateway("edge-1", "command")):
        assert not await reaches(on_a_pi, "sensors", topic)
        assert not await reaches(on_a_pi, "viewer", topic)
    assert await reaches(on_a_pi, str(COW), topics.telemetry(COW))
    assert not await reaches(on_a_pi, str(COW), topics.telemetry(OTHER))
    assert await refused(lambda: connected(aiomqtt.Client(on_a_pi.broker.host, on_a_pi.broker.port)))


async def test_on_a_pi_the_gateway_reads_all_and_commands_nothing(on_a_pi: Guarded) -> None:
    shown = (topics.alert(COW), topics.gateway("edge-1", "health"), "homeassistant/sensor/edgefleet/x/config")
    for topic in shown:
        assert await reaches(on_a_pi, "gateway", topic, reader="viewer")
    for topic in ("zigbee2mqtt/lamp/set", "cmnd/plug/POWER", "spBv1.0/g/NCMD/n", topics.telemetry(COW)):
        assert not await reaches(on_a_pi, "gateway", topic, reader="viewer")


@pytest.mark.parametrize("device", ["+/+/+", "#", "farm-1/agriculture/#"])
async def test_device_named_like_a_wildcard_gets_no_login(tmp_path: Path, device: str) -> None:
    with pytest.raises((TopicError, TypeError)):
        init_secrets.add_device(vault_in(tmp_path), device)


async def refused(attempt: Callable[[], Awaitable[object]]) -> bool:
    """Tell whether the broker refuses a connection for want of authority."""
    try:
        await attempt()
    except aiomqtt.MqttError as error:
        return "not authori" in str(error).lower()
    return False


async def connected(client: aiomqtt.Client) -> None:
    """Connect and leave again."""
    async with client:
        pass


async def test_anonymous_client_and_wrong_password_are_refused(guarded: Guarded) -> None:
    anonymous = aiomqtt.Client(guarded.broker.host, guarded.broker.port)
    assert await refused(lambda: connected(anonymous))
    assert await refused(lambda: connected(guarded.client("viewer", "guess")))
    assert await refused(lambda: connected(guarded.client(str(COW), guarded.passwords[str(OTHER)])))
    assert not await refused(lambda: connected(guarded.client("viewer")))


def test_secrets_are_random_kept_and_given_to_their_service_alone(tmp_path: Path) -> None:
    owned: list[tuple[str, int]] = []
    vault, other = vault_in(tmp_path / "a", owned), vault_in(tmp_path / "b")
    for each in (vault, other):
        init_secrets.make(each, {}, [str(COW)])
    first = {secret.file: vault.read(secret.file) for secret in SECRETS}
    assert len(set(first.values())) == len(SECRETS)
    assert all(len(value) >= 40 for value in first.values())
    assert {secret.file: other.read(secret.file) for secret in SECRETS}.items().isdisjoint(first.items())
    init_secrets.make(vault, {}, [str(COW), str(OTHER)])
    assert {secret.file: vault.read(secret.file) for secret in SECRETS} == first, "a second start changes nothing"
    files = [path for path in (tmp_path / "a").rglob("*") if path.is_file()]
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o400 for path in files)
    assert all(stat.S_IMODE(path.parent.stat().st_mode) == 0o700 for path in files)
    assert {name: user for name, user in owned if name in OWNERS} == OWNERS


def test_value_of_the_environment_wins(tmp_path: Path) -> None:
    vault = vault_in(tmp_path)
    init_secrets.make(vault, {}, [])
    init_secrets.make(vault, {"EDGEFLEET_GRAFANA_PASSWORD": "mine", "EDGEFLEET_INFLUX_TOKEN": ""}, [])
    assert vault.read("grafana/admin.password") == "mine"
    assert vault.read("influxdb/admin.token")


def test_brokers_file_holds_no_password(tmp_path: Path) -> None:
    vault = vault_in(tmp_path)
    init_secrets.make(vault, {}, [str(COW)])
    password = init_secrets.add_device(vault, str(OTHER))
    assert f"{OTHER}:$7$101$" in vault.read(PASSWORDS)
    assert password not in vault.read(PASSWORDS)
    assert password in init_secrets.show(vault)


def test_forgotten_device_has_no_login(tmp_path: Path) -> None:
    vault = vault_in(tmp_path)
    init_secrets.make(vault, {}, [str(COW), str(OTHER)])
    init_secrets.forget_device(vault, str(OTHER))
    assert str(OTHER) not in vault.read(PASSWORDS)
    assert f"{COW}:" in vault.read(PASSWORDS)
    assert "gateway:" in vault.read(PASSWORDS)


def test_gateway_and_console_get_their_volumes_whoever_made_them(tmp_path: Path) -> None:
    """Each file belongs to its service and the gateway's group, which may look in; a link leads nowhere."""
    secret, owned = tmp_path / "secret", {}

    def chown(
        path: str | Path, user: int, group: int, *, dir_fd: int | None = None, follow_symlinks: bool = True
    ) -> None:
        assert follow_symlinks == (dir_fd is None)
        owned[Path(path).name] = (user, group)

    for name in FOLDERS.values():
        (tmp_path / name / "below").mkdir(parents=True)
        (tmp_path / name).chmod(0o700)
        (tmp_path / name / "below" / f"file of {name}").touch()
    secret.mkdir()
    (secret / "token").touch()
    (tmp_path / "edgefleet" / "link").symlink_to(secret)
    init_secrets.give_folders(tmp_path, chown)
    gateway, console = OWNERS["gateway"], OWNERS["console"]
    assert owned == {
        "edgefleet": (gateway, gateway),
        "file of edgefleet": (gateway, gateway),
        "link": (gateway, gateway),
        "edgefleet-console": (console, gateway),
        "file of edgefleet-console": (console, gateway),
        "below": (console, gateway),
    }
    assert {stat.S_IMODE((tmp_path / name).stat().st_mode) for name in FOLDERS.values()} == {0o750}


def test_no_two_services_share_a_user() -> None:
    assert len(set(OWNERS.values())) == len(OWNERS)
