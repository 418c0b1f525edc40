"""Books of stock that are kept once a day or a week: one item of Tevec, 599 store-product pairs of VN2.

No shelf here is made for them: a row is held and reported every three hours until the next one, so that it can be
replayed, and the question is whether the product is out when the next row is written, given that it is in stock now.
Tevec states stock and sales, so receipts follow by arithmetic; VN2 states only whether there was stock. The second half
of the time is scored; what naive rules learn, they learn from the first. Licences are unclear: nothing learns from it.
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

import numpy as np
from numpy.typing import NDArray

from contract.domains import RETAIL
from gateway.frames import Frames
from gateway.inference.shelf import Shelf
from models.training.metrics import auc, average_precision
from models.training.recorded import Folder
from models.training.recorded.rows import Row
from models.training.recorded.serving import Samples, score

TEVEC: Final = "retail_tevec/mock_kaggle.csv"
IN_STOCK: Final = "vn2/first131weeks - Week 0 - In Stock.csv"
SALES: Final = "vn2/first131weeks - Week 0 - 2024-04-08 - Sales.csv"
PERIOD_S: Final = 10_800.0
DAY_S: Final = 86_400.0
EVERY_PAIR: Final = 6
"""Each so-manyth pair of VN2 is replayed: a hundred say as much as six hundred, sooner."""
FULL_OVER: Final = 28
"""Rows over whose highest stock a shelf counts as full, so far."""
Doubles = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Book:
    """Rows of ``d`` products, ``k`` steps each."""

    name: str
    start_s: float
    """Midnight at which the first row's time begins."""
    step_s: float
    stock: Doubles
    """Share of the highest stock of the last rows, or 1 and 0; at the row's end, shape ``(d, k)``."""
    sold: Doubles
    """Units in the row's time, shape ``(d, k)``."""
    cover: Doubles | None = None
    """Rows that the stock would last at the mean sales of the last seven, where it is known."""
    note: str = ""

    @property
    def out(self) -> NDArray[np.bool_]:
        """Whether nothing is left at the end of each row."""
        return self.stock <= 0.0


def evaluate(folder: Folder, shelf: Shelf) -> list[Row]:
    """Return the figures of the books that the folder holds."""
    books = [read(folder) for pattern, read in ((TEVEC, tevec), (IN_STOCK, vn2)) if folder.holds(pattern)]
    return [row for book in books for row in _rows(book, shelf)]


def tevec(folder: Folder) -> Book:
    """Return the one item, a row a day; days that are not there are held over."""
    rows = list(csv.DictReader(io.StringIO(folder.read(TEVEC).decode())))
    start_s = datetime.fromisoformat(f"{rows[0]['data']}T00:00:00+00:00").timestamp()
    day = np.array([round((_unix_s(row["data"]) - start_s) / DAY_S) for row in rows])
    place = np.searchsorted(day, np.arange(day[-1] + 1), side="right") - 1
    stock, sold = (np.array([float(row[name]) for row in rows])[place] for name in ("estoque", "venda"))
    highest = np.array([stock[max(0, k - FULL_OVER) : k + 1].max() for k in range(len(stock))])
    usual = np.array([sold[max(0, k - 6) : k + 1].mean() for k in range(len(sold))])
    return Book(
        name="Tevec",
        start_s=start_s,
        step_s=DAY_S,
        stock=(stock / np.maximum(highest, 1.0))[None],
        sold=sold[None],
        cover=(stock / np.maximum(usual, 1e-9))[None],
        note=f"; on {(receipts(stock, sold) >= 0.0).mean():.0%} of the days no goods vanish",
    )


def receipts(stock: Doubles, sold: Doubles) -> Doubles:
    """Return what came in: the change of stock, and what was sold meanwhile; along the last axis, from its second row.

    Less than none is shrinkage, or a count that was put right.
    """
    came: Doubles = np.diff(stock, axis=-1) + sold[..., 1:]
    return came


def vn2(folder: Folder) -> Book:
    """Return every sixth pair, a row a week."""
    flags, sales = (list(csv.reader(io.StringIO(folder.read(name).decode()))) for name in (IN_STOCK, SALES))
    chosen = slice(1, None, EVERY_PAIR)
    return Book(
        name="VN2",
        start_s=_unix_s(flags[0][2]),
        step_s=7 * DAY_S,
        stock=np.array([[value == "True" for value in row[2:]] for row in flags[chosen]], np.float64),
        sold=np.array([[float(value) for value in row[2:]] for row in sales[chosen]]),
    )


def _unix_s(day: str) -> float:
    return datetime.fromisoformat(f"{day}T00:00:00").replace(tzinfo=UTC).timestamp()


def held(book: Book) -> Samples:
    """Return the rows as reports every :data:`PERIOD_S`: the stock of a row from its end on, its sales meanwhile."""
    each = round(book.step_s / PERIOD_S)
    products, steps = book.stock.shape
    values = np.full((products, steps * each, len(RETAIL.channels)), np.nan, np.float32)
    before = np.concatenate([book.stock[:, :1], book.stock[:, :-1]], axis=1)
    values[:, :, 0] = np.repeat(before, each, axis=1)
    values[:, each - 1 :: each, 0] = book.stock
    values[:, :, 1] = np.repeat(book.sold / (book.step_s / 60.0), each, axis=1)
    times_s = book.start_s + PERIOD_S * np.arange(steps * each)
    return Samples(
        device=np.repeat(np.arange(products), steps * each),
        time_s=np.tile(times_s, products),
        values=values.reshape(-1, len(RETAIL.channels)),
    )


def _rows(book: Book, shelf: Shelf) -> list[Row]:
    steps = book.stock.shape[1]

    def step_of(end_s: Doubles) -> Doubles:
        return (end_s - book.start_s) / book.step_s - 1.0

    def asked(frames: Frames) -> NDArray[np.bool_]:
        step = step_of(frames.end_s)
        whole = np.clip(np.round(step).astype(np.int64), 0, steps - 1)
        inside = (np.abs(step - whole) < 1e-9) & (whole >= steps // 2) & (whole < steps - 1)
        wanted: NDArray[np.bool_] = inside & ~book.out[frames.device, whole]
        return wanted

    spec = replace(shelf.manifest.window.spec.at_period(PERIOD_S), lateness_s=0.0)
    found = score(shelf, spec, held(book), asked)
    step = np.round(step_of(found.end_s)).astype(np.int64)
    label = book.out[found.device, step + 1]
    naive = {name: values[found.device, step].astype(np.float32) for name, values in _naive(book).items()}
    note = f"{len(label):,} rows of {len(book.stock)} products, {int(label.sum())} of them before one that finds none"
    return [
        Row(
            data=f"{book.name}, out at the next row",
            metric=name,
            int8=rank(label, found.int8),
            float32=rank(label, found.float32),
            naive={rule: rank(label, values) for rule, values in naive.items()},
            note=note + book.note,
        )
        for name, rank in (("AUC", auc), ("average precision", average_precision))
    ]


def _naive(book: Book) -> dict[str, Doubles]:
    """Return scores ``(d, k)`` that need no model."""
    steps = book.stock.shape[1]
    past = np.arange(steps) < steps // 2
    comes = np.concatenate([book.out[:, 1:], np.zeros_like(book.out[:, :1])], axis=1)
    begin = np.asarray(book.start_s + book.step_s * np.arange(steps))
    so_far = np.cumsum(book.out, axis=1) / np.arange(1, steps + 1)
    was_out = np.concatenate([np.zeros_like(book.out[:, :1]), book.out[:, :-1]], axis=1)
    rules = {
        "always positive": np.ones_like(book.stock),
        "random": np.random.default_rng(0).random(book.stock.shape),
        "clock only": _by((begin // (30.44 * DAY_S)).astype(np.int64) % 12, comes, past),
        "hour of week": _by((begin // DAY_S).astype(np.int64) % 7, comes, past),
        "persistence": was_out.astype(np.float64),
        "frequency": so_far,
    }
    return rules if book.cover is None else {**rules, "cover by last week's sales": -book.cover}


def _by(part: NDArray[np.int64], comes: NDArray[np.bool_], past: NDArray[np.bool_]) -> Doubles:
    """Return how often the next row finds nothing, by a part of the calendar, learned from the past."""
    share = {
        each: float(comes[:, past & (part == each)].mean()) if (past & (part == each)).any() else 0.0
        for each in np.unique(part).tolist()
    }
    return np.broadcast_to(np.array([share[each] for each in part.tolist()]), comes.shape)
