"""Is this machine fit: power, heat, clock, memory, card. Reads ``/proc`` and ``/sys``, below a root of one's choice."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edgefleet.findings import Finding, Severity, ok

THROTTLED: Final = "sys/devices/platform/soc/soc:firmware/get_throttled"
WARM_C, HOT_C = 75.0, 82.0
"""A Raspberry Pi slows down from 80 °C (soft limit 60 °C on the 3B+) and more so from 85 °C."""
LITTLE_MEMORY, NO_MEMORY = 256 * 2**20, 96 * 2**20
LITTLE_SPACE, NO_SPACE = 2 * 2**30, 200 * 2**20
_NOW: Final = ("under-voltage", "frequency capped", "throttled", "soft temperature limit")
_UNSYNCHRONISED: Final = 5
"""What adjtimex(2) returns while nothing disciplines the clock (TIME_ERROR)."""
_PAGE_BYTES: Final = 4096


def adjtimex() -> int:
    """Ask the kernel how its clock is kept; 0 where it cannot be asked."""
    try:
        return int(ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(512)))
    except (OSError, AttributeError):
        return 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """The machine, as far as it is looked at."""

    root: Path = Path("/")
    page_bytes: int = os.sysconf("SC_PAGE_SIZE")
    clock_state: Callable[[], int] = adjtimex
    """What adjtimex(2) returns."""

    def text(self, path: str) -> str | None:
        """Return a file's content, ``None`` where it is not there or not ours to read."""
        try:
            return (self.root / path).read_text().strip()
        except OSError:
            return None


def machine_findings(machine: Machine, state_dir: Path) -> Iterator[Finding]:
    """Yield what there is to say of the machine."""
    yield power(machine)
    yield heat(machine)
    yield from clock(machine)
    yield memory(machine)
    yield from storage(machine, state_dir)
    yield pages(machine)


def power(machine: Machine) -> Finding:
    """Tell whether the supply holds; the firmware's bits say it of a Raspberry Pi."""
    text = machine.text(THROTTLED) or (_vcgencmd() if machine.root == Path("/") else None)
    try:
        bits = int(text.removeprefix("throttled=").removeprefix("0x"), 16) if text else None
    except ValueError:
        bits = None
    if bits is None:
        return Finding("power", "info", "this machine does not say how its supply is")
    now = [word for place, word in enumerate(_NOW) if bits >> place & 1]
    once = [word for place, word in enumerate(_NOW) if bits >> (16 + place) & 1]
    supply = "Use the board's own supply (5.1 V) and a short, thick cable; take hungry USB devices off."
    if now:
        return Finding("power", "critical" if bits & 1 else "warning", f"now: {', '.join(now)}", supply)
    if once:
        return Finding("power", "warning", f"since it was switched on: {', '.join(once)}", supply)
    return ok("power", "no under-voltage, no throttling since it was switched on")


def _vcgencmd() -> str | None:
    command = shutil.which("vcgencmd")
    if command is None:
        return None
    said = subprocess.run([command, "get_throttled"], capture_output=True, text=True, check=False, timeout=5)  # noqa: S603  # a fixed command
    return said.stdout.strip() or None


def heat(machine: Machine) -> Finding:
    """Tell how hot the processor is."""
    zones = sorted(machine.root.glob("sys/class/thermal/thermal_zone*/temp"))
    readings = [int(text) / 1000 for zone in zones if (text := _number(zone)) is not None]
    if not readings:
        return Finding("temperature", "info", "this machine does not say how hot it is")
    hottest = max(readings)
    cool = "Give it a heat sink or a fan, and air; it slows down from 80 °C."
    if hottest >= WARM_C:
        return Finding("temperature", "critical" if hottest >= HOT_C else "warning", f"{hottest:.0f} °C", cool)
    return ok("temperature", f"{hottest:.0f} °C")


def _number(path: Path) -> str | None:
    try:
        text = path.read_text().strip()
    except OSError:
        return None
    return text if text.lstrip("-").isdecimal() else None


def clock(machine: Machine) -> Iterator[Finding]:
    """Tell whether the clock outlives a power cut, and whether something keeps it right."""
    if list(machine.root.glob("sys/class/rtc/rtc*")):
        yield ok("rtc", "there is a real-time clock")
    else:
        yield Finding(
            "rtc",
            "warning",
            "no real-time clock: after a power cut without network the time is that of the last shutdown",
            "Add one (DS3231 on I²C, or the battery of a Pi 5): dtoverlay=i2c-rtc,ds3231 in /boot/firmware/config.txt.",
        )
    if machine.clock_state() == _UNSYNCHRONISED:
        yield Finding(
            "ntp",
            "warning",
            "nothing keeps this clock right",
            "Enable a time service: timedatectl set-ntp true; check with timedatectl.",
        )
    else:
        yield ok("ntp", "the clock is synchronised")


def memory(machine: Machine) -> Finding:
    """Tell how much memory is free."""
    lines = (machine.text("proc/meminfo") or "").splitlines()
    sizes = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in lines if len(line.split()) > 1}
    free = sizes.get("MemAvailable")
    if free is None:
        return Finding("memory", "info", "this machine does not say how much memory is free")
    text = f"{free / 2**20:.0f} MiB of {sizes.get('MemTotal', 0) / 2**20:.0f} MiB are free"
    if free < LITTLE_MEMORY:
        severity: Severity = "critical" if free < NO_MEMORY else "warning"
        return Finding(
            "memory", severity, text, "The gateway takes up to 256 MiB. Stop what else runs, or use a larger board."
        )
    return ok("memory", text)


def storage(machine: Machine, state_dir: Path) -> Iterator[Finding]:
    """Tell how much room there is for the state, how worn the card is, and how it is mounted."""
    place = next((each for each in (state_dir, *state_dir.parents) if each.exists()), Path("/"))
    usage = shutil.disk_usage(place)
    text = f"{usage.free / 2**30:.1f} GiB of {usage.total / 2**30:.1f} GiB are free for {state_dir}"
    if usage.free < LITTLE_SPACE:
        remedy = "Make room, or lower retention, outbox.max_mb and journal.max_mb."
        yield Finding("space", "critical" if usage.free < NO_SPACE else "warning", text, remedy)
    else:
        yield ok("space", text)
    yield from _wear(machine)
    for line in (machine.text("proc/mounts") or "").splitlines():
        device, where, _, options = line.split()[:4]
        if where == "/" and device.startswith("/dev/mmcblk") and "noatime" not in options.split(","):
            yield Finding(
                "mount", "info", "every reading of a file writes to the card", "Add noatime to / in /etc/fstab."
            )


def _wear(machine: Machine) -> Iterator[Finding]:
    """Tell what cards say of their age: eMMC does, in tenths of their life; SD cards do not."""
    for card in sorted(machine.root.glob("sys/block/mmcblk[0-9]")):
        text = machine.text(f"sys/block/{card.name}/device/life_time")
        tenths = max((int(part, 16) for part in (text or "").split()), default=0)
        if tenths == 0:
            yield Finding(
                "card",
                "info",
                f"{card.name} does not say how worn it is",
                "Cards wear by being written: see journal.max_write_mb_per_day, or put the state on a USB SSD.",
            )
        elif tenths >= 8:
            severity: Severity = "critical" if tenths >= 10 else "warning"
            yield Finding(
                "card",
                severity,
                f"{card.name} has used {tenths * 10} % of its life",
                "Replace it; back up /var/lib/edgefleet.",
            )
        else:
            yield ok("card", f"{card.name} has used at most {tenths * 10} % of its life")


def pages(machine: Machine) -> Finding:
    """Tell the kernel's page size: 16 KiB on a Raspberry Pi 5, with which some libraries do not load."""
    if machine.page_bytes == _PAGE_BYTES:
        return ok("pages", "the kernel's pages are 4 KiB")
    return Finding(
        "pages",
        "info",
        f"the kernel's pages are {machine.page_bytes // 1024} KiB",
        "The wheels of edgefleet load with it; where another program fails: kernel=kernel8.img in config.txt.",
    )
