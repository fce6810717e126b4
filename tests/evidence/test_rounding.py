"""Rounding costs little, keeps the side of a decision, and tells no more than the error bears."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memberscan.evidence.rounding import FINEST, Measured, floored, rounded, rounded_p, step_below

fractions = st.floats(0, 1)
errors = st.floats(1e-6, 50)


@pytest.mark.parametrize(
    ("error", "step"),
    [
        (0.0, 0.001),
        (0.0019, 0.001),
        (0.002, 0.002),
        (0.0499, 0.02),
        (0.05, 0.05),
        (0.1, 0.1),
        (1.7, 1),
        (7, 5),
    ],
)
def test_a_step_is_the_greatest_of_the_series_below_the_error(error: float, step: float):
    assert step_below(error) == pytest.approx(step)


@given(errors)
def test_a_step_is_of_the_size_of_the_error(error: float):
    step = step_below(error)
    assert step == FINEST or (0.4 * error <= step * (1 + 1e-9) and step <= error * (1 + 1e-8))


@given(fractions, errors)
def test_a_rounded_number_is_near_and_rounding_again_changes_nothing(value: float, error: float):
    step = step_below(error)
    result = rounded(value, step)
    assert abs(result - value) <= step / 2 + 1e-9
    assert rounded(result, step) == result


@given(fractions, st.floats(1e-6, 0.3))
def test_no_bound_changes_its_side_of_chance(value: float, error: float):
    step = step_below(error)
    for result in (rounded(value, step, side=0.5), floored(value, step, side=0.5)):
        assert np.sign(result - 0.5) == np.sign(value - 0.5)


@given(fractions, fractions, st.floats(1e-6, 0.3))
def test_rounding_keeps_the_order(one: float, other: float, error: float):
    low, high = sorted((one, other))
    step = step_below(error)
    assert rounded(low, step, side=0.5) <= rounded(high, step, side=0.5)
    assert floored(low, step, side=0.5) <= floored(high, step, side=0.5)


@given(fractions, st.floats(1e-6, 0.3))
def test_at_least_is_never_more(value: float, error: float):
    assert floored(value, step_below(error)) <= value + 1e-9


@pytest.mark.parametrize(
    ("p", "shown"),
    [
        (1.0, 1.0),
        (0.5, 0.7),
        (0.49, 0.3),
        (0.2, 0.3),
        (0.05, 0.07),
        (0.0499, 0.03),
        (0.01, 0.015),
        (0.005, 0.007),
    ],
)
def test_p_values_are_told_by_their_stretch(p: float, shown: float):
    assert rounded_p(p) == shown


@given(st.floats(1e-5, 1))
def test_p_values_keep_their_side_of_every_usual_level(p: float):
    for level in (0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.001):
        # Next to a level the last bits decide.
        if abs(p - level) > 1e-9:
            assert (rounded_p(p) < level) == (p < level)


@given(st.floats(-90, 90), errors)
def test_a_measured_number_is_a_number_and_keeps_its_error(value: float, error: float):
    number = Measured(value, error, finest=0.1)
    assert number == value and (number.error, number.finest) == (error, 0.1)
    assert type(number + 0.0) is float
