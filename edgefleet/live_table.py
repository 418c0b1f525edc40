"""The table that the demo shows while it runs."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from contract.messages import Alert
from contract.points import GATEWAY
from gateway.sqlite_file import StorageError
from gateway.stores.reader import LocalReader
from simulator.fleet import Fleet
from simulator.publishing import Publisher

EVERY_S: Final = 1.0
NEWEST: Final = 8
_COLOURS: Final = {"info": "cyan", "warning": "yellow", "critical": "red"}


@dataclass(slots=True)
class LiveTable:
    """Reads the store once a second and draws."""

    fleet: Fleet
    publisher: Publisher
    store: LocalReader
    console: Console
    headline: str
    _before: deque[tuple[float, Counter[str]]] = field(default_factory=lambda: deque(maxlen=6))

    async def run(self) -> None:
        """Draw until cancelled; only the last picture where nobody watches."""
        try:
            with Live(console=self.console, auto_refresh=False) as live:
                while True:
                    live.update(await asyncio.to_thread(self.draw), refresh=self.console.is_terminal)
                    await asyncio.sleep(EVERY_S)
        finally:
            self.console.print()

    def draw(self) -> Group:
        """Return the present picture."""
        try:
            alerts = [stored.alert for stored in self.store.alerts()]
            totals = self._totals()
        except StorageError:  # the gateway has not made it yet
            alerts, totals = [], ""
        return Group(Text(self.headline, style="bold"), self._domains(alerts), Text(totals), _newest(alerts))

    def _domains(self, alerts: list[Alert]) -> Table:
        samples: Counter[str] = Counter()
        for device, count in self.publisher.statistics().by_device.items():
            samples[device.domain] += count
        self._before.append((time.monotonic(), samples))
        began_s, before = self._before[0]
        seconds = max(self._before[-1][0] - began_s, EVERY_S)
        firing = Counter(alert.domain for alert in alerts if alert.state == "firing")
        total = Counter(alert.domain for alert in alerts)
        table = Table(expand=False)
        table.add_column("domain")
        for heading in ("devices", "samples", "samples/s", "alerts open", "alerts"):
            table.add_column(heading, justify="right")
        for group in self.fleet.groups:
            name = group.domain.name
            rate = (samples[name] - before[name]) / seconds
            numbers = (len(group.devices), samples[name], round(rate), firing[name], total[name])
            table.add_row(name, *(f"{number:,}" for number in numbers))
        return table

    def _totals(self) -> str:
        points = self.store.points(GATEWAY, start_s=time.time() - 60.0)
        if not points:
            return ""
        health = points[-1].fields
        memory_mib = float(health["memory_bytes"]) / 2**20
        return (
            f"gateway: {health['windows_total']:,} windows, {health['inferences_total']:,} inferences, "
            f"{memory_mib:.0f} MiB, {health['outbox_entries']} entries waiting to be delivered"
        )


def _newest(alerts: list[Alert]) -> Table:
    table = Table(title="Newest alerts", title_justify="left", show_header=False, box=None, padding=(0, 1))
    for alert in alerts[: -NEWEST - 1 : -1]:
        colour = _COLOURS[alert.severity] if alert.state == "firing" else "dim"
        at = datetime.fromtimestamp(alert.at_s, UTC).strftime("%H:%M:%S")
        table.add_row(at, f"[{colour}]{alert.state}[/]", f"{alert.device}", f"{alert.rule}", escape(alert.summary))
    return table
