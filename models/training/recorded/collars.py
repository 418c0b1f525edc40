"""SCR neck collars: the activity of 97 cows in steps of two hours over two weeks (MIT, Plenio 2021); no disease label.

With no label, every alarm counts as false. The collar's own unit is none of ours: it is scaled so that the herd's mean
lies where a simulated herd's does.
"""

from __future__ import annotations

import io
import re
import zipfile
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

import numpy as np

from contract.domains import AGRICULTURE
from gateway.inference.shelf import Shelf
from models.training.recorded import Folder
from models.training.recorded.rows import Row
from models.training.recorded.serving import Samples, score

FILES: Final = "livestock_scr_activity/*.xlsx"
PERIOD_S: Final = 7200.0
DAY_S: Final = 86400.0
INDEX_PER_UNIT: Final = 0.007
"""A collar's two hours hold 35 units on average, a simulated cow's activity index is 0.24."""
SPREADSHEET_EPOCH_S: Final = datetime(1899, 12, 30, tzinfo=UTC).timestamp()
DATA: Final = "SCR collars"

_ROW: Final = re.compile(r"<row [^>]*>(.*?)</row>", re.DOTALL)
_CELL: Final = re.compile(r'<c r="([A-Z]+)\d+"[^>]*?( t="s")?><v>([^<]*)</v>')
_TEXT: Final = re.compile(r"<t[^>]*>([^<]*)</t>")


def evaluate(folder: Folder, shelf: Shelf) -> list[Row]:
    """Return how often the shelf alarms a cow of whom it knows the activity alone."""
    samples = read(folder)
    spec = replace(shelf.manifest.window.spec, period_s=PERIOD_S, length_s=2 * PERIOD_S, hop_s=PERIOD_S, lateness_s=0.0)
    found = score(shelf, spec, samples)
    cow_days = len(found.end_s) * PERIOD_S / DAY_S
    raise_at = shelf.manifest.judging.raise_at
    row = Row(
        data=DATA,
        metric="alarmed windows per cow-day",
        int8=float((found.int8 >= raise_at).sum() / cow_days),
        float32=float((found.float32 >= raise_at).sum() / cow_days),
        better="lower",
        naive={"always positive": DAY_S / PERIOD_S},
        note=f"{samples.device.max() + 1} cows, {cow_days:.0f} cow-days, activity alone; no label, all count as false",
    )
    return [row]


def read(folder: Folder) -> Samples:
    """Return the activity of every cow; two sheets that overlap agree, and the later one stands."""
    found: dict[tuple[str, float], float] = {}
    for name in folder.names(FILES):
        for cow, time_s, activity in _rows(folder.read(name)):
            found[cow, time_s] = activity
    cows = {cow: place for place, cow in enumerate(sorted({cow for cow, _ in found}))}
    values = np.full((len(found), len(AGRICULTURE.channels)), np.nan, np.float32)
    values[:, AGRICULTURE.channel_names.index("activity_index")] = np.array(list(found.values())) * INDEX_PER_UNIT
    return Samples(
        device=np.array([cows[cow] for cow, _ in found], np.int64),
        time_s=np.array([time_s for _, time_s in found], np.float64),
        values=values,
    )


def _rows(content: bytes) -> list[tuple[str, float, float]]:
    """Return cow, time and raw activity of a sheet's rows; rows without one of them are left out."""
    with zipfile.ZipFile(io.BytesIO(content)) as book:
        words = _TEXT.findall(book.read("xl/sharedStrings.xml").decode())
        sheet = book.read("xl/worksheets/sheet1.xml").decode()
    rows = []
    for line in _ROW.findall(sheet)[1:]:
        cells = {column: words[int(value)] if shared else value for column, shared, value in _CELL.findall(line)}
        if all(cells.get(column) for column in "BCDE"):
            clock = datetime.strptime(cells["D"], "%I:%M %p").replace(tzinfo=UTC)
            time_s = SPREADSHEET_EPOCH_S + float(cells["C"]) * DAY_S + clock.hour * 3600.0 + clock.minute * 60.0
            rows.append((cells["B"], time_s, float(cells["E"])))
    return rows
