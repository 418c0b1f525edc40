"""The console before a real demo: broker, gateway, fleet and page as ``edgefleet demo`` starts them."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect
from typer.testing import CliRunner

from console.shelves import read_shelves
from contract.truth import Truth, decode_truths
from edgefleet.console_cli import TRUTH, labels_app
from tests.console.browser import ROOT, STARTS_MS, Seen, running_browser

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]

SEED = 4511
"""With it a valve closes on ``pump-02`` nine minutes before the live part and opens again 7 s after it began: the alert
comes with the history, and resolves some 40 s later."""
DEVICE, FAULT = "pump-02", "valve_closing"
NOTE = "the outlet valve was half shut"
RESOLVES_MS = 120_000
SETTLED_S = 200.0
"""Time after which the valve is so far shut that every bucket of the chart shows it."""
expect.set_options(timeout=STARTS_MS)


@contextmanager
def running_demo(folder: Path) -> Iterator[str]:
    """Run the demo while the context lasts; yield the console's address. Its end by Ctrl-C must be in order."""
    command = (sys.executable, "-m", "edgefleet", "demo", "--seed", str(SEED), "--devices", "8", "--history", "1h")
    with (folder / "said").open("w+b") as said, (folder / "summary").open("wb") as summary:
        process = subprocess.Popen(
            (*command, "--for", "3m", "--json", "--state", str(folder / "state")),
            stdout=summary,
            stderr=subprocess.PIPE,
            cwd=ROOT,
        )
        assert process.stderr is not None
        try:
            for line in process.stderr:
                said.write(line)
                if line.startswith(b"console: http"):
                    break
            else:
                pytest.fail(f"the demo ended: {(folder / 'said').read_text()}")
            yield line.decode().split()[1]
            process.send_signal(signal.SIGINT)
            _, rest = process.communicate(timeout=60)
            assert process.returncode == 0, rest.decode()
        finally:
            process.kill()
            process.wait()
            process.stderr.close()


def injected(folder: Path) -> Truth:
    """Return the fault as the simulator wrote it down."""
    truths = decode_truths((folder / "state" / TRUTH).read_bytes().splitlines())
    (found,) = [truth for truth in truths if (truth.device, truth.fault) == (DEVICE, FAULT)]
    return found


def series(page: Page) -> dict[str, dict[str, Any]]:
    """Return what the device's chart shows, by name."""
    drawn = page.locator("[data-chart=device][data-drawn]")
    expect(drawn).to_be_visible()
    return {one["name"]: one for one in drawn.evaluate("(box) => box.chart.getOption().series")}


def test_injected_fault_is_seen_acknowledged_resolved_and_judged_by_whoever_watches(tmp_path: Path) -> None:
    with running_browser() as browser, running_demo(tmp_path) as address:
        page, seen = browser.new_page(), Seen(address)
        seen.watch(page)
        page.goto(f"{address}/alerts")
        expect(page.locator("h1")).to_have_text("Alerts")
        page.evaluate("window.stayed = true")
        card = page.locator("article.alert").filter(has_text=DEVICE)
        expect(card).to_have_count(1, timeout=RESOLVES_MS)
        expect(card).to_contain_text("anomaly")
        alert_id = card.get_attribute("data-alert")
        card.get_by_role("button", name="Acknowledge").click()
        expect(card).to_be_hidden()
        shown = look_at_device(browser.new_page(), address, injected(tmp_path))
        page.get_by_role("button", name=re.compile("^Resolved")).click()
        resolved = page.locator(f"[data-alert='{alert_id}']").first
        expect(resolved).to_contain_text("lasted", timeout=RESOLVES_MS)
        resolved.get_by_text("Answer").click()
        resolved.get_by_label("Note").fill(NOTE)
        resolved.get_by_role("button", name="Confirmed").click()
        expect(resolved).to_contain_text(NOTE)
        assert page.evaluate("window.stayed") is True
        assert (seen.errors, seen.requests) == ([], [])
    assert shown["flow_l_min"] == -1
    assert "voltage_v" not in shown, "the grid knows nothing of a valve"
    fault = injected(tmp_path)
    rows = json.loads(CliRunner().invoke(labels_app, ["--state", str(tmp_path / "state"), "--json"]).stdout)
    assert [(row["alert_id"], row["verdict"], row["note"]) for row in rows] == [
        (alert_id, "acknowledged", ""),
        (alert_id, "confirmed", NOTE),
    ]
    assert fault.onset_s < rows[0]["window_end_s"] < fault.end_s
    window_s = read_shelves(ROOT / "models")["industrial"].window_s
    assert rows[0]["window_end_s"] - rows[0]["window_start_s"] == window_s
    summary = json.loads((tmp_path / "summary").read_text())
    assert summary["lost"] == 0
    assert summary["truth"]["industrial"]["detected"] >= 1


def look_at_device(page: Page, address: str, fault: Truth) -> dict[str, int]:
    """Return the channels that lie in their band before a fault and outside of it in its end, and on which side."""
    page.goto(f"{address}/device/{fault.site}/{fault.domain}/{fault.device}")
    left = {}
    for name, one in series(page).items():
        band = next((pair for pair in one.get("markArea", {}).get("data", []) if "yAxis" in pair[0]), None)
        if band is None:
            continue
        low, high = band[0]["yAxis"], band[1]["yAxis"]
        sides = [(ms / 1000.0, (value > high) - (value < low)) for ms, value in one["data"] if value is not None]
        before = {side for at_s, side in sides if at_s < fault.onset_s}
        within = {side for at_s, side in sides if fault.onset_s + SETTLED_S < at_s < fault.end_s - 60.0}
        if before == {0} and len(within) == 1 and within != {0}:
            left[name] = within.pop()
    page.close()
    return left
