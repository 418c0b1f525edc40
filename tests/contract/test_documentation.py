"""What ``docs/wire-contract.md`` says of the channels is what the code has."""

from __future__ import annotations

import re
from pathlib import Path

from contract.domains import DOMAINS

DOCUMENT = Path(__file__).parents[2] / "docs" / "wire-contract.md"
ROW = re.compile(r"\| (?:(\w+) \(\d+ s\))? ?\| `(\w+)` \| ([^|]+) \| (\S+) … (\S+) \|")


def test_document_lists_every_channel_with_its_unit_and_range() -> None:
    rows = [
        (name, unit.strip(), float(low), float(high)) for _, name, unit, low, high in ROW.findall(DOCUMENT.read_text())
    ]
    assert rows == [
        (channel.name, channel.unit, channel.low, channel.high)
        for domain in DOMAINS.values()
        for channel in domain.channels
    ]
