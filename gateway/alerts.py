"""The judge: turns scores into alerts that rise, hold and clear, without flapping. A pure state machine.

::

    quiet ─ score ≥ raise_at ─▶ pending ─ for raise_dwell_s ─▶ firing ─ below clear_at for clear_dwell_s ─▶ resolved

A window that says nothing (too few samples, or not scored) changes nothing. A device whose sensor is broken is not
judged by its models: what was pending is dropped, what is firing holds.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import isnan
from typing import Final, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from contract.domains import Domain
from contract.messages import Alert, Reason, Severity
from contract.topics import DeviceId
from gateway.sensors import FLAT_LINE, IMPOSSIBLE_RATE, SATURATION, SILENT, SensorFaults

Explain = Callable[[int, str], tuple[str, tuple[Reason, ...]]]
"""``explain(window, rule)`` returns one sentence and the reasons for a model's alert; called for alerts only."""

_HOUR_S: Final = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """When one kind of alert rises and clears."""

    name: str
    """What is judged, such as ``disease`` or ``flat_line``."""
    domain: str
    """Domain whose devices it judges."""
    kind: Literal["model", "limit", "sensor"]
    """A ``sensor`` alert suspends the ``model`` and ``limit`` rules of its device; a limit needs no baseline."""
    severity: Severity
    """How urgent it is to the person who reads it."""
    raise_at: float = 0.5
    """Score from which the alert rises, 0 … 1."""
    clear_at: float = 0.5
    """Score below which it clears, at most ``raise_at``."""
    raise_dwell_s: float = 0.0
    """How long the score must stay up before the alert fires, seconds of event time."""
    clear_dwell_s: float = 0.0
    """How long the score must stay down before the alert resolves, seconds of event time."""
    cooldown_s: float = 0.0
    """How long after resolving the alert stays quiet, seconds of event time."""
    max_flaps_per_hour: int = 6
    """Most times an hour the alert fires; the last one holds, marked as flapping, until that hour has passed."""
    model_version: str | None = None
    """Version of the model whose score this judges."""

    def __post_init__(self) -> None:
        """Refuse thresholds that would flap.

        :raises ValueError: ``clear_at`` is above ``raise_at``, or the alert may never fire
        """
        if self.clear_at > self.raise_at:
            raise ValueError(
                f"rule {self.name}: clear_at = {self.clear_at} must not exceed raise_at = {self.raise_at}."
            )
        if self.max_flaps_per_hour < 1:
            raise ValueError(f"rule {self.name}: max_flaps_per_hour = {self.max_flaps_per_hour} must be 1 or more.")


def sensor_rules(domain: Domain, *, window_s: float) -> tuple[Rule, ...]:
    """Return the rules for broken sensors and silent devices of a domain whose windows are ``window_s`` long.

    A mended sensor's alert holds for one window more: until then the model's windows still hold what it said broken.
    """
    broken = tuple(
        Rule(name=name, domain=domain.name, kind="sensor", severity="warning", clear_dwell_s=window_s)
        for name in (FLAT_LINE, SATURATION, IMPOSSIBLE_RATE)
    )
    return (*broken, Rule(name=SILENT, domain=domain.name, kind="sensor", severity="warning"))


@dataclass(frozen=True, slots=True)
class Windows:
    """What there is to judge in ``n`` windows of one domain; each device's in order of time. Every array ``(n,)``."""

    device: NDArray[np.int64]
    end_s: NDArray[np.float64]
    trigger_s: NDArray[np.float64]
    covered: NDArray[np.bool_]
    """Enough samples; where not, nothing is judged and everything holds."""
    warming: NDArray[np.bool_]
    """The device's baseline is not known yet; model rules are not judged."""


class _Track(msgspec.Struct, array_like=True):
    """Where one rule stands on one device."""

    pending_s: float | None = None
    """When the score rose, while it has not fired yet."""
    alert: Alert | None = None
    """What fires, as it was last emitted."""
    below_s: float | None = None
    """Since when the score of a firing alert is low enough to clear."""
    resolved_s: float | None = None
    """When it resolved last."""
    fired_s: list[float] = []
    """When it fired, within the last hour."""
    flapping: bool = False

    @property
    def open(self) -> bool:
        return self.pending_s is not None or self.alert is not None


@dataclass(frozen=True, slots=True)
class _Moment:
    """One score at one time."""

    device: DeviceId
    at_s: float
    trigger_s: float
    score: float
    words: Callable[[], tuple[str, tuple[Reason, ...]]]


class Judge:
    """Judges the devices of one domain."""

    def __init__(self, domain: str, rules: Sequence[Rule]) -> None:
        """Take the rules of this domain; others are ignored."""
        mine = [rule for rule in rules if rule.domain == domain]
        self._sensor_rules = [rule for rule in mine if rule.kind == "sensor"]
        self._model_rules = [rule for rule in mine if rule.kind != "sensor"]
        self._tracks: dict[tuple[int, str], _Track] = {}

    def judge(
        self,
        windows: Windows,
        scores: Mapping[str, NDArray[np.float32]],
        faults: SensorFaults,
        devices: Sequence[DeviceId],
        explain: Explain,
    ) -> list[Alert]:
        """Judge windows; return transitions in their order. ``scores`` by model rule, ``(n,)``, NaN: not scored."""
        found: list[Alert] = []
        for window in self._worth_a_look(windows, scores, faults):
            index = int(windows.device[window])
            at = (devices[index], float(windows.end_s[window]), float(windows.trigger_s[window]))
            broken = False
            for rule in self._sensor_rules:
                flags = faults.flags.get(rule.name)
                if flags is not None:
                    words = _said(faults.words.get((window, rule.name), f"{rule.name} has ended"))
                    found += self._step(rule, index, _Moment(*at, float(flags[window]), words))
                    broken |= self._is_open(index, rule)
            for rule in self._model_rules:
                score = float(scores[rule.name][window]) if rule.name in scores else np.nan
                if broken:
                    self._suspend(rule, index)
                elif not isnan(score) and (rule.kind == "limit" or not windows.warming[window]):
                    moment = _Moment(*at, score, lambda w=window, r=rule: explain(w, r.name))  # type: ignore[misc]
                    found += self._step(rule, index, moment)
        return found

    def silence(self, device: DeviceId, index: int, *, silent: bool, at_s: float, words: str) -> list[Alert]:
        """Judge the rule ``silent`` for one device at event time ``at_s``."""
        moment = _Moment(device, at_s, at_s, float(silent), _said(words))
        return [
            alert for rule in self._sensor_rules if rule.name == SILENT for alert in self._step(rule, index, moment)
        ]

    def open_alerts(self) -> list[Alert]:
        """Return the alerts that are firing, as they were last emitted."""
        return [track.alert for track in self._tracks.values() if track.alert is not None]

    def retire(self, *, everything: bool = False) -> list[Alert]:
        """Forget rules that are no more, or all; return what fired by them as resolved, just after its last word."""
        known = set() if everything else {rule.name for rule in (*self._sensor_rules, *self._model_rules)}
        gone = [key for key in self._tracks if key[1] not in known]
        fired = [alert for key in gone if (alert := self._tracks.pop(key).alert) is not None]
        return [msgspec.structs.replace(alert, state="resolved", at_s=alert.at_s + 0.001) for alert in fired]

    def dump(self) -> bytes:
        """Return the state."""
        return msgspec.msgpack.encode([(index, rule, track) for (index, rule), track in self._tracks.items()])

    def load(self, state: bytes) -> None:
        """Take over a state that :meth:`dump` returned."""
        tracks = msgspec.msgpack.decode(state, type=list[tuple[int, str, _Track]])
        self._tracks = {(index, rule): track for index, rule, track in tracks}

    def _worth_a_look(
        self, windows: Windows, scores: Mapping[str, NDArray[np.float32]], faults: SensorFaults
    ) -> list[int]:
        """Return the windows in which anything may change: all but those of quiet devices with low scores."""
        up = np.zeros(len(windows.device), dtype=np.bool_)
        for rule in self._model_rules:
            if rule.name in scores:
                up |= scores[rule.name] >= rule.raise_at
        for rule in self._sensor_rules:
            if rule.name in faults.flags:
                up |= faults.flags[rule.name]
        busy = {index for (index, _), track in self._tracks.items() if track.open}
        busy.update(windows.device[up].tolist())
        if not busy:
            return []
        chosen = np.isin(windows.device, np.fromiter(busy, np.int64, len(busy))) & windows.covered
        return np.flatnonzero(chosen).tolist()

    def _is_open(self, index: int, rule: Rule) -> bool:
        track = self._tracks.get((index, rule.name))
        return track is not None and track.open

    def _suspend(self, rule: Rule, index: int) -> None:
        track = self._tracks.get((index, rule.name))
        if track is not None:
            track.pending_s = track.below_s = None

    def _step(self, rule: Rule, index: int, moment: _Moment) -> list[Alert]:
        """Move one rule on one device by one score; return the transition, if there is one."""
        track = self._tracks.get((index, rule.name))
        if track is None:
            if moment.score < rule.raise_at:
                return []
            track = self._tracks[index, rule.name] = _Track()
        alert = _rising(rule, track, moment) if track.alert is None else _falling(rule, track, track.alert, moment)
        if not track.open and _forgettable(rule, track, moment.at_s):
            del self._tracks[index, rule.name]
        return [] if alert is None else [alert]


def _rising(rule: Rule, track: _Track, moment: _Moment) -> Alert | None:
    cooling = track.resolved_s is not None and moment.at_s < track.resolved_s + rule.cooldown_s
    if moment.score < rule.raise_at or cooling:
        track.pending_s = None
        return None
    if track.pending_s is None:
        track.pending_s = moment.at_s
    if moment.at_s - track.pending_s < rule.raise_dwell_s:
        return None
    track.fired_s = [*_last_hour(track, moment.at_s), moment.at_s]
    track.pending_s = track.below_s = None
    track.alert = _fired(rule, moment)
    return track.alert


def _falling(rule: Rule, track: _Track, alert: Alert, moment: _Moment) -> Alert | None:
    if moment.score >= rule.clear_at:
        track.below_s = None
        return None
    if track.below_s is None:
        track.below_s = moment.at_s
    if moment.at_s - track.below_s < rule.clear_dwell_s:
        return None
    if len(_last_hour(track, moment.at_s)) >= rule.max_flaps_per_hour:
        return _flap(rule, track, alert, moment)
    track.alert = track.below_s = None
    track.resolved_s, track.flapping = moment.at_s, False
    summary = alert.summary
    if rule.kind == "sensor":  # "nothing heard" beside a device that is heard again would read as if it were silent
        ended, _ = moment.words()
        summary = f"{ended} (was: {summary})"
    return msgspec.structs.replace(
        alert, state="resolved", at_s=moment.at_s, trigger_s=moment.trigger_s, score=moment.score, summary=summary
    )


def _flap(rule: Rule, track: _Track, alert: Alert, moment: _Moment) -> Alert | None:
    """Hold an alert that would clear, because it fired too often; say so once."""
    if track.flapping:
        return None
    track.flapping = True
    track.alert = msgspec.structs.replace(
        alert,
        at_s=moment.at_s,
        trigger_s=moment.trigger_s,
        score=moment.score,
        summary=f"flapping: fired {rule.max_flaps_per_hour} times within an hour, so it is held; {alert.summary}",
    )
    return track.alert


def _fired(rule: Rule, moment: _Moment) -> Alert:
    summary, reasons = moment.words()
    return Alert(
        id=alert_id(moment.device, rule.name, moment.at_s),
        site=moment.device.site,
        domain=moment.device.domain,
        device=moment.device.device,
        rule=rule.name,
        severity=rule.severity,
        state="firing",
        onset_s=moment.at_s,
        at_s=moment.at_s,
        trigger_s=moment.trigger_s,
        score=moment.score,
        summary=summary,
        reasons=reasons,
        model_version=rule.model_version,
    )


def alert_id(device: DeviceId, rule: str, onset_s: float) -> str:
    """Return ten characters of ``a-z2-7`` that name the alert of one onset, the same in every run."""
    digest = hashlib.blake2s(f"{device} {rule} {round(onset_s * 1e6)}".encode()).digest()
    return base64.b32encode(digest)[:10].decode().lower()


def _last_hour(track: _Track, now_s: float) -> list[float]:
    return [fired_s for fired_s in track.fired_s if fired_s > now_s - _HOUR_S]


def _forgettable(rule: Rule, track: _Track, now_s: float) -> bool:
    cooled = track.resolved_s is None or now_s >= track.resolved_s + rule.cooldown_s
    return cooled and not _last_hour(track, now_s)


def _said(words: str) -> Callable[[], tuple[str, tuple[Reason, ...]]]:
    return lambda: (words, ())
