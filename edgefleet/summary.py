"""What a run came to: the figures that the demo prints at its end, for people and as one JSON object."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from contract.topics import DeviceId
from edgefleet.durations import shown
from edgefleet.scoring import Score
from gateway.ports import LedgerLine


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """From handing the deciding sample to the broker to the alert being stored, milliseconds; live part only."""

    p50: float | None
    p99: float | None

    @classmethod
    def of(cls, delays_s: Sequence[float]) -> Latency:
        """Return the percentiles, by nearest rank; ``None`` where no alert arose."""
        return cls(p50=_percentile_ms(delays_s, 0.50), p99=_percentile_ms(delays_s, 0.99))


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """The figures of one run."""

    published: int
    """Distinct samples that the broker acknowledged."""
    stored: int
    lost: int
    quarantined: int
    windows: int
    inferences: int
    alerts: int
    truth: Mapping[str, Score]
    latency_ms: Latency

    def as_dict(self) -> dict[str, Any]:
        """Return the figures under the names that programs read."""
        return {
            "published": self.published,
            "stored": self.stored,
            "lost": self.lost,
            "quarantined": self.quarantined,
            "windows": self.windows,
            "inferences": self.inferences,
            "alerts": self.alerts,
            "truth": {
                domain: {
                    "faults": score.faults,
                    "detected": score.detected,
                    "precision": _rounded(score.precision),
                    "recall": _rounded(score.recall),
                    "median_delay_s": _rounded(score.median_delay_s),
                }
                for domain, score in self.truth.items()
            },
            "latency_ms": {"p50": _rounded(self.latency_ms.p50), "p99": _rounded(self.latency_ms.p99)},
        }

    def render(self) -> Group:
        """Return the figures for a terminal."""
        counts = (
            f"published {self.published:,}   stored {self.stored:,}   lost {self.lost:,}   "
            f"quarantined {self.quarantined:,}\n"
            f"windows {self.windows:,}   inferences {self.inferences:,}   alerts {self.alerts:,}"
        )
        if self.latency_ms.p50 is not None and self.latency_ms.p99 is not None:
            counts += f"\npublish to alert stored {self.latency_ms.p50:.0f} ms median, {self.latency_ms.p99:.0f} ms p99"
        return Group(Text(counts), score_table(self.truth))


def score_table(scores: Mapping[str, Score]) -> Group:
    """Return the scores of the domains as a table (median delay; false alarms a device and day), and what they omit."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))  # frames would not leave it room in 80 columns
    table.add_column("domain")
    for heading in ("faults", "found", "recall", "alerts", "precision", "delay", "false/day"):
        table.add_column(heading, justify="right")
    for domain, score in scores.items():
        table.add_row(
            domain,
            str(score.faults),
            str(score.detected),
            _share(score.recall),
            str(score.alerts),
            _share(score.precision),
            shown(score.median_delay_s),
            _share(score.false_alarms_per_device_day),
        )
    title = Text("Injected faults against the models' alerts:", style="italic")
    return Group(title, table, *(Text(f"{domain}: {_remarks(score)}") for domain, score in scores.items()))


def _remarks(score: Score) -> str:
    """Say what the figures leave out."""
    remarks = [f"{score.device_faults_noticed} of {score.device_faults} device faults noticed by sensor rules"]
    if score.missed:
        remarks.append(f"missed {_tally(score.missed)}")
    if score.false_alarms:
        remarks.append(f"false alarms during {_tally(score.false_alarms)}")
    if score.undetectable:
        remarks.append(f"began too close to the end to count: {score.undetectable}")
    return "; ".join(remarks)


def lost_samples(published: Mapping[DeviceId, int], ledger: Iterable[LedgerLine]) -> int:
    """Return how many acknowledged samples are neither stored nor quarantined.

    Counted twice over, and the worse count holds: by the gateway from the devices' numbers, and here from what the
    broker acknowledged, which also sees a device of which the gateway knows nothing.
    """
    lines = {DeviceId(line.site, line.domain, line.device): line for line in ledger}
    lost = sum(line.lost for device, line in lines.items() if device not in published)
    for device, count in published.items():
        line = lines.get(device)
        lost += count if line is None else max(line.lost, count - line.stored - line.quarantined, 0)
    return lost


def _percentile_ms(delays_s: Sequence[float], share: float) -> float | None:
    if not delays_s:
        return None
    return 1000.0 * sorted(delays_s)[math.ceil(share * len(delays_s)) - 1]


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _tally(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {label}" for label, count in sorted(counts.items(), key=lambda pair: -pair[1]))
