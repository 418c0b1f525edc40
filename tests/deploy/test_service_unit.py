"""The systemd unit and the installer, as far as they can be held to without systemd and without root."""

from __future__ import annotations

import configparser
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.settings_file import parse

ROOT = Path(__file__).parents[2]
UNIT = ROOT / "deploy" / "edgefleet.service"
CONSOLE_UNIT = ROOT / "deploy" / "edgefleet-console.service"
SCRIPTS = sorted(ROOT.glob("deploy/*.sh"))
ANALYZE = shutil.which("systemd-analyze")
BASH = shutil.which("bash")
WRITE_SETTINGS = """
set -euo pipefail
install() { cp "${@: -2}"; }
chown() { :; }
broker="" broker_user="" broker_password="" influx="" influx_token="" gateway=shop-4
"""
"""What ``settings`` of the installer finds, with ownership left as it is."""
DENY_WRITE_EXECUTE = """
import ctypes, sys
if ctypes.CDLL(None, use_errno=True).prctl(65, 1, 0, 0, 0):  # PR_SET_MDWE, since Linux 6.3
    sys.exit(77)
import mmap
try:
    mmap.mmap(-1, 4096, prot=mmap.PROT_WRITE | mmap.PROT_EXEC)
except PermissionError:
    pass
else:
    sys.exit(78)
import uvloop
from pathlib import Path
from gateway.inference.shelf import load_all
print(len(load_all(Path(sys.argv[1]))))
"""


def unit(file: Path = UNIT) -> configparser.ConfigParser:
    """Return a unit, the last of repeated keys."""
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # keys keep their case
    parser.read_string(file.read_text().replace("\\\n", ""))
    return parser


def test_service_says_when_it_is_ready_and_alive_and_waits_for_network_and_time() -> None:
    service, general = unit()["Service"], unit()["Unit"]
    assert service["Type"] == "notify"
    assert int(service["WatchdogSec"]) > 0
    assert {"network-online.target", "time-sync.target"} <= set(general["After"].split())
    assert service["MemoryMax"] == "256M"
    assert service["RestartPreventExitStatus"] == "2", "refused settings do not mend themselves"
    assert service["ExecReload"] == "/bin/kill -HUP $MAINPID"


def test_console_reads_the_gateways_state_and_can_write_its_own_folder_only() -> None:
    service = unit(CONSOLE_UNIT)["Service"]
    assert (service["User"], service["Group"]) == ("edgefleet-console", unit()["Service"]["Group"])
    assert service["StateDirectory"] == "edgefleet-console"
    assert (service["StateDirectoryMode"], service["UMask"]) == ("0750", "0027"), "the gateway reads what operators say"
    assert service["ProtectSystem"] == "strict"
    assert "ReadWritePaths" not in service
    assert service["InaccessiblePaths"] == "/etc/edgefleet", "passwords of the broker are not its business"
    command = service["ExecStart"].split()
    assert command[command.index("--state") + 1] == "/var/lib/edgefleet"
    assert command[command.index("--own") + 1] == "/var/lib/edgefleet-console"
    assert "--password-file" in command


def test_console_is_confined_as_the_gateway_is() -> None:
    """Every line of the gateway's confinement stands in the console's unit too."""
    lines = UNIT.read_text().split("# Confinement:")[1].splitlines()[1:]
    missing = set(lines[: lines.index("[Install]")]) - set(CONSOLE_UNIT.read_text().splitlines())
    assert missing == set()


@pytest.mark.skipif(ANALYZE is None, reason="needs the systemd-analyze command")
@pytest.mark.parametrize("file", [UNIT, CONSOLE_UNIT], ids=lambda file: file.stem)
def test_service_is_confined(file: Path) -> None:
    """``systemd-analyze security`` gives 0 (best) … 10; systems without ``--offline`` say nothing of a file."""
    assert ANALYZE is not None
    done = subprocess.run(
        [ANALYZE, "security", "--offline=yes", "--no-pager", str(file)], capture_output=True, text=True, check=False
    )
    found = re.search(r"exposure level for \S+ ([\d.]+)", done.stdout)
    if found is None:
        pytest.skip(f"this systemd-analyze cannot judge a file: {done.stderr.strip()[:80]}")
    assert float(found[1]) <= 2.5


def test_models_run_where_memory_is_never_writable_and_executable() -> None:
    """What ``MemoryDenyWriteExecute=yes`` forbids, forbidden here by the kernel: neither LiteRT nor uvloop needs it."""
    done = subprocess.run(
        [sys.executable, "-c", DENY_WRITE_EXECUTE, str(ROOT / "models")],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": f"{ROOT}:{os.environ.get('PYTHONPATH', '')}"},
    )
    if done.returncode == 77:
        pytest.skip("this kernel cannot forbid it (needs Linux 6.3)")
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) == 4


@pytest.mark.skipif(BASH is None, reason="needs bash")
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_script_is_sound_shell(script: Path) -> None:
    assert BASH is not None
    done = subprocess.run([BASH, "-n", str(script)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(BASH is None, reason="needs bash")
def test_installer_tells_all_faults_at_once_and_changes_nothing() -> None:
    assert BASH is not None
    wrong = (
        *("--gateway", "No Name", "--wheel", "/nowhere", "--influx", "http://x", "--broker-user", "me"),
        *("--console", "8080"),
    )
    done = subprocess.run(
        [BASH, str(ROOT / "deploy" / "install.sh"), *wrong], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    faults = ("--gateway", "/nowhere", "--influx-token-file", "--broker-password-file", "goes with --broker")
    for fault in (*faults, "--console: HOST:PORT"):
        assert fault in done.stderr


@pytest.mark.skipif(BASH is None, reason="needs bash")
@pytest.mark.parametrize(
    ("options", "broker"),
    [
        ("", ("127.0.0.1", 1883, "gateway")),
        ("broker=farm.local", ("farm.local", 1883, None)),
        ("broker=farm.local:8884 broker_user=me broker_password=secret", ("farm.local", 8884, "me")),
    ],
)
@pytest.mark.parametrize("influx", ["", "influx=http://influx.local:8086 influx_token=secret"])
def test_settings_that_the_installer_writes_say_what_it_was_told(
    tmp_path: Path, options: str, broker: tuple[str, int, str | None], influx: str
) -> None:
    """The gateway takes them, and every secret lies in a file of its own."""
    assert BASH is not None
    etc = tmp_path / "etc"
    etc.mkdir()
    (etc / "broker.password").write_text("made by the installer")
    (tmp_path / "secret").write_text("mine")
    (tmp_path / "share").mkdir()
    (tmp_path / "share/edgefleet").symlink_to(ROOT / "deploy")
    written = re.search(r"^settings\(\) \{$.*?^\}$", (ROOT / "deploy/install.sh").read_text(), re.MULTILINE | re.DOTALL)
    assert written is not None
    script = f"{WRITE_SETTINGS}\n{options} {influx}\nETC={etc} NEW={tmp_path}\n{written[0]}\nsettings"
    done = subprocess.run([BASH, "-c", script], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    text = (etc / "gateway.yaml").read_text()
    assert "mine" not in text
    found = parse(text.replace("/var/lib/edgefleet", str(tmp_path)), etc / "gateway.yaml", {})
    assert found.gateway == "shop-4"
    assert (found.broker.host, found.broker.port, found.broker.username) == broker
    secrets = {None: None, "gateway": "made by the installer", "me": "mine"}
    login = found.broker.password_file
    assert (None if login is None else login.read_text()) == secrets[broker[2]]
    assert (found.influx is not None) == bool(influx)
    if found.influx is not None:
        assert found.influx.url == "http://influx.local:8086"
        assert found.influx.token_file is not None
        assert found.influx.token_file.read_text() == "mine"


def test_wheel_carries_shelves_dashboards_and_what_the_installer_takes_from_it() -> None:
    """Each thing that the installer takes from ``share/edgefleet`` is put there by the wheel."""
    import tomllib  # noqa: PLC0415  # here alone

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    shared = project["tool"]["hatch"]["build"]["targets"]["wheel"]["shared-data"]
    assert {f"share/edgefleet/models/{name}" for name in ("agriculture", "industrial", "retail", "traffic")} <= set(
        shared.values()
    )
    assert "share/edgefleet/grafana/dashboards" in shared.values()
    assert all((ROOT / source).exists() for source in shared)
    taken = set(re.findall(r"share/edgefleet/([a-z.-]+)", (ROOT / "deploy" / "install.sh").read_text()))
    assert {f"share/edgefleet/{name}" for name in taken} <= set(shared.values())
