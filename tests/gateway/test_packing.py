"""Packed rows say what the numbers said, whichever of them are missing."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from gateway.packing import Packer

NAMES = ("a_mean", "a_std", "score")


def unpacked(table: list[list[float]]) -> list[dict[str, object]]:
    packer = Packer(NAMES, constants={"model_version": "1.2.0"}, where="score")
    return [msgspec.msgpack.decode(row) for row in packer.pack(np.array(table, np.float32))]


def test_rows_hold_every_number_as_float32_has_it() -> None:
    assert unpacked([[0.1, -2.5, 0.75], [1e30, 0.0, 1.0]]) == [
        {"a_mean": float(np.float32(0.1)), "a_std": -2.5, "score": 0.75, "model_version": "1.2.0"},
        {"a_mean": float(np.float32(1e30)), "a_std": 0.0, "score": 1.0, "model_version": "1.2.0"},
    ]


def test_missing_numbers_are_left_out_and_rows_stay_in_order() -> None:
    """Constants go with the number that they belong to: no version of a model without its score."""
    nan = float("nan")
    assert unpacked([[1.0, nan, 0.5], [nan, 2.0, nan], [3.0, nan, 0.25], [nan, nan, nan]]) == [
        {"a_mean": 1.0, "score": 0.5, "model_version": "1.2.0"},
        {"a_std": 2.0},
        {"a_mean": 3.0, "score": 0.25, "model_version": "1.2.0"},
        {},
    ]


@pytest.mark.parametrize("names", [3, 40, 300])
def test_any_number_of_names_can_be_packed(names: int) -> None:
    packer = Packer([f"n{number}" for number in range(names)], constants={}, where="n0")
    row = np.arange(names, dtype=np.float32)[None]
    assert msgspec.msgpack.decode(packer.pack(row)[0]) == {f"n{number}": float(number) for number in range(names)}


def test_no_rows_give_none() -> None:
    assert Packer(NAMES, constants={}, where="score").pack(np.empty((0, 3), np.float32)) == []


def test_more_patterns_than_are_kept_come_out_right() -> None:
    """Templates are kept for some patterns only; the memory of hostile devices is bounded, their rows are right."""
    width = 9
    packer = Packer([f"n{number}" for number in range(width)], constants={}, where="n0")
    bits = (np.arange(2**width)[:, None] >> np.arange(width)) & 1
    rows = packer.pack(np.where(bits, np.float32(1), np.float32(np.nan)))
    assert [sum(1 << int(name[1:]) for name in msgspec.msgpack.decode(row)) for row in rows] == list(range(2**width))
