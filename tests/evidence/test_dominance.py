"""The frontier: equal to its definition, and what dominates with certainty."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from memberscan.evidence.dominance import certainly, dominates, leakage_of, on_frontier
from memberscan.evidence.intervals import Interval

# Few values, so that ties are frequent.
NUMBERS = st.integers(0, 5).map(float)


def naive(error: list[float], leakage: list[float]) -> list[bool]:
    points = list(zip(error, leakage, strict=True))
    return [
        not any(e <= error and leak <= leakage and (e < error or leak < leakage) for e, leak in points)
        for error, leakage in points
    ]


@given(st.lists(st.tuples(NUMBERS, NUMBERS), max_size=12))
def test_the_frontier_is_what_no_point_dominates(points: list[tuple[float, float]]) -> None:
    error, leakage = np.array(points, dtype=float).reshape(-1, 2).T
    found = on_frontier(error, leakage).tolist()
    assert found == naive(error.tolist(), leakage.tolist())
    assert any(found) or not points
    for k, one in enumerate(points):
        assert found[k] == (not any(dominates(*other, *one) for other in points))


def test_an_auc_below_chance_is_no_less_leakage_than_chance() -> None:
    assert leakage_of(np.array([0.4, 0.5, 0.6])).tolist() == [0.5, 0.5, 0.6]


def test_both_differences_must_be_above_zero() -> None:
    shown, not_shown = Interval(2, 1, 3), Interval(2, 0, 4)
    assert certainly(shown, shown)
    assert not certainly(shown, not_shown) and not certainly(not_shown, shown)
