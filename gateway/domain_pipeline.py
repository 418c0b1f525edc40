"""The path of one domain's samples: windows, features, scores, alerts. Pure, without clock or I/O.

    columns → ledger → windows → features → score → judge → outputs
                          └───── sensors ───────────┘

:mod:`gateway.pipeline` calls it with what the intake found of the domain.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import isnan
from typing import Final, Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from contract.domains import Domain
from contract.messages import Alert, DeviceState, Reason
from contract.points import CLOCK_QUALITY, COVERAGE, SCORE, Point, row_kind
from contract.topics import DeviceId
from gateway import alerts, reasons, state_parts
from gateway.alerts import Judge, Rule
from gateway.calendars import Calendar
from gateway.clocks import Clocks
from gateway.features import FeatureSet
from gateway.frames import Blocks, Frames, WindowSpec
from gateway.intake import Columns, Refusals, StateChange
from gateway.ledger import Ledger
from gateway.limits import Limit
from gateway.ports import Outputs, Scorer
from gateway.records import distinct
from gateway.rows import block_readings, nanoseconds_of, packed_rows, stray_readings, summary_points
from gateway.sensors import Sensors
from gateway.silence import Silence
from gateway.state_parts import named, under
from gateway.summaries import Summaries
from gateway.windows import Windows

STORED_STATISTICS: Final = ("mean", "std", "min", "max")
"""Statistics of every channel that each window's point holds, whatever the model uses."""
STORED_LIFE: Final = ("life_z",)
"""What each window's point tells of every channel against the device's whole life."""
STORED_TIME: Final = ("hour", "weekday", "part_of_day", "weekend", "holiday")
"""Time features that each window's point holds."""
ACCOUNT_EVERY_S: Final = 30.0
"""Time between two stored accounts of a device that sends on, seconds: every window changes the account, and a row for
each would be a third of all rows. When a device falls quiet its account goes out at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A scorer and the rule that judges its scores."""

    rule: str
    version: str
    scorer: Scorer


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How one domain is processed."""

    domain: Domain
    window: WindowSpec
    rules: tuple[Rule, ...]
    """The model's rule and the sensor rules."""
    model: Model | None = None
    """Without one, windows are stored but not scored."""
    limits: tuple[Limit, ...] = ()
    """Alerts on a channel's value; their rules are among ``rules``."""
    calendar: Calendar
    silent_after_s: float | None = None
    """Time without a message after which a device is silent; ten periods, at least 30 s, where none is given."""


class Statistics(msgspec.Struct, frozen=True):
    """What went through so far; part of the state, so that a restart goes on counting."""

    messages: int = 0
    samples: int = 0
    quarantined: int = 0
    windows: int = 0
    insufficient: int = 0
    inferences: int = 0
    alerts: int = 0


class Room(Protocol):
    """A part with little state."""

    def dump(self) -> bytes:
        """Return the state."""

    def load(self, state: bytes) -> None:
        """Take over a state that :meth:`dump` returned."""


class DomainPipeline:
    """The path of one domain's samples."""

    def __init__(self, plan: Plan) -> None:
        """Start with no device."""
        self._plan = plan
        self._domain = plan.domain
        self.cut = (repr(plan.window), *plan.domain.channel_names)
        """How windows are cut, and of what."""
        self._windows = Windows(plan.domain, plan.window, plan.calendar)
        self._summaries = Summaries(plan.domain, plan.window, plan.calendar)
        self._ledger = Ledger()
        self._sensors = Sensors(plan.domain, hop_s=plan.window.hop_s)
        self._clocks = Clocks(plan.window)
        self._silence = Silence(plan.domain, silent_after_s=plan.silent_after_s)
        self._limits = {limit.name: limit for limit in plan.limits}
        self.judge = Judge(plan.domain.name, plan.rules)
        self._rooms: tuple[Room, ...] = (
            self._ledger,
            self._sensors,
            self._silence,
            self.judge,
            self._clocks,
        )
        self.statistics = Statistics()
        self._unsettled: set[int] = set()
        """Devices with samples or accounts that the outputs do not show yet."""
        self._resting: set[int] = set()
        """Devices that fell quiet in this batch."""
        model_names = () if plan.model is None else plan.model.scorer.feature_names
        stored = [
            f"{channel}_{name}" for channel in plan.domain.channel_names for name in (*STORED_STATISTICS, *STORED_LIFE)
        ]
        names = tuple(dict.fromkeys((*stored, *STORED_TIME, *model_names)))
        self._features = FeatureSet(names, plan.domain, plan.window, plan.calendar)
        self._inputs = np.array([names.index(name) for name in model_names], np.intp)
        version = "" if plan.model is None else plan.model.version
        self._row = row_kind((*names, COVERAGE, SCORE, CLOCK_QUALITY), version)
        self._tags: list[dict[str, str]] = []

    def process(
        self, columns: Columns | None, refusals: Refusals | None, devices: Sequence[DeviceId], outputs: Outputs
    ) -> None:
        """Take samples and append what they give."""
        if refusals is not None:
            self._ledger.refuse(refusals)
            self._unsettled.update(refusals.device.tolist())
        if columns is not None:
            self._take(columns)
            self._unsettled.update(distinct(columns.device).tolist())
            outputs.ledger += self._ledger.lines(sorted(self._drain(devices, outputs)), devices)

    def clocks(self, columns: Columns, now_s: float, *, gateway_in_doubt: bool) -> None:
        """Hold the times of samples against the gateway's clock."""
        self._clocks.take(columns.device, columns.ts, now_s, gateway_in_doubt=gateway_in_doubt)

    @property
    def newest_s(self) -> float:
        """Newest measurement time, Unix seconds; NaN before the first sample."""
        return self._ledger.newest_s

    def flush(self, devices: Sequence[DeviceId], outputs: Outputs) -> None:
        """Close every window and every span that holds a sample."""
        self.close_windows(devices, outputs)
        outputs.points += summary_points(self._domain, self._summaries.flush(), self._tags_of(devices))

    def close_windows(self, devices: Sequence[DeviceId], outputs: Outputs) -> None:
        """Close every window that holds a sample."""
        self._windows.flush()
        outputs.ledger += self._ledger.lines(sorted(self._drain(devices, outputs) | self._unsettled), devices)

    def give_up_windows(self, devices: Sequence[DeviceId], outputs: Outputs) -> None:
        """Close windows early. Their open samples go out one by one: a block would be overwritten by the hop's rest."""
        held = Windows.held(self._windows.dump())
        found = Outputs()
        self.close_windows(devices, found)
        outputs.alerts += found.alerts
        outputs.points += found.points
        outputs.ledger += found.ledger
        outputs.readings += stray_readings(held, devices)

    def goes_on_in(self, other: DomainPipeline | None) -> bool:
        """Tell whether windows that are open here can go on there."""
        return other is not None and self.cut == other.cut

    def state(self, change: StateChange, now_s: float) -> None:
        """Enter what a device's state topic said, at the intake's ``listening_s``."""
        self._silence.state(change.index, change.state, now_s)
        if change.state is not DeviceState.ONLINE:
            self._resting.add(change.index)

    def silence(
        self, now_s: float, heard_s: NDArray[np.float64], devices: Sequence[DeviceId], outputs: Outputs
    ) -> None:
        """Judge which devices are silent by the intake's ``listening_s``; in event time that is behind their newest.

        A device that never sent a good sample has no event time, and no alert: what it sent is in the quarantine.
        """
        for change in self._silence.check(now_s, heard_s):
            self._resting.add(change.index)
            newest_s = float(self._ledger.last_s(np.array([change.index]))[0])
            if isnan(newest_s):
                continue
            outputs.alerts += self._count_alerts(
                self.judge.silence(
                    devices[change.index],
                    change.index,
                    silent=change.silent,
                    at_s=newest_s + change.after_s,
                    words=change.words,
                )
            )

    def settle(self, devices: Sequence[DeviceId], outputs: Outputs, *, everything: bool) -> None:
        """Append the open samples and accounts of devices that rest; of all that changed, when nothing arrives at all.

        So the stores hold every sample soon after a device falls quiet, though its last window may close much later.
        """
        due = self._unsettled if everything else self._unsettled & self._resting
        self._resting.clear()
        if due:
            indices = sorted(due)
            outputs.readings += block_readings(self._windows.open_blocks(np.array(indices, np.int64)), devices)
            outputs.ledger += self._ledger.lines(indices, devices)
            self._unsettled = self._unsettled - due

    def dump(self) -> Iterator[bytes]:
        """Yield the state in parts; nothing may be processed before the last one."""
        rooms = [room.dump() for room in self._rooms]
        yield msgspec.msgpack.encode((self.statistics, sorted(self._unsettled), self.cut, rooms))
        yield from state_parts.cut(named("windows", self._windows.dump()) | named("summaries", self._summaries.dump()))

    def load(self, parts: Iterable[bytes], devices: Sequence[DeviceId], outputs: Outputs) -> None:
        """Take over a state that :meth:`dump` yielded; append what cannot go on in it."""
        parts = iter(parts)
        self.statistics, self._unsettled, cut, states = msgspec.msgpack.decode(
            next(parts), type=tuple[Statistics, set[int], tuple[str, ...], list[bytes]]
        )
        for room, state in zip(self._rooms, states, strict=True):
            if cut == self.cut or room is not self._sensors:
                room.load(state)
        found = state_parts.joined(parts)
        if cut == self.cut:
            self._windows.load(under("windows", found))
            self._summaries.load(under("summaries", found))
        elif cut[1:] == self.cut[1:]:
            outputs.readings += stray_readings(Windows.held(under("windows", found)), devices)
        outputs.alerts += self.judge.retire()
        self._tags.clear()

    def _take(self, columns: Columns) -> None:
        """Enter samples in the ledger and put them in their windows; one that comes again finds its slot held."""
        self._count(samples=len(columns.ts))
        new = self._ledger.take(columns)
        added = self._windows.add(columns.device, columns.ts, columns.values, ~new)
        if added.late.any():
            self._ledger.late(columns.device[added.late & new])
        if added.duplicate.any():
            self._ledger.repeated(columns.device[added.duplicate & new])
        counted = new & (columns.seq >= 0)  # what is not counted may have been sent again
        self._clocks.odd(columns.device, columns.ts, added.late & counted, added.duplicate & counted)
        self._clocks.newest(columns.device, columns.ts)

    def _drain(self, devices: Sequence[DeviceId], outputs: Outputs) -> set[int]:
        """Append what the windows gave; return the devices whose accounts are due."""
        due: set[int] = set()
        for blocks in self._windows.blocks():
            outputs.readings += block_readings(blocks, devices)
            outputs.points += summary_points(self._domain, self._summaries.add(blocks), self._tags_of(devices))
            due.update(self._accounts(blocks).tolist())
        for strays in self._windows.strays():
            outputs.readings += stray_readings(strays, devices)
            due.update(strays.device.tolist())
        for frames in self._windows.close():
            self._judge(frames, devices, outputs)
        return due

    def _accounts(self, blocks: Blocks) -> NDArray[np.int64]:
        """Return the devices whose turn it is with one of these hops, neighbours at different ones."""
        hop_s = self._plan.window.hop_s
        turns = max(1, round(ACCOUNT_EVERY_S / hop_s))
        hop = np.rint(blocks.start_s / hop_s).astype(np.int64)
        due: NDArray[np.int64] = blocks.device[(hop + blocks.device) % turns == 0]
        return due

    def _judge(self, frames: Frames, devices: Sequence[DeviceId], outputs: Outputs) -> None:
        """Turn closed windows into points and alerts."""
        features = self._features.compute(frames)
        covered = frames.coverage >= self._plan.window.min_coverage
        scores = self._score(features, covered & ~frames.warming)
        outputs.points += self._points(frames, features, scores, devices)
        windows = alerts.Windows(frames.device, frames.end_s, frames.trigger_s, covered, frames.warming)
        hop_slots = self._plan.window.hop_slots
        by_rule = {} if self._plan.model is None else {self._plan.model.rule: scores}
        by_rule |= {name: limit.scores(frames, hop_slots) for name, limit in self._limits.items()}

        def explain(window: int, rule: str) -> tuple[str, tuple[Reason, ...]]:
            if rule in self._limits:
                return self._limits[rule].why(frames, window, hop_slots)
            return reasons.why(self._domain, frames, window)

        transitions = self.judge.judge(windows, by_rule, self._sensors.check(frames), devices, explain)
        outputs.alerts += self._count_alerts(transitions)
        self._count(windows=len(frames), insufficient=int(np.count_nonzero(~covered)))

    def _score(self, features: NDArray[np.float32], ready: NDArray[np.bool_]) -> NDArray[np.float32]:
        """Score the windows that are ready, all in one call; NaN for the others."""
        scores = np.full(len(features), np.nan, np.float32)
        if self._plan.model is not None and ready.any():
            scores[ready] = self._plan.model.scorer.score(features[np.ix_(ready, self._inputs)])
            self._count(inferences=int(np.count_nonzero(ready)))
        return scores

    def _points(
        self,
        frames: Frames,
        features: NDArray[np.float32],
        scores: NDArray[np.float32],
        devices: Sequence[DeviceId],
    ) -> list[Point]:
        """Return a point per window; a feature that is undefined is absent."""
        doubts = self._clocks.quality(frames.device, frames.end_s)
        numbers = packed_rows(np.column_stack((features, frames.coverage, scores, doubts)))
        times_ns = nanoseconds_of(frames.end_s)
        name, row, tags = self._domain.name, self._row, self._tags_of(devices)
        return [
            Point(name, tags[device], content, time_ns, row)
            for device, content, time_ns in zip(frames.device.tolist(), numbers, times_ns, strict=True)
        ]

    def _tags_of(self, devices: Sequence[DeviceId]) -> list[dict[str, str]]:
        """Return the tags of all devices, each made once."""
        for who in devices[len(self._tags) :]:
            self._tags.append({"site": who.site, "device": who.device})
        return self._tags

    def _count_alerts(self, transitions: list[Alert]) -> list[Alert]:
        self._count(alerts=sum(alert.state == "firing" for alert in transitions))
        return transitions

    def _count(self, **more: int) -> None:
        self.statistics = msgspec.structs.replace(
            self.statistics, **{name: getattr(self.statistics, name) + count for name, count in more.items()}
        )
