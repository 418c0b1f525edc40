"""Times as recorded files write them."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import pytest

from simulator.timestamps import recognise

UTC = ZoneInfo("UTC")
AT_S = 1581168647.0  # 2020-02-08 13:30:47 UTC


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2020-02-08 13:30:47", AT_S),
        ("2020-02-08T13:30:47Z", AT_S),
        ("2020-02-08T14:30:47+01:00", AT_S),
        ("2020-02-08T13:30:47.5", AT_S + 0.5),
        ("2020-02-08", AT_S - 48647.0),
        ("1581168647", AT_S),
        ("1581168647.25", AT_S + 0.25),
        ("1581168647000", AT_S),
        ("1581168647000000000", AT_S),
        ("02/08/2020 13:30:47", AT_S),
        ("2/8/2020 13:30", AT_S - 47.0),
        ("08.02.2020 13:30:47", AT_S),
        ("2020/02/08 13:30:47", AT_S),
        ("2020.02.08.13.30.47", AT_S),
    ],
)
def test_a_time_is_read_in_the_format_it_is_written_in(text: str, seconds: float) -> None:
    found = recognise([text])
    assert found is not None
    assert found.seconds(text, UTC) == seconds


def test_a_day_above_twelve_tells_day_and_month_apart() -> None:
    texts = ["01/02/2020 00:00", "25/02/2020 00:00"]
    found = recognise(texts)
    assert found is not None
    assert [found.seconds(text, UTC) for text in texts] == [1580515200.0, 1582588800.0]


@pytest.mark.parametrize("texts", [[], ["1.5", "2.5"], ["red", "green"], [""]])
def test_what_is_no_time_is_not_taken_for_one(texts: list[str]) -> None:
    assert recognise(texts) is None
