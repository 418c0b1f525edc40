"""The console as containers and systemd confine it: everything is read-only but a folder of its own."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest
from playwright.sync_api import expect
from typer.testing import CliRunner

from console.errors import PasswordError
from console.passwords import PASSWORDS, Passwords
from contract.answers import LABELS
from edgefleet.console_cli import labels_app
from gateway.ports import Outputs
from tests.console.browser import STARTS_MS, running, running_browser
from tests.console_stores import alert, small, write

SECRET = "made by the service init"
CONFINED = """
import ctypes, sys
ctypes.CDLL(None).prctl(65, 1, 0, 0, 0)  # PR_SET_MDWE: no memory both writable and executable, where the kernel can
from edgefleet.__main__ import main
sys.argv[0] = "edgefleet"
main()
"""
MOUNTS = 'mount --bind "$1" "$1" && mount -o remount,bind,ro / && shift && exec "$@"'
UNSHARE = ("unshare", "--user", "--map-root-user", "--mount", "sh", "-c", MOUNTS, "sh")
expect.set_options(timeout=STARTS_MS)


def can_confine(folder: Path) -> bool:
    """Tell whether this machine lets us make a file system read-only for one process."""
    if shutil.which("unshare") is None:
        return False
    return subprocess.run((*UNSHARE, str(folder), "true"), capture_output=True, check=False).returncode == 0


@pytest.mark.browser
@pytest.mark.timeout(120)
def test_console_works_on_a_store_that_it_may_not_write(tmp_path: Path) -> None:
    """Signed in with the password from a file, alerts are seen live and answered; answers go to its own folder."""
    state, own, password = tmp_path / "state", tmp_path / "own", tmp_path / "password"
    own.mkdir()
    if not can_confine(own):
        pytest.skip("this machine does not let us make a file system read-only for one process")
    password.write_text(f"{SECRET}\n")
    small(state, time.time())
    arguments = ("console", "--state", str(state), "--own", str(own), "--listen", "127.0.0.1:0")
    confined = (*UNSHARE, str(own), sys.executable, "-c", CONFINED, *arguments, "--password-file", str(password))
    with (
        closing(sqlite3.connect(state / "store.db")) as gateway,  # has it open, as a gateway would
        running(*confined) as console,
        running_browser() as browser,
    ):
        gateway.execute("SELECT count(*) FROM alerts").fetchone()
        page = browser.new_page()
        page.goto(f"{console.address}/alerts")
        page.get_by_label("Your name").fill("ann")
        page.get_by_label("Password").fill(SECRET)
        page.get_by_role("button", name="Sign in").click()
        expect(page.locator("article.alert").first).to_be_visible()
        write(state, Outputs(alerts=[alert(id="live")]))
        card = page.locator("[data-alert=live]").first
        card.get_by_role("button", name="Acknowledge").click()
        expect(card).to_be_hidden()
    assert sorted(file.name for file in own.iterdir()) == [PASSWORDS, LABELS]
    assert [file.name for file in state.iterdir()] == ["store.db"]
    rows = json.loads(CliRunner().invoke(labels_app, ["--state", str(own), "--json"]).stdout)
    assert [(row["alert_id"], row["verdict"], row["operator"]) for row in rows] == [("live", "acknowledged", "ann")]


def test_password_from_a_file_is_the_operators_and_is_written_only_when_it_differs(tmp_path: Path) -> None:
    file, passwords = tmp_path / "password", Passwords(tmp_path)
    file.write_text(f"{SECRET}\nanother line\n")
    passwords.take("operator", file)
    assert passwords.role(SECRET) == "operator"
    written = (tmp_path / PASSWORDS).read_text()
    passwords.take("operator", file)
    assert (tmp_path / PASSWORDS).read_text() == written
    file.write_text("another secret of enough length")
    passwords.take("operator", file)
    assert passwords.role(SECRET) is None


@pytest.mark.parametrize("content", [None, b"", b"short", b"\xff\xfe no text at all"])
def test_password_file_that_holds_none_is_refused(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "password").write_bytes(content)
    with pytest.raises(PasswordError):
        Passwords(tmp_path).take("operator", tmp_path / "password")
    assert not Passwords(tmp_path).any()
