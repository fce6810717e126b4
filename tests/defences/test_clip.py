"""clip limits answers to a range."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memberscan.defences import defence_from
from memberscan.errors import BadInputError

from .lab import answers


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=20), st.floats(-50, 50), st.floats(0.01, 100))
def test_answers_are_the_nearest_of_the_range(values: list[float], low: float, width: float) -> None:
    high = low + width
    found = defence_from(f"clip:low={low},high={high}").answered(answers(values))
    np.testing.assert_array_equal(found, [min(max(value, low), high) for value in values])


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("clip", "low is missing"),
        ("clip:low=20", "high is missing"),
        ("clip:low=80,high=20", "low must be below high"),
        ("clip:low=20,high=20", "low must be below high"),
        ("clip:low=nan,high=20", "low is 'nan'"),
        ("clip:low=20,high=inf", "high is 'inf'"),
    ],
)
def test_a_range_is_needed(text: str, says: str) -> None:
    with pytest.raises(BadInputError, match=says):
        defence_from(text)
