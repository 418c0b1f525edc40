"""Live reload: a changed ``gateway.yaml``, certificate or shelf is taken between two batches; nothing is lost over it.

A file that is refused changes nothing: all its faults are logged and the settings in force stay. What cannot change
while the gateway runs (where it keeps its state, which broker, which stores) is named and waits for a restart.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import structlog

from contract.domains import Domain
from gateway.domains import DomainTableError
from gateway.flow import Flow
from gateway.inference.errors import ShelfError
from gateway.mqtt import MqttError, Session, SessionSettings
from gateway.pipeline import Pipeline
from gateway.prepare import Prepared, prepare
from gateway.settings import Settings
from gateway.settings_file import SettingsError, load

log = structlog.get_logger(__name__)

LIVE: Final = frozenset(("models_dir", "domains_dir", "site", "limits", "domains", "sources", "log"))
"""Settings that are taken while the gateway runs."""
LIVE_BROKER: Final = frozenset(("tls", "username", "password", "password_file"))
"""Settings of the broker that hold from the next connection on."""


@dataclass(slots=True, kw_only=True)
class Reloader:
    """Takes changed files into a running gateway."""

    file: Path
    current: Prepared
    """What is in force."""
    domains: dict[str, Domain]
    """All domains, for stores that hold on to this very mapping."""
    session: Session
    connect: Callable[[Prepared], tuple[SessionSettings, ssl.SSLContext | None]]
    """Gives what the session needs of settings; reads certificates and password files."""
    set_log: Callable[[Settings], None]
    _inference_before_s: float = field(default=0.0, init=False)

    def inference_s(self) -> float:
        """Return the time spent in the models so far, those that were replaced included, seconds."""
        return self._inference_before_s + self.current.inference_s()

    async def run(self, wanted: asyncio.Event, pipeline: Pipeline, flow: Flow) -> None:
        """Reload whenever it is wanted, until cancelled."""
        while True:
            await wanted.wait()
            wanted.clear()
            await self.reload(pipeline, flow)

    async def reload(self, pipeline: Pipeline, flow: Flow) -> bool:
        """Take the files as they are now; tell whether they were taken."""
        try:
            ready = await asyncio.to_thread(lambda: prepare(load(self.file)))
            session, context = self.connect(ready)
        except (SettingsError, ShelfError, DomainTableError, OSError, ssl.SSLError) as error:
            log.error("changed settings refused, the old ones stay", file=str(self.file), faults=str(error))  # noqa: TRY400  # the operator's fault, told whole
            return False
        waiting = restart_needed(self.current.settings, ready.settings)
        await flow.between_batches(lambda: pipeline.change(ready.plans, ready.limits, ready.sources))
        self._inference_before_s += self.current.inference_s()
        self.domains.update(ready.domains)
        self.current = ready
        self.set_log(ready.settings)
        try:
            await self.session.change(session, context)
        except MqttError as error:
            log.error("broker refuses a changed subscription", reason=str(error))  # noqa: TRY400  # likewise
        log.info("settings taken", file=str(self.file), after_a_restart=waiting)
        return True


def restart_needed(before: Settings, after: Settings) -> list[str]:
    """Return the settings that differ and hold only after a restart."""
    differ = [name for name in type(before).model_fields if getattr(before, name) != getattr(after, name)]
    waiting = [name for name in differ if name not in LIVE | {"broker"}]
    waiting += [
        f"broker.{name}"
        for name in type(before.broker).model_fields
        if name not in LIVE_BROKER and getattr(before.broker, name) != getattr(after.broker, name)
    ]
    return waiting
