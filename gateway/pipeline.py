"""From a batch of messages to its outputs: pure, without clock or I/O.

    messages → intake → ledger → windows → features → score → judge → outputs
                                    └───── sensors ───────────┘
    operators' answers ─────────────────────────────────────────▶ outputs

Live traffic, replay after a crash and the offline backtest all call :meth:`Pipeline.process`. State is a pure function
of the batches: ``dump`` and ``load`` make it a snapshot.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import isnan
from typing import Final

import msgspec

from contract.answers import Acknowledgement
from contract.messages import Alert
from contract.points import acknowledgement_point
from gateway.domain_pipeline import DomainPipeline, Plan, Statistics
from gateway.intake import Intake, IntakeLimits
from gateway.ports import ANSWER, Batch, Outputs
from gateway.sources.router import Sources

_ARRAY_OF_6: Final = 0x96
_MAP_16: Final = 0xDE
_encoder = msgspec.msgpack.Encoder()
_decode_answer = msgspec.json.Decoder(Acknowledgement).decode


class _State(msgspec.Struct, array_like=True):
    messages: int
    quarantined: int
    intake: bytes
    domains: dict[str, bytes]
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

    def dump(self) -> bytearray:
        """Return the whole state."""
        state = bytearray((_ARRAY_OF_6,))
        for part in (self._messages, self._quarantined, self._intake.dump()):
            _encoder.encode_into(part, state, -1)
        # one domain after the other, so that the state of ten thousand devices is in memory once more, and not twice
        state += bytes((_MAP_16,)) + len(self._domains).to_bytes(2, "big")
        for name, domain in self._domains.items():
            _encoder.encode_into(name, state, -1)
            _encoder.encode_into(domain.dump(), state, -1)
        for last in (self._carried, self.answered):
            _encoder.encode_into(last, state, -1)
        return state

    def load(self, state: bytes | bytearray) -> None:
        """Take over a state that :meth:`dump` returned, of other plans too; a domain that is new starts empty.

        Where windows are cut otherwise now they begin anew; samples that waited in open ones go out as they are.
        """
        loaded = msgspec.msgpack.decode(state, type=_State)
        self._messages, self._quarantined = loaded.messages, loaded.quarantined
        self._carried, self.answered = loaded.carried, loaded.answered
        self._intake.load(loaded.intake)
        for name, domain in self._domains.items():
            if name in loaded.domains:
                domain.load(loaded.domains[name], self._intake.devices(name), self._carried)

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
