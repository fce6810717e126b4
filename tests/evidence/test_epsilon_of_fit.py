"""The estimate from two normal distributions, against integration and the formula of equal spreads."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from memberscan.evidence.epsilon_of_fit import delta_of_two_normals, epsilon_of_two_normals
from memberscan.gaussian_privacy import gaussian_epsilon


@given(st.floats(-3, 3), st.floats(0.3, 2), st.floats(0.3, 2), st.floats(0, 3))
def test_delta_is_the_integral_of_what_is_above(
    mean: float, spread: float, other: float, epsilon: float
) -> None:
    x = np.linspace(-25, 25, 20_001)
    above = stats.norm.pdf(x, mean, spread) - np.exp(epsilon) * stats.norm.pdf(x, 0, other)
    expected = np.maximum(above, 0).sum() * (x[1] - x[0])
    assert delta_of_two_normals((mean, spread), (0.0, other), epsilon) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("mu", [0.0, 0.5, 2.0, 6.0])
@pytest.mark.parametrize("scale", [0.01, 1.0])
def test_with_equal_spreads_it_is_that_of_a_gaussian_mechanism(mu: float, scale: float) -> None:
    found = epsilon_of_two_normals(mu * scale, scale, scale, 1e-5)
    assert found == pytest.approx(gaussian_epsilon(mu, 1e-5), abs=1e-6)


@given(st.floats(0, 4), st.floats(0.5, 2), st.sampled_from([1e-2, 1e-5, 1e-8]))
def test_it_is_the_smallest_that_covers_both_directions(mean: float, spread: float, delta: float) -> None:
    epsilon = epsilon_of_two_normals(mean, spread, 1.0, delta)
    pairs = ((mean, spread), (0.0, 1.0)), ((0.0, 1.0), (mean, spread))
    deltas = [delta_of_two_normals(*pair, epsilon) for pair in pairs]
    assert max(deltas) <= delta * (1 + 1e-4) or epsilon == 0
    assert epsilon == 0 or max(deltas) == pytest.approx(delta, rel=1e-3)


def test_sides_that_hardly_overlap_have_no_finite_epsilon() -> None:
    assert epsilon_of_two_normals(1000.0, 1.0, 1.0, 1e-5) == np.inf
    assert epsilon_of_two_normals(0.0, 1.0, 1.0, 1e-5) == 0
