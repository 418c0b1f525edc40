"""Books of stock are replayed as they are written: no row shows before its time, receipts follow by arithmetic."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from models.training.recorded import Folder
from models.training.recorded.stock_books import IN_STOCK, PERIOD_S, SALES, TEVEC, Book, held, receipts, tevec, vn2


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """Return a folder with a book of five days, one of them missing, and one of two pairs and three weeks."""
    for name in (TEVEC, IN_STOCK, SALES):
        (tmp_path / name).parent.mkdir(exist_ok=True)
    rows = ["2014-01-01,10,90,1.0", "2014-01-02,20,70,1.0", "2014-01-04,70,0,1.0", "2014-01-05,30,170,1.0"]
    (tmp_path / TEVEC).write_text("\n".join(["data,venda,estoque,preco", *rows]))
    head = "Store,Product,2024-01-01,2024-01-08,2024-01-15"
    (tmp_path / IN_STOCK).write_text(f"{head}\n0,1,True,False,True\n0,2,True,True,True\n")
    (tmp_path / SALES).write_text(f"{head}\n0,1,7.0,0.0,14.0\n0,2,1.0,2.0,3.0\n")
    return Folder(tmp_path, unchecked=True)


def test_a_day_that_is_missing_is_held_over_and_a_row_shows_when_it_is_over(folder: Folder) -> None:
    book = tevec(folder)
    assert book.sold.tolist() == [[10.0, 20.0, 20.0, 70.0, 30.0]]
    np.testing.assert_allclose(book.stock[0], [1.0, 70 / 90, 70 / 90, 0.0, 1.0])
    assert book.out.tolist() == [[False, False, False, True, False]]
    stock = held(book).values[:, 0].reshape(5, 8)
    # of the fourth day, the empty shelf shows in its last report alone
    np.testing.assert_allclose(stock[3], [*[70 / 90] * 7, 0.0], rtol=1e-6)
    np.testing.assert_allclose(stock[4], [*[0.0] * 7, 1.0])


def test_held_sales_make_what_was_sold(folder: Folder) -> None:
    book = vn2(folder)
    samples = held(book)
    assert book.stock.tolist() == [[1.0, 0.0, 1.0]]
    per_min = samples.values[:, 1].reshape(3, 56).sum(axis=1) * (PERIOD_S / 60.0)
    np.testing.assert_allclose(per_min, [7.0, 0.0, 14.0], rtol=1e-6)
    assert np.diff(samples.time_s).tolist() == [PERIOD_S] * 167


def test_receipts_are_what_the_stock_gained_beyond_sales() -> None:
    stock, sold = np.array([100.0, 80.0, 130.0, 120.0]), np.array([0.0, 20.0, 10.0, 5.0])
    assert receipts(stock, sold).tolist() == [0.0, 60.0, -5.0]


def test_a_book_is_out_where_nothing_is_left() -> None:
    book = Book(name="b", start_s=0.0, step_s=86_400.0, stock=np.array([[0.5, 0.0]]), sold=np.zeros((1, 2)))
    assert book.out.tolist() == [[False, True]]
