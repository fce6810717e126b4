"""Rejections against loops over their formulas, and the search against grids."""

from __future__ import annotations

from functools import partial
from math import comb, exp

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from memberscan.evidence.one_run_rejection import largest_rejected, p_values, rejected_by_curve
from memberscan.evidence.privacy_region import smallest_fpr
from memberscan.gaussian_privacy import smallest_fpr_gaussian

counts = st.integers(1, 40).flatmap(
    lambda canaries: st.integers(1, canaries).flatmap(
        lambda guesses: st.tuples(st.just(canaries), st.just(guesses), st.integers(0, guesses))
    )
)


def naive_p(epsilon, canaries, guesses, correct, delta):
    """Return the p-value with sums over binomial terms, and i up to the number of canaries."""
    q = exp(epsilon) / (1 + exp(epsilon))

    def at_least(v):
        terms = range(max(v, 0), guesses + 1)
        return sum(comb(guesses, k) * q**k * (1 - q) ** (guesses - k) for k in terms)

    slope = max((at_least(correct - i) - at_least(correct)) / i for i in range(1, canaries + 1))
    return min(1, at_least(correct) + 2 * canaries * delta * max(slope, 0))


def naive_rejection(value, canaries, guesses, correct, alpha, curve):
    """Follow the recursion for one parameter, without an early end."""
    right, wrong = alpha * correct / canaries, alpha * (guesses - correct) / canaries
    for i in reversed(range(correct)):
        larger = max(wrong, curve(right, value))
        right, wrong = min(right + i / (guesses - i) * (larger - wrong), 1), larger
    return right + wrong > guesses / canaries


@given(counts, st.floats(0, 6), st.sampled_from([0.0, 1e-5, 1e-2, 0.3]))
def test_p_values_against_sums(numbers, epsilon, delta):
    found = p_values(np.array([epsilon, 0.0]), *numbers, delta)
    assert found[0] == pytest.approx(naive_p(epsilon, *numbers, delta), abs=1e-9)
    assert found[1] == pytest.approx(naive_p(0.0, *numbers, delta), abs=1e-9)


@given(counts, st.floats(0, 6), st.floats(0.001, 0.3))
def test_rejections_by_a_curve_against_a_loop(numbers, parameter, alpha):
    def gaussian(tpr, mu):
        return stats.norm.cdf(stats.norm.ppf(tpr) - mu)

    def approximate(tpr, epsilon):
        return max(0, (tpr - 0.01) / exp(epsilon), 1 - 0.01 - exp(epsilon) * (1 - tpr))

    values = np.array([parameter, parameter / 2])
    for curve, naive in ((smallest_fpr_gaussian, gaussian), (partial(smallest_fpr, delta=0.01), approximate)):
        found = rejected_by_curve(values, *numbers, alpha, curve)
        assert found.tolist() == [naive_rejection(v, *numbers, alpha, naive) for v in values]


@given(st.floats(0, 50), st.floats(0, 50))
def test_the_search_finds_the_end_of_an_interval(end, start):
    found = largest_rejected(lambda values: values <= end, start)
    assert found == pytest.approx(max(start, end) if start <= end else start, abs=1e-6)
    assert found <= end or found == start


@pytest.mark.parametrize("delta", [0.0, 1e-4])
def test_the_search_finds_what_a_grid_finds(delta):
    grid = np.arange(0, 8, 0.001)
    for numbers in [(200, 60, 55), (50, 50, 40), (100, 10, 10), (40, 40, 20)]:
        accepted = [naive_p(e, *numbers, delta) > 0.05 for e in grid[::50]]
        assert accepted == sorted(accepted)
        rejected = p_values(grid, *numbers, delta) <= 0.05
        expected = grid[rejected].max(initial=0.0)
        found = largest_rejected(lambda values, n=numbers: p_values(values, *n, delta) <= 0.05)
        assert found == pytest.approx(expected, abs=0.0011)


def test_without_right_guesses_nothing_is_rejected():
    assert p_values(np.array([0.0]), 30, 10, 0, 0.01)[0] == 1
    assert not rejected_by_curve(np.array([0.0]), 30, 10, 0, 0.05, smallest_fpr_gaussian)[0]
