"""Row metrics follow their definitions."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from models.training.metrics import auc, average_precision, f1, rates

ROWS = st.lists(st.tuples(st.booleans(), st.integers(0, 4)), min_size=1, max_size=40)


def arrays(rows: list[tuple[bool, int]]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([row[0] for row in rows]), np.array([row[1] for row in rows], np.float32)


@given(ROWS)
def test_auc_is_the_share_of_pairs_in_the_right_order(rows: list[tuple[bool, int]]) -> None:
    label, score = arrays(rows)
    pairs = [(p > n) + 0.5 * (p == n) for p in score[label] for n in score[~label]]
    np.testing.assert_allclose(auc(label, score), np.mean(pairs) if pairs else 0.5)


@given(ROWS)
def test_average_precision_sums_precision_over_steps_of_recall(rows: list[tuple[bool, int]]) -> None:
    label, score = arrays(rows)
    total, recall_before = 0.0, 0.0
    for bound in sorted(set(score.tolist()), reverse=True):
        raised = score >= bound
        recall = (label & raised).sum() / max(label.sum(), 1)
        total += (label & raised).sum() / raised.sum() * (recall - recall_before)
        recall_before = recall
    np.testing.assert_allclose(average_precision(label, score), total, atol=1e-12)


@given(ROWS)
def test_f1_and_rates_count_rows(rows: list[tuple[bool, int]]) -> None:
    label, score = arrays(rows)
    raised = score >= 2
    right, wrong = sum(label & raised), sum(~label & raised)
    recall, false_rate = rates(label, raised)
    assert recall == right / max(sum(label), 1)
    assert false_rate == wrong / max(sum(~label), 1)
    precision = right / max(sum(raised), 1)
    expected = 2 * precision * recall / (precision + recall) if right else 0.0
    np.testing.assert_allclose(f1(label, raised), expected)
