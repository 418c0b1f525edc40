"""Numbers, times and lengths as people read them."""

from __future__ import annotations

import pytest

from console import words


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0 s"),
        (0.42, "0.4 s"),
        (59.0, "59 s"),
        (61.0, "1 min 1 s"),
        (3600.0, "1 h"),
        (90_000.0, "1 d 1 h"),
        (float("nan"), words.NOTHING),
    ],
)
def test_span(seconds: float, text: str) -> None:
    assert words.span(seconds) == text


@pytest.mark.parametrize(
    ("now_s", "text"), [(100.5, "just now"), (130.0, "30 s ago"), (700.0, "10 min ago"), (40.0, "in 60 s")]
)
def test_ago(now_s: float, text: str) -> None:
    assert words.ago(now_s, 100.0) == text


@pytest.mark.parametrize(("size_bytes", "text"), [(12, "12 B"), (2048, "2.0 KiB"), (150 * 2**20, "150 MiB")])
def test_size(size_bytes: float, text: str) -> None:
    assert words.size(size_bytes) == text


def test_day_stands_beside_a_time_only_where_it_is_another() -> None:
    assert words.clock(1_700_000_000.0, 1_700_000_100.0) == "22:13:20"
    assert words.clock(1_700_000_000.0, 1_700_100_000.0) == "14 Nov 22:13"


def test_channel_loses_its_unit_which_stands_apart() -> None:
    assert words.channel("pressure_bar") == "pressure"
    assert words.unit("pressure_bar") == "bar"
    assert words.unit("stock_fraction") == ""
    assert words.channel("something_else") == "something else"
