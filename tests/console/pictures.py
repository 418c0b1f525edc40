"""Takes pictures of every page, light and dark, wide and phone, at the end of a seeded demo run: ``make pictures``.

The clock of the console stands still at the gateway's last report, so that the pictures show a fleet that lives.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final, Literal

from playwright.sync_api import Browser, Page, expect

from console.fleet import identity
from console.server import Options
from console.server import serve as serve_console
from contract.points import GATEWAY
from edgefleet.state import STORE
from edgefleet.truth_picture import picture
from gateway.settings import Settings, shelves_folder
from gateway.stores.reader import LocalReader
from tests.console.browser import ROOT, running, running_browser

SIZES: Final = {"wide": (1320, 900), "phone": (390, 844)}
SCHEMES: Final[tuple[Literal["light", "dark"], ...]] = ("light", "dark")
SEED: Final = "7"


def demo(folder: Path) -> None:
    """Run the demo, always the same one, and leave its state in a folder."""
    command = (sys.executable, "-m", "edgefleet", "demo", "--seed", SEED, "--for", "60s", "--no-console", "--json")
    subprocess.run((*command, "--state", str(folder)), check=True, cwd=ROOT, stdout=subprocess.DEVNULL)


def paths(folder: Path) -> dict[str, str]:
    """Return the pages by name; the device is the one whose alert is the newest that fires."""
    alerts = LocalReader(folder / STORE).alerts()
    firing = [one.alert for one in alerts if one.alert.model_version and one.alert.domain == "industrial"] or [
        alerts[-1].alert
    ]
    who = identity(firing[-1])
    return {
        "fleet": "/",
        "alerts": "/alerts",
        "device": f"/device/{who.site}/{who.domain}/{who.device}",
        "models": "/models",
        "gateway": "/gateway",
        "truth": "/truth",
    }


def take(browser: Browser, address: str, pages: dict[str, str], into: Path) -> None:
    """Take every picture."""
    into.mkdir(parents=True, exist_ok=True)
    for size, (width, height) in SIZES.items():
        for scheme in SCHEMES:
            context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
            page = context.new_page()
            for name, path in pages.items():
                page.goto(address + path)
                _wait(page)
                page.screenshot(
                    path=into / f"{name}-{size}-{scheme}.png", full_page=size == "wide" and name != "models"
                )
            context.close()


def _wait(page: Page) -> None:
    expect(page.locator("h1")).to_be_visible(timeout=30_000)
    charts = page.locator("[data-chart]").count()
    expect(page.locator("[data-chart][data-drawn]")).to_have_count(charts, timeout=30_000)
    page.wait_for_load_state("networkidle")


def serve(folder: Path) -> None:
    """Serve the console over a folder, at the time of the gateway's last report."""
    last_s = LocalReader(folder / STORE).newest_points(GATEWAY, limit=1)[-1].time_ns / 1e9
    options = Options(
        state_dir=folder,
        own_dir=folder,
        models_dir=shelves_folder(Settings()),
        port=0,
        truth=lambda: picture(folder / "truth.jsonl", folder),
    )
    asyncio.run(serve_console(options, _say, wall_s=lambda: last_s))


def _say(address: str) -> None:
    print(f"console: {address}", flush=True)  # noqa: T201  # whoever started it listens


def main() -> None:
    """Run the demo, then the console over what it left, then the browser."""
    if sys.argv[1] == "serve":
        serve(Path(sys.argv[2]))
        return
    into = Path(sys.argv[1])
    with tempfile.TemporaryDirectory(prefix="edgefleet-pictures-") as temporary:
        folder = Path(temporary) / "state"
        demo(folder)
        served = (sys.executable, "-m", "tests.console.pictures", "serve", str(folder))
        with running(*served) as console, running_browser() as browser:
            take(browser, console.address, paths(folder), into)
    print(f"{len(list(into.glob('*.png')))} pictures in {into}")  # noqa: T201


if __name__ == "__main__":
    main()
