"""round answers multiples of a step."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memberscan.defences import defence_from
from memberscan.errors import BadInputError

from .lab import answers

AGES = st.lists(st.floats(-150, 150), min_size=1, max_size=20)


@given(AGES, st.sampled_from([0.25, 0.5, 1, 2, 5, 1000]))
def test_answers_are_the_nearest_multiples(values: list[float], step: float) -> None:
    found = defence_from(f"round:step={step}").answered(answers(values))
    exact = [(Decimal(v) / Decimal(step)).to_integral_value(ROUND_HALF_EVEN) * Decimal(step) for v in values]
    np.testing.assert_array_equal(found, [float(each) for each in exact])


@given(AGES, st.floats(0.01, 100))
def test_answers_move_by_half_a_step_at_most_and_keep_their_order(values: list[float], step: float) -> None:
    defence = defence_from(f"round:step={step}")
    found = defence.answered(answers(sorted(values)))
    assert (np.abs(found - sorted(values)) <= step / 2 * (1 + 1e-9)).all() and (np.diff(found) >= 0).all()
    np.testing.assert_array_equal(defence.answered(answers(found)), found)


def test_no_sign_is_left_of_a_small_answer() -> None:
    found = defence_from("round:step=1").answered(answers([-0.2, 0.2, -0.0]))
    assert not np.signbit(found).any()


@pytest.mark.parametrize(
    "text", ["round", "round:step=0", "round:step=-1", "round:step=nan", "round:step=inf"]
)
def test_a_step_above_0_is_needed(text: str) -> None:
    with pytest.raises(BadInputError, match="step"):
        defence_from(text)
