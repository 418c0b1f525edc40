"""The demo: a broker, a gateway and a fleet on this machine, and how many of the injected faults were caught.

    fleet (this process) ─▶ broker (process) ─▶ gateway (process) ─▶ local store ─▶ table, summary

Devices that measure once a second run in real time; those that measure once a minute run in time-lapse, so that their
own time reaches the present when the demo ends.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import yaml
from rich.console import Console

from contract.domains import DOMAINS
from contract.messages import Sample
from contract.points import GATEWAY
from contract.topics import DeviceId
from edgefleet import state
from edgefleet.brokers import HOST, BrokerChoice, RunningBroker, embedded_broker
from edgefleet.console_process import console_process
from edgefleet.errors import StateError
from edgefleet.gateway_process import GatewayProcess, gateway_process, listening
from edgefleet.live_table import LiveTable
from edgefleet.reading import scores
from edgefleet.running import expected_samples, show_progress, stop_requested, unless, write_truth
from edgefleet.summary import Latency, Summary, lost_samples
from gateway.sqlite_file import StorageError
from gateway.stores.reader import LocalReader, StoredAlert
from simulator.broker_url import BrokerUrl
from simulator.fleet import Fleet, build_fleet
from simulator.pacing import WallClock
from simulator.publishing import Publisher, backfill, live
from simulator.sessions import mqtt_sessions
from simulator.settings import FleetSettings, GroupSettings

GATEWAY_NAME: Final = "demo"
TIME_LAPSE: Final = 60.0
"""Speed of the domains that measure once a minute."""
SAMPLES_OF_HISTORY: Final = 3600
"""Most samples of history of one device: an hour of a device that measures each second."""
DRAIN_S: Final = 30.0
"""Longest wait at the end until the gateway has everything."""
TRUTH: Final = "truth.jsonl"
LOOK_EVERY_S: Final = 0.1
SITES: Final = {"agriculture": "farm-1", "industrial": "plant-1", "retail": "shop-1", "traffic": "road-1"}


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoOptions:
    """What a person may ask of the demo."""

    run_s: float = 60.0
    devices: int = 40
    history_s: float = 86400.0
    seed: int = 7
    state_dir: Path | None = None
    """Folder for everything that is written. Default: a temporary one, deleted at the end."""
    broker: BrokerChoice = "auto"
    """``auto``: Mosquitto where it is installed, else amqtt."""
    console: bool = False
    """Whether the web page is served meanwhile."""
    open_browser: bool = False
    """Whether a browser is opened on it."""


@dataclass(slots=True)
class PublishTimes:
    """When each live sample was handed to the broker."""

    wall_s: dict[tuple[DeviceId, float], float] = field(default_factory=dict)

    def note(self, device: DeviceId, samples: Sequence[Sample], wall_s: float) -> None:
        """Note the samples of one message; of one that is sent twice, the first time counts."""
        for sample in samples:
            self.wall_s.setdefault((device, sample.ts), wall_s)

    def delays_s(self, alerts: Sequence[StoredAlert]) -> list[float]:
        """Return how long after its deciding sample each transition of a live alert was stored: firing, resolved."""
        return [
            stored.stored_s - published_s
            for stored in alerts
            if (published_s := self.wall_s.get((_device(stored), stored.alert.trigger_s))) is not None
        ]


def fleet_settings(options: DemoOptions, broker: str) -> FleetSettings:
    """Return the demo's fleet: the devices spread over all domains, those that measure most often first."""
    domains = sorted(DOMAINS.values(), key=lambda domain: domain.period_s)
    counts = [options.devices // len(domains) + (i < options.devices % len(domains)) for i in range(len(domains))]
    groups = [
        GroupSettings(
            site=SITES.get(domain.name, "site-1"),
            domain=domain.name,
            devices=count,
            history_s=min(options.history_s, SAMPLES_OF_HISTORY * domain.period_s),
            speed=TIME_LAPSE if domain.period_s >= TIME_LAPSE else 1.0,
        )
        for domain, count in zip(domains, counts, strict=True)
        if count
    ]
    return FleetSettings(broker=broker, seed=options.seed, run_s=options.run_s, groups=tuple(groups))


def write_gateway_settings(folder: Path, broker: RunningBroker) -> Path:
    """Write the settings of the demo's gateway; return the file."""
    file = folder / "gateway.yaml"
    settings = {
        "gateway": GATEWAY_NAME,
        "state_dir": str(folder),
        "health_every_s": 0.5,
        "broker": {"host": HOST, "port": broker.port, "protocol": "3.1.1" if broker.kind == "amqtt" else "auto"},
        "queues": {"tick_s": 0.5},
        "log": {"level": "warning"},
    }
    file.write_text(yaml.safe_dump(settings, sort_keys=False))
    return file


async def demo(options: DemoOptions, console: Console) -> Summary:
    """Run the demo; progress goes to ``console``.

    :raises EdgefleetError: broker or gateway did not come up, or the folder is taken
    """
    stop = stop_requested()
    with _folder(options.state_dir) as folder:
        async with AsyncExitStack() as running:
            console.print(f"state: {folder}", highlight=False)
            broker = await running.enter_async_context(embedded_broker(folder, options.broker))
            console.print(f"broker: {broker.kind} on {broker.url}", highlight=False)
            settings_file = write_gateway_settings(folder, broker)
            gateway = await running.enter_async_context(gateway_process(settings_file, folder / "gateway.log"))
            if not await unless(stop, listening(HOST, broker.port, GATEWAY_NAME), gateway.ended()):
                raise KeyboardInterrupt
            write_truth(folder / TRUTH, [])  # so that the console knows that a truth will come
            if options.console:
                page = console_process(folder, folder / "console.log", open_browser=options.open_browser)
                address = await running.enter_async_context(page)
                console.print(f"console: {address or 'did not come up, see console.log'}", highlight=False)
            return await _Run(options, folder, broker, gateway, stop=stop, console=console).run()


class _Run:
    """One run, broker and gateway being up."""

    def __init__(
        self,
        options: DemoOptions,
        folder: Path,
        broker: RunningBroker,
        gateway: GatewayProcess,
        *,
        stop: asyncio.Event,
        console: Console,
    ) -> None:
        self._options = options
        self._folder = folder
        self._gateway = gateway
        self._stop = stop
        self._console = console
        self._clock = WallClock()
        self._times = PublishTimes()
        self._store = LocalReader(folder / state.STORE)
        self._fleet = build_fleet(fleet_settings(options, broker.url), now_s=self._clock.now_s())
        lines = [line for group in self._fleet.groups for line in group.lines]
        sessions = mqtt_sessions(BrokerUrl.parse(broker.url))
        self._publisher = Publisher(lines, sessions, self._clock, self._times.note)

    async def run(self) -> Summary:
        write_truth(self._folder / TRUTH, self._fleet.truths)
        try:
            await self._publish()
        finally:
            await self._publisher.close()
        await self._drain()
        await self._gateway.stop()
        return self._summary()

    async def _publish(self) -> None:
        total = expected_samples(self._fleet)
        progress = show_progress(self._publisher, total, self._console, "history")
        if not await unless(self._stop, backfill(self._publisher, self._fleet), progress, self._gateway.ended()):
            return
        self._console.print(f"history: {self._publisher.statistics().samples:,} samples published")
        table = LiveTable(
            self._fleet, self._publisher, self._store, self._console, _headline(self._fleet, self._options)
        )
        run = live(self._publisher, self._fleet, self._clock, self._options.run_s)
        await unless(self._stop, run, table.run(), self._gateway.ended())

    async def _drain(self) -> None:
        """Wait until the gateway has entered everything in its ledger, or the time for it is over."""
        with self._console.status("waiting for the gateway to store everything"):
            try:
                async with asyncio.timeout(DRAIN_S):
                    while not await asyncio.to_thread(self._drained):  # another process: nothing to await
                        await self._clock.sleep_until(self._clock.now_s() + LOOK_EVERY_S)
            except TimeoutError:
                self._console.print(f"the gateway had not stored everything within {DRAIN_S:.0f} s")

    def _drained(self) -> bool:
        try:
            lost = lost_samples(self._publisher.statistics().by_device, self._store.ledger())
            health = self._health()
        except StorageError:  # the gateway has not made it yet
            return False
        return lost == 0 and health.get("outbox_entries") == 0

    def _health(self) -> dict[str, float | int | str | bool]:
        points = self._store.points(GATEWAY, start_s=self._clock.now_s() - 60.0)
        return points[-1].fields if points else {}

    def _summary(self) -> Summary:
        published = self._publisher.statistics()
        ledger = self._store.ledger()
        health = self._health()
        return Summary(
            published=published.samples,
            stored=sum(line.stored for line in ledger),
            lost=lost_samples(published.by_device, ledger),
            quarantined=self._store.counts().quarantined,
            windows=int(health.get("windows_total", 0)),
            inferences=int(health.get("inferences_total", 0)),
            alerts=len(state.firings(self._store)),
            truth=scores(self._folder / TRUTH, self._folder),
            latency_ms=Latency.of(self._times.delays_s(self._store.transitions())),
        )


@contextmanager
def _folder(wanted: Path | None) -> Iterator[Path]:
    """Provide the folder to write to.

    :raises StateError: there is a store in it already, whose figures would mix with ours
    """
    if wanted is None:
        with tempfile.TemporaryDirectory(prefix="edgefleet-demo-") as temporary:
            yield Path(temporary)
        return
    if (wanted / state.STORE).exists():
        message = f"{wanted} holds the store of another run. Name another folder with --state, or delete it."
        raise StateError(message)
    wanted.mkdir(parents=True, exist_ok=True)
    yield wanted.resolve()


def _device(stored: StoredAlert) -> DeviceId:
    return DeviceId(stored.alert.site, stored.alert.domain, stored.alert.device)


def _headline(fleet: Fleet, options: DemoOptions) -> str:
    kinds = "faults", "look-alikes", "device faults"
    counts = [sum(truth.kind == kind for truth in fleet.truths) for kind in ("fault", "look_alike", "device_fault")]
    injected = ", ".join(f"{count} {kind}" for count, kind in zip(counts, kinds, strict=True))
    return f"live for {options.run_s:.0f} s; injected: {injected} (seed {options.seed})"
