"""Certificates that ``make tls`` makes, at a real Mosquitto: without one of ours nobody gets in."""

from __future__ import annotations

import asyncio
import shutil
import ssl
import stat
import subprocess
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import aiomqtt
import pytest

from contract import topics
from contract.codec import encode_state
from contract.messages import DeviceState
from contract.topics import DeviceId
from deploy.compose import init_secrets
from gateway.mqtt import Session
from gateway.serve import session_settings
from gateway.serve import ssl_context as gateway_tls
from gateway.settings import BrokerSettings, Settings, TlsSettings
from simulator.broker_url import BrokerUrl
from simulator.errors import RefusedError
from simulator.sessions import mqtt_sessions
from tests.brokers import Mosquitto

pytestmark = [
    pytest.mark.mosquitto,
    pytest.mark.skipif(shutil.which("openssl") is None, reason="needs the openssl command"),
]
SCRIPT = Path(init_secrets.__file__).parent.parent / "tls" / "make.sh"
COW = DeviceId("farm-1", "agriculture", "cattle-01")


@dataclass(frozen=True, slots=True)
class Secured:
    """A broker that asks for certificates, and the folder in which all of them are."""

    broker: Mosquitto
    certificates: Path


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run the script on a copy of its folder."""
    folder = tmp_path_factory.mktemp("tls")
    script = Path(shutil.copy(SCRIPT, folder))
    for arguments in ([], ["device", "cattle-01"]):
        subprocess.run([script, *arguments], check=True, capture_output=True)
    return folder / "certs"


@pytest.fixture
async def secured(tmp_path: Path, certificates: Path) -> AsyncIterator[Secured]:
    """Run a broker with these certificates, and a login for one device."""
    vault = init_secrets.Vault(tmp_path / "secrets", lambda *_: None)
    init_secrets.make(vault, {}, [str(COW)])
    options = (
        f"cafile {certificates}/ca.pem",
        f"certfile {certificates}/server.pem",
        f"keyfile {certificates}/server.key",
        "require_certificate true",
        "tls_version tlsv1.2",
        "allow_anonymous false",
        f"password_file {tmp_path}/secrets/mosquitto/passwords",
        f"acl_file {SCRIPT.parent.parent}/mosquitto/acl",
    )
    async with Mosquitto(tmp_path / "broker", options) as broker:
        yield Secured(broker, certificates)


def trusting(secured: Secured, name: str | None) -> ssl.SSLContext:
    """Return a client's encryption, with the certificate of a name."""
    context = ssl.create_default_context(cafile=secured.certificates / "ca.pem")
    if name is not None:
        context.load_cert_chain(secured.certificates / f"{name}.pem", secured.certificates / f"{name}.key")
    return context


def client(secured: Secured, tmp_path: Path, tls: ssl.SSLContext | None) -> aiomqtt.Client:
    """Return a client with the viewer's good password."""
    password = (tmp_path / "secrets/viewer/mqtt.password").read_text()
    return looked_at(secured, tls, username="viewer", password=password)


def looked_at(secured: Secured, tls: ssl.SSLContext | None, **login: str) -> aiomqtt.Client:
    """Return a client whose failure to connect shows in the connecting alone, not in a future as well."""
    broker = secured.broker
    made = aiomqtt.Client(broker.host, broker.port, tls_context=tls, timeout=3, **login)  # type: ignore[arg-type]  # all of them are text
    made._disconnected.add_done_callback(lambda future: future.cancelled() or future.exception())
    return made


async def test_client_with_certificate_and_password_gets_in(secured: Secured, tmp_path: Path) -> None:
    async with client(secured, tmp_path, trusting(secured, "cattle-01")):
        pass


@pytest.mark.parametrize("plain", [True, False])
async def test_client_without_certificate_is_refused(secured: Secured, tmp_path: Path, *, plain: bool) -> None:
    """The right password is not enough, neither in plain text nor over TLS."""
    tls = None if plain else trusting(secured, None)
    with pytest.raises(aiomqtt.MqttError):
        async with client(secured, tmp_path, tls):
            pass


async def test_certificate_without_password_is_refused(secured: Secured) -> None:
    with pytest.raises(aiomqtt.MqttError, match=r"[Nn]ot authori[sz]ed"):
        async with looked_at(secured, trusting(secured, "fleet")):
            pass


async def test_gateway_and_fleet_speak_through_it_by_their_settings(secured: Secured, tmp_path: Path) -> None:
    """A simulated device's telemetry comes to the gateway's session, both with certificates and logins of files."""
    folder, broker = secured.certificates, secured.broker
    tls = TlsSettings(
        ca_file=folder / "ca.pem", certificate_file=folder / "gateway.pem", key_file=folder / "gateway.key"
    )
    login = BrokerSettings(
        host=broker.host,
        port=broker.port,
        username="gateway",
        password_file=tmp_path / "secrets/gateway/mqtt.password",
        tls=tls,
    )
    files = f"ca_file={folder}/ca.pem&certificate_file={folder}/fleet.pem&key_file={folder}/fleet.key"
    url = f"mqtts://{broker.host}:{broker.port}?passwords_file={tmp_path}/secrets/simulator/devices&{files}"
    async with Session(session_settings(Settings(broker=login)), ssl_context=gateway_tls(login)) as gateway:
        async with asyncio.timeout(10):
            while not gateway.connected:  # noqa: ASYNC110  # it says so in no other way
                await asyncio.sleep(0.01)
        device = mqtt_sessions(BrokerUrl.parse(url))(COW)
        await device.publish([b'{"ts": 1700000000.0}'])
        heard: set[tuple[str, bytes]] = set()
        while topics.telemetry(COW) not in {topic for topic, _ in heard}:
            delivery = await gateway.receive()
            heard |= set(delivery.messages)
            delivery.acknowledge()
        await device.close()
    assert (topics.telemetry(COW), b'{"ts": 1700000000.0}') in heard
    assert (topics.state(COW), encode_state(DeviceState.ONLINE)) in heard


def test_keys_are_readable_by_their_owner_alone(certificates: Path) -> None:
    assert {stat.S_IMODE(path.stat().st_mode) for path in certificates.glob("*.key")} == {0o600}


def test_a_second_run_changes_nothing(certificates: Path) -> None:
    before = {path.name: path.read_bytes() for path in certificates.iterdir()}
    subprocess.run([certificates.parent / "make.sh"], check=True, capture_output=True)
    assert {path.name: path.read_bytes() for path in certificates.iterdir()} == before


def test_services_get_their_certificates_or_the_start_is_refused(tmp_path: Path, certificates: Path) -> None:
    vault = init_secrets.Vault(tmp_path / "secrets", lambda *_: None)
    init_secrets.take_certificates(vault, certificates)
    assert vault.read("mosquitto/server.key") == (certificates / "server.key").read_text()
    assert not (tmp_path / "secrets/simulator/server.key").exists()
    with pytest.raises(SystemExit, match="Run make tls first"):
        init_secrets.take_certificates(vault, tmp_path)


@pytest.mark.parametrize("options", ["password_file=x", "passwords_file=/not/there"])
def test_broker_address_with_a_bad_option_is_refused(options: str) -> None:
    """A misspelt option, or a file that is not there, stops the fleet before it connects."""
    with pytest.raises(RefusedError, match=r"password_file is not an option|cannot be read"):
        mqtt_sessions(BrokerUrl.parse(f"mqtt://127.0.0.1?{options}"))


def test_device_without_a_password_is_named(tmp_path: Path) -> None:
    (tmp_path / "devices").write_text("farm-1/agriculture/cattle-02:secret\n")
    session_of = mqtt_sessions(BrokerUrl.parse(f"mqtt://127.0.0.1?passwords_file={tmp_path}/devices"))
    with pytest.raises(RefusedError, match="farm-1/agriculture/cattle-01 has no line"):
        session_of(COW)
