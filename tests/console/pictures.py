"""Takes pictures of every page, light and dark, wide and phone, at the end of a seeded demo run: ``make pictures``."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final, Literal

from playwright.sync_api import Browser, Page, expect

from console.fleet import identity
from edgefleet.state import STORE
from gateway.stores.reader import LocalReader
from tests.console.browser import ROOT, running_browser, running_console

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


def main() -> None:
    """Run the demo, then the console over what it left, then the browser."""
    into = Path(sys.argv[1])
    with tempfile.TemporaryDirectory(prefix="edgefleet-pictures-") as temporary:
        folder = Path(temporary) / "state"
        demo(folder)
        with running_console(folder) as console, running_browser() as browser:
            take(browser, console.address, paths(folder), into)
    print(f"{len(list(into.glob('*.png')))} pictures in {into}")  # noqa: T201


if __name__ == "__main__":
    main()
