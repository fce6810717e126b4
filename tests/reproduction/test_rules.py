"""Rules: an interval agrees, disagrees or cannot be judged, and rounding never makes it more certain."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memberscan.evidence.intervals import Interval
from memberscan.reproduction.rules import Rule, above, at_least, different, near, outward

ENDS = st.tuples(st.floats(-1, 1), st.floats(-1, 1)).map(sorted)


def naive(holds: list[bool]) -> str:
    """Return the outcome by trying many values of the interval."""
    return "agrees" if all(holds) else "cannot be judged" if any(holds) else "disagrees"


@given(ENDS, st.floats(-0.9, 0.9))
def test_at_least_and_near_are_those_of_trying_all_values(ends: list[float], bound: float) -> None:
    low, high = ends
    values = np.linspace(low, high, 50)
    values[-1] = high
    found = Interval((low + high) / 2, low, high)
    assert at_least(bound).judge(found) == naive([v >= bound for v in values])
    # Between the values that are tried may be all of the few that agree.
    rule = near(bound)
    spread = [rule.low <= v <= rule.high for v in [*values, min(max(bound, low), high)]]
    assert rule.judge(found) == naive(spread)


@pytest.mark.parametrize(
    ("rule", "low", "high", "outcome"),
    [
        (at_least(0.6), 0.6, 0.7, "agrees"),
        (above(0.5), 0.5, 0.6, "cannot be judged"),
        (above(0.5), 0.3, 0.5, "disagrees"),
        (above(0.5), 0.51, 0.6, "agrees"),
        (near(0.6), 0.55, 0.65, "agrees"),
        (near(0.6), 0.54, 0.65, "cannot be judged"),
        (near(0.6), 0.66, 0.7, "disagrees"),
        (different(), 0.01, 0.3, "agrees"),
        (different(), -0.3, -0.01, "agrees"),
        (different(), -0.05, 0.05, "disagrees"),
        (different(), -0.05, 0.2, "cannot be judged"),
        (different(), 0.01, 0.03, "agrees"),
    ],
)
def test_the_ends_count(rule: Rule, low: float, high: float, outcome: str) -> None:
    assert rule.judge(Interval((low + high) / 2, low, high)) == outcome


@given(ENDS)
def test_rounding_only_widens(ends: list[float]) -> None:
    low, high = ends
    found = outward(Interval((low + high) / 2, low, high))
    assert low - 0.0101 < found.low <= low + 1e-9 and high - 1e-9 <= found.high < high + 0.0101
    assert [round(v, 2) for v in (found.value, found.low, found.high)] == pytest.approx(
        [found.value, found.low, found.high]
    )
    assert outward(found) == found
