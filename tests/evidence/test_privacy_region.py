from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from memberscan.evidence.privacy_region import epsilons_at, largest_tpr, region_test, smallest_fpr
from memberscan.gaussian_privacy import gaussian_epsilon

from .mechanisms import gaussian, randomized_response

rates, epsilons, deltas = st.floats(0, 1), st.floats(0, 12), st.floats(0, 0.9)


def of_the_worst_mechanism(fpr: float, epsilon: float, delta: float) -> float:
    """Return the power of the best test of the mechanism that every other one of the guarantee hides in.

    Four answers; the first is possible only without somebody, the last only with (Kairouz, Oh and Viswanath).
    """
    q = np.exp(epsilon) / (1 + np.exp(epsilon))
    without = np.array([delta, (1 - delta) * q, (1 - delta) * (1 - q), 0])
    # The likeliest answers "in" first.
    return float(np.interp(fpr, np.r_[0, without[::-1].cumsum()], np.r_[0, without.cumsum()]))


@given(rates, epsilons, deltas)
def test_the_region_is_that_of_the_worst_mechanism(fpr, epsilon, delta):
    # At a rate of 0 the curve of the mechanism jumps to delta, which interpolation cannot say.
    expected = max(of_the_worst_mechanism(fpr, epsilon, delta), delta)
    assert float(largest_tpr(fpr, epsilon, delta)) == pytest.approx(expected, abs=1e-9)


@given(rates, epsilons, deltas)
def test_the_inverse_is_the_smallest_rate_that_is_allowed(tpr, epsilon, delta):
    fpr = float(smallest_fpr(tpr, epsilon, delta))
    assert 0 <= fpr <= tpr
    assert float(largest_tpr(fpr, epsilon, delta)) >= tpr - 1e-9
    if fpr > 1e-6:
        assert float(largest_tpr(fpr - 1e-6, epsilon, delta)) < tpr


@given(rates, rates, deltas)
def test_epsilon_at_two_rates_is_the_smallest_that_allows_them(tpr, fpr, delta):
    epsilon = float(np.maximum(*epsilons_at(tpr, fpr, delta)))
    assert epsilon >= 0
    if epsilon < 500:
        assert float(largest_tpr(fpr, epsilon, delta)) >= tpr - 1e-9
    if 1e-3 < epsilon < 500:
        said_in, said_out = np.exp(epsilon - 1e-3) * fpr + delta, np.exp(epsilon - 1e-3) * (1 - tpr) + delta
        assert tpr > said_in or 1 - fpr > said_out


def test_the_ends_of_the_region():
    assert float(largest_tpr(0.0, 3.0, 0.0)) == 0
    assert float(largest_tpr(0.2, 0.0, 0.0)) == pytest.approx(0.2)
    assert float(largest_tpr(0.2, np.inf, 0.0)) == float(largest_tpr(1.0, 0.0, 0.5)) == 1
    assert [float(e) for e in epsilons_at(0.5, 0.0, 0.0)] == [np.inf, pytest.approx(np.log(2))]
    assert [float(e) for e in epsilons_at(1e-6, 0.0, 1e-5)] == [0, 0]


@pytest.mark.parametrize("epsilon", [0.0, 1.0, 4.0])
@pytest.mark.parametrize("thresholds", [None, [0.5], [-0.5, 0.5]])
def test_a_true_guarantee_is_seldom_called_broken(epsilon, thresholds):
    rng, runs = np.random.default_rng([7, int(epsilon)]), 400
    broken = sum(
        region_test(
            *randomized_response(rng, 300, epsilon), epsilon=epsilon, delta=0.0, thresholds=thresholds
        ).broken
        for _ in range(runs)
    )
    assert stats.binomtest(broken, runs, 0.05, "greater").pvalue > 1e-3


def test_a_person_who_is_in_twice_breaks_the_guarantee_of_one_record():
    """Two records of a Gaussian mechanism, each with mu 1, have mu 2."""
    rng, epsilon = np.random.default_rng(1), gaussian_epsilon(1.0, 1e-5)
    scores = gaussian(rng, 4000, 1.0)
    assert not region_test(*scores, epsilon=epsilon, delta=1e-5).broken
    found = region_test(*gaussian(rng, 400_000, 2.0), epsilon=epsilon, delta=1e-5)
    assert found.broken and found.tpr > found.allowed
    assert found.allowed == float(largest_tpr(found.fpr, epsilon, 1e-5))


def test_either_inequality_can_be_the_broken_one():
    """A few members whom nothing else resembles, and a few non-members likewise."""
    rng = np.random.default_rng(2)
    plain = rng.normal(size=1000)
    exposed = np.where(rng.random(1000) < 0.3, 50, rng.normal(size=1000))
    found = region_test(exposed, plain, epsilon=1.0, delta=1e-5, thresholds=[10.0])
    assert (found.broken, found.side) == (True, "in")
    mirrored = region_test(-plain, -exposed, epsilon=1.0, delta=1e-5, thresholds=[-10.0])
    assert (mirrored.broken, mirrored.side) == (True, "out")
    assert mirrored.tpr > mirrored.allowed
    assert mirrored.tpr == pytest.approx(1 - found.fpr, abs=1e-12)


@given(st.integers(0, 2**32 - 1), st.floats(0, 3), st.floats(0, 0.2))
def test_broken_means_beyond_the_region(seed, epsilon, delta):
    scores = randomized_response(np.random.default_rng(seed), 400, 2.5)
    found = region_test(*scores, epsilon=epsilon, delta=delta, thresholds=[0.5])
    assert found.broken == (found.tpr > found.allowed)
