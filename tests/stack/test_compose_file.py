"""What must hold of the compose file, its overlays and the Dockerfile; read as files, no Docker needed."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from console.server import is_loopback, parse_listen
from contract.domains import DOMAINS
from deploy.compose import identities
from gateway import settings_file
from grafana.influxql import ALERTS, FEATURES
from simulator.settings import load as load_fleet
from tests.stack.compose import ROOT

OVERLAYS = ("pi", "tls")
ONE_SHOT = {"init", "influx-setup"}


class Loader(yaml.SafeLoader):
    """Reads compose's own tag ``!override`` as what follows it."""


Loader.add_constructor("!override", lambda loader, node: loader.construct_sequence(node))  # type: ignore[arg-type]  # it stands before lists only


def read(path: str) -> Any:
    """Return a YAML file of the checkout."""
    return yaml.load((ROOT / path).read_text("utf-8"), Loader)  # safe: our own subclass of SafeLoader


COMPOSE = read("docker-compose.yml")
SERVICES: dict[str, Any] = COMPOSE["services"]

every_service = pytest.mark.parametrize("name", SERVICES)


@every_service
def test_service_may_do_no_more_than_it_must(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["logging"]["options"]["max-size"]
    assert service["mem_limit"]
    assert not service.get("privileged")
    if name in ONE_SHOT:
        assert service["cap_add"] == ["CHOWN", "DAC_OVERRIDE"], "root gives each service its secrets, and ends"
    else:
        assert service["user"].split(":")[0] != "0"
        assert "cap_add" not in service
        assert service["restart"] == "unless-stopped"
        assert service["stop_grace_period"]
        assert service["healthcheck"]["test"]


@every_service
def test_image_is_pinned(name: str) -> None:
    image = SERVICES[name]["image"]
    assert image == "edgefleet:local" or re.fullmatch(r"[a-z/-]+:\d+\.\d+\.\d+", image)


@every_service
def test_ports_are_on_loopback(name: str) -> None:
    assert all(port.startswith("127.0.0.1:") for port in SERVICES[name].get("ports", []))


@every_service
def test_service_waits_for_what_it_needs(name: str) -> None:
    for other, how in SERVICES[name].get("depends_on", {}).items():
        done = "service_completed_successfully" if other in ONE_SHOT else "service_healthy"
        assert how["condition"] == done


@every_service
def test_secrets_are_written_by_one_shot_services_only(name: str) -> None:
    mounts = [volume for volume in SERVICES[name].get("volumes", []) if volume.startswith("secrets:")]
    assert all(mount.endswith(":ro") for mount in mounts) == (name not in ONE_SHOT or not mounts)


def test_user_of_each_service_is_the_one_that_its_secrets_belong_to() -> None:
    users = {name: int(SERVICES[name]["user"].split(":")[0]) for name in identities.OWNERS if name in SERVICES}
    assert users == {name: owner for name, owner in identities.OWNERS.items() if name in SERVICES}


def test_devices_reach_neither_the_store_nor_the_world() -> None:
    assert SERVICES["simulator"]["networks"] == ["field"]
    assert COMPOSE["networks"]["field"]["internal"]
    assert COMPOSE["networks"]["store"]["internal"]
    assert set(SERVICES["gateway"]["networks"]) == {"field", "store"}


def test_console_may_read_the_gateways_state_and_write_its_own_volume_only() -> None:
    console = SERVICES["console"]
    mounts = dict(volume.split(":", 1) for volume in console["volumes"])
    assert mounts == {
        "secrets": "/run/edgefleet:ro",
        "gateway-state": "/var/lib/edgefleet:ro",
        "console-state": "/var/lib/edgefleet-console",
    }
    assert int(console["user"].split(":")[1]) == identities.OWNERS["gateway"], "in the gateway's group, which may read"
    assert "console-state:/var/lib/edgefleet-console:ro" in SERVICES["gateway"]["volumes"], (
        "it reads what operators say"
    )
    assert console["networks"] == ["edge"], "it needs neither broker nor store"


def test_console_of_the_stack_asks_for_the_password_that_init_made() -> None:
    command = SERVICES["console"]["command"]
    file = Path(command[command.index("--password-file") + 1])
    secret = next(secret for secret in identities.SECRETS if f"/run/edgefleet/{secret.file}" == str(file))
    assert secret.variable in SERVICES["init"]["environment"]
    assert not is_loopback(parse_listen(command[command.index("--listen") + 1])[0])


def test_nobody_is_anonymous() -> None:
    for name in ("mosquitto.conf", "tls.conf"):
        assert "\nallow_anonymous false\n" in (ROOT / "deploy/mosquitto" / name).read_text()
    environment = SERVICES["grafana"]["environment"]
    assert environment["GF_AUTH_ANONYMOUS_ENABLED"] == "false"
    assert environment["GF_USERS_ALLOW_SIGN_UP"] == "false"
    assert not re.search(r"(?i)password: [^/$\s]", (ROOT / "docker-compose.yml").read_text()), "no default password"


def test_brokers_files_differ_by_tls_alone() -> None:
    plain, tls = (
        (ROOT / "deploy/mosquitto" / name).read_text().splitlines()[1:] for name in ("mosquitto.conf", "tls.conf")
    )
    assert set(plain) - set(tls) == {"listener 1883"}
    assert {line.split()[0] for line in set(tls) - set(plain)} == {
        *("listener", "cafile", "certfile", "keyfile", "require_certificate", "tls_version"),
    }


@pytest.mark.parametrize("name", ["gateway", "gateway-tls"])
def test_settings_of_the_gateway_are_taken(name: str, tmp_path: Path) -> None:
    """All that is refused is what only the container has: the files of secrets."""
    file = ROOT / f"deploy/compose/{name}.yaml"
    text = file.read_text().replace("/var/lib/edgefleet", str(tmp_path))
    with pytest.raises(settings_file.SettingsError) as refused:
        settings_file.parse(text, file, {})
    assert {fault.rule for fault in refused.value.faults} == {"is not a file that this user may read."}


def test_gateway_looks_for_answers_where_the_console_writes_them() -> None:
    command = SERVICES["console"]["command"]
    own = command[command.index("--own") + 1]
    for name in ("compose/gateway", "compose/gateway-tls", "raspberry/gateway"):
        assert f"\nconsole_dir: {own} " in (ROOT / f"deploy/{name}.yaml").read_text()
    unit = (ROOT / "deploy/edgefleet-console.service").read_text()
    assert f"--own {own} " in unit
    assert set(identities.FOLDERS.values()) == {"edgefleet", Path(own).name}


def test_fleets_are_taken_and_every_device_gets_a_login() -> None:
    files = tuple(ROOT / "deploy/compose" / name for name in ("fleet.yaml", "chaos.yaml"))
    counts = [sum(group.devices for group in load_fleet(file).groups) for file in files]
    devices = identities.fleet_devices(files)
    assert len(set(devices)) == sum(counts)
    assert {device.split("/")[1] for device in devices} == set(DOMAINS)


def test_grafana_knows_the_buckets_that_the_gateway_writes() -> None:
    gateway = read("deploy/compose/gateway.yaml")["influx"]
    environment = SERVICES["grafana"]["environment"]
    assert environment["EDGEFLEET_FEATURES_BUCKET"] == gateway["bucket"]
    assert environment["EDGEFLEET_ALERTS_BUCKET"] == gateway["alerts_bucket"]
    assert environment["EDGEFLEET_INFLUX_URL"] == gateway["url"]
    named = set(
        re.findall(
            r"\$(EDGEFLEET_\w+)", "".join(p.read_text() for p in (ROOT / "grafana/provisioning").rglob("*.yaml"))
        )
    )
    assert named <= set(environment), "every variable of the provisioning is set"
    assert {FEATURES, ALERTS} == {"edgefleet-features", "edgefleet-alerts"}


def test_receivers_that_one_may_choose_are_contact_points() -> None:
    """The default, and those that the example offers."""
    points = {each["name"] for each in read("grafana/provisioning/alerting/contact-points.yaml")["contactPoints"]}
    default = SERVICES["grafana"]["environment"]["EDGEFLEET_ALERT_RECEIVER"]
    example = re.findall(r"^#EDGEFLEET_ALERT_RECEIVER=.*$", (ROOT / ".env.example").read_text(), re.MULTILINE)
    offered = set(re.findall(r"edgefleet-[a-z-]+", f"{default} {example}"))
    assert offered == points


def test_every_setting_of_the_environment_is_in_the_example() -> None:
    files = [ROOT / "docker-compose.yml", *(ROOT / f"deploy/compose/{name}.yaml" for name in OVERLAYS)]
    used = {name for file in files for name in re.findall(r"\$\{(EDGEFLEET_\w+)", file.read_text())}
    shown = set(re.findall(r"^#(EDGEFLEET_\w+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
    assert used - {"EDGEFLEET_MQTT_HEALTH_PASSWORD"} == shown
    assert ".env\n" in (ROOT / ".gitignore").read_text()


def test_the_pi_has_no_simulator_and_less_memory() -> None:
    overlay = read("deploy/compose/pi.yaml")["services"]
    assert overlay["simulator"]["profiles"]
    limits = {name: overlay.get(name, {}).get("mem_limit", service["mem_limit"]) for name, service in SERVICES.items()}
    stay = [
        name for name, service in SERVICES.items() if name not in {"simulator", *ONE_SHOT} and "profiles" not in service
    ]
    assert sum(megabytes(limits[name]) for name in stay) <= 2048, "half of 4 GB is for the rest"


def megabytes(limit: str) -> int:
    """Return a memory limit in megabytes."""
    return int(limit[:-1]) * {"m": 1, "g": 1024}[limit[-1]]


def test_image_runs_as_nobody_special() -> None:
    text = (ROOT / "Dockerfile").read_text()
    assert re.findall(r"^USER (\w+)$", text, re.MULTILINE)[-1] == "gateway"
    assert len(re.findall(r"^FROM python:3\.11-slim", text, re.MULTILINE)) == 2


@pytest.mark.skipif(
    shutil.which("docker") is None
    or subprocess.run(["docker", "compose", "version"], capture_output=True, check=False).returncode != 0,
    reason="needs docker compose, the client only",
)
@pytest.mark.parametrize("overlays", [(), ("pi",), ("tls",), OVERLAYS], ids="+".join)
@pytest.mark.parametrize("profile", ["", "chaos"])
def test_compose_itself_takes_the_files(overlays: tuple[str, ...], profile: str) -> None:
    """Overlays combine, and each adds or takes away the services that it should."""
    files = ["docker-compose.yml", *(f"deploy/compose/{overlay}.yaml" for overlay in overlays)]
    arguments = [part for file in files for part in ("-f", str(ROOT / file))]
    done = subprocess.run(
        ["docker", "compose", *arguments, "--profile", profile, "config", "--services"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    extra = {name for name, service in SERVICES.items() if "profiles" in service}
    left_out = ({"simulator"} if "pi" in overlays else set()) | (set() if profile else extra)
    assert set(done.stdout.split()) == set(SERVICES) - left_out


def test_every_test_that_the_security_page_names_is_there() -> None:
    named = set(re.findall(r"`(test_\w+)`", (ROOT / "docs/security.md").read_text()))
    written = "".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    assert named
    assert [name for name in sorted(named) if f"def {name}(" not in written] == []
