"""From a batch of messages to its outputs: pure, without clock or I/O.

    messages → intake → ledger → windows → features → score → judge → outputs
                                    └───── sensors ───────────┘
    operators' answers ─────────────────────────────────────────▶ outputs

Live traffic, replay after a crash and the offline backtest all call :meth:`Pipeline.process`. State is a pure function
of the batches: ``dump`` and ``load`` make it a snapshot.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from math import isnan
from operator import itemgetter

import msgspec

from contract.answers import Acknowledgement
from contract.messages import Alert
from contract.points import acknowledgement_point
from gateway.domain_pipeline import DomainPipeline, Plan, Statistics
from gateway.intake import Intake, IntakeLimits
from gateway.ports import ANSWER, Batch, Outputs
from gateway.sources.router import Sources

_encode = msgspec.msgpack.Encoder().encode
_decode_of_domain = msgspec.msgpack.Decoder(tuple[str, bytes]).decode
_decode_answer = msgspec.json.Decoder(Acknowledgement).decode


class _Head(msgspec.Struct, array_like=True):
    """The first part of the state."""

    messages: int
    quarantined: int
    intake: bytes
    carried: Outputs
    answered: int = 0


class Pipeline:
    """All domains of one gateway."""

    def __init__(self, plans: Sequence[Plan], limits: IntakeLimits, sources: Sources | None = None) -> None:
        """Start with no device."""
        self._intake = Intake({plan.domain.name: plan.domain for plan in plans}, limits, sources)
        self._domains = {plan.domain.name: DomainPipeline(plan) for plan in plans}
        self._messages = 0
        self._quarantined = 0
        self._carried = Outputs()
        """What a change of plans gave; it goes out with the next batch."""
        self.answered = 0
        """Number of the newest answer of an operator that went through."""

    def process(self, batch: Batch) -> Outputs:
        """Return what a batch gives. A batch without messages only lets time pass."""
        if batch.messages and batch.messages[0][0] == ANSWER:
            return self._answer(batch)
        taken = self._intake.take(batch)
        outputs, self._carried = self._carried, Outputs()
        outputs.quarantined = taken.quarantined
        self._messages += len(batch.messages)
        self._quarantined += len(taken.quarantined)
        for state in taken.states:
            self._domains[state.device.domain].state(state, self._intake.listening_s)
        for name, domain in self._domains.items():
            devices = self._intake.devices(name)
            columns = taken.columns.get(name)
            if columns is not None:
                domain.clocks(columns, batch.received_s, gateway_in_doubt=self._intake.in_doubt)
            domain.process(columns, taken.refusals.get(name), devices, outputs)
            domain.silence(self._intake.listening_s, self._intake.heard_s(name), devices, outputs)
            domain.settle(devices, outputs, everything=not batch.messages)
        return outputs

    def _answer(self, batch: Batch) -> Outputs:
        """Return the points of operators' answers; no time passes over them, for nobody listened meanwhile."""
        given = [_decode_answer(payload) for _, payload in batch.messages]
        self.answered = given[-1].number
        return Outputs(points=[acknowledgement_point(one) for one in given])

    def flush(self) -> Outputs:
        """Close every window that holds a sample: the end of an offline run."""
        outputs = Outputs()
        for name, domain in self._domains.items():
            domain.flush(self._intake.devices(name), outputs)
        return outputs

    def open_alerts(self) -> list[Alert]:
        """Return the alerts that are firing."""
        return [alert for domain in self._domains.values() for alert in domain.judge.open_alerts()]

    @property
    def devices(self) -> int:
        """Number of devices seen so far."""
        return sum(len(self._intake.devices(name)) for name in self._domains)

    def newest_s(self) -> dict[str, float]:
        """Return the newest measurement time of each domain that has any, Unix seconds."""
        newest = {name: domain.newest_s for name, domain in self._domains.items()}
        return {name: at_s for name, at_s in newest.items() if not isnan(at_s)}

    def statistics(self) -> Statistics:
        """Return what went through so far."""
        parts = [domain.statistics for domain in self._domains.values()]
        return Statistics(
            self._messages,
            sum(part.samples for part in parts),
            self._quarantined,
            sum(part.windows for part in parts),
            sum(part.insufficient for part in parts),
            sum(part.inferences for part in parts),
            sum(part.alerts for part in parts),
        )

    def dump(self) -> Iterator[bytes]:
        """Yield the whole state in parts of bounded size; nothing may be processed before the last one.

        Whoever writes each part before taking the next has the state of ten thousand devices in memory once.
        """
        yield _encode(_Head(self._messages, self._quarantined, self._intake.dump(), self._carried, self.answered))
        for name, domain in self._domains.items():
            for part in domain.dump():
                yield _encode((name, part))

    def load(self, parts: Iterable[bytes]) -> None:
        """Take over a state that :meth:`dump` yielded, of other plans too; a domain that is new starts empty.

        Where windows are cut otherwise now they begin anew; samples that waited in open ones go out as they are.
        """
        parts = iter(parts)
        head = msgspec.msgpack.decode(next(parts), type=_Head)
        self._messages, self._quarantined = head.messages, head.quarantined
        self._carried, self.answered = head.carried, head.answered
        self._intake.load(head.intake)
        for name, of_domain in groupby(map(_decode_of_domain, parts), key=itemgetter(0)):
            if name in self._domains:
                own = (part for _, part in of_domain)
                self._domains[name].load(own, self._intake.devices(name), self._carried)

    def change(self, plans: Sequence[Plan], limits: IntakeLimits, sources: Sources) -> None:
        """Go on with other plans from the state as it is, between two batches.

        Windows that cannot go on are closed and judged as they are, so that none is lost; what they give goes out with
        the next batch. This object stays the same one, for whoever holds it.
        """
        fresh = Pipeline(plans, limits, sources)
        for name, domain in self._domains.items():
            if not domain.goes_on_in(fresh._domains.get(name)):
                domain.give_up_windows(self._intake.devices(name), self._carried)
            if name not in fresh._domains:
                self._carried.alerts += domain.judge.retire(everything=True)
        fresh.load(self.dump())
        self.__dict__.update(fresh.__dict__)
