"""State in parts: what is cut is joined again, and is never in memory a second time."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from gateway import state_parts
from gateway.journal.sqlite import SqliteJournal

SHAPES = arrays.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=4)
ARRAYS = st.dictionaries(
    st.text(max_size=5), SHAPES.flatmap(lambda shape: arrays.arrays(st.sampled_from(("<f8", "<u4", "|b1")), shape))
)


@given(ARRAYS)
def test_arrays_come_back_as_they_were(found: dict[str, np.ndarray]) -> None:
    again = state_parts.joined(state_parts.cut(found))
    assert list(again) == list(found)
    for name, array in found.items():
        assert (again[name].dtype, again[name].shape) == (array.dtype, array.shape)
        assert again[name].tobytes() == array.tobytes()


def test_large_arrays_are_cut_into_parts_of_bounded_size() -> None:
    found = {"wide": np.arange(3e6).reshape(-1, 1000), "long": np.arange(2e6)}
    sizes = [len(part) for part in state_parts.cut(found)]
    assert max(sizes) < 1.1 * state_parts.PART_BYTES
    assert sum(sizes) < 1.01 * sum(array.nbytes for array in found.values())


def test_snapshot_of_a_large_state_takes_the_memory_of_a_few_parts(tmp_path: Path) -> None:
    journal, state = SqliteJournal(tmp_path / "j.db"), {"large": np.ones((1000, 4000))}
    tracemalloc.start()
    try:
        journal.save_snapshot(1, state_parts.cut(state))
        _, most_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        journal.close()
    assert most_bytes < state["large"].nbytes / 32  # four parts, and whatever else the process does meanwhile
