from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.optimize import brentq
from scipy.special import ndtr

from memberscan.gaussian_privacy import gaussian_epsilon, gaussian_mu, log_delta, smallest_fpr_gaussian


@pytest.mark.parametrize("mu", [0.3, 1.0, 2.5])
@pytest.mark.parametrize("epsilon", [0.0, 0.5, 3.0])
def test_delta_is_the_integral_of_what_one_law_has_beyond_the_other(mu, epsilon):
    x = np.linspace(-12, 15, 400_001)
    beyond = np.maximum(stats.norm.pdf(x - mu) - np.exp(epsilon) * stats.norm.pdf(x), 0)
    assert np.exp(log_delta(epsilon, mu)) == pytest.approx(np.trapezoid(beyond, x), abs=1e-8)


@given(st.floats(0.01, 8), st.floats(1e-12, 0.5))
def test_epsilon_and_delta_are_inverse(mu, delta):
    epsilon = gaussian_epsilon(mu, delta)
    if epsilon > 0:
        assert log_delta(epsilon, mu) == pytest.approx(np.log(delta), abs=1e-6)
    else:
        assert 2 * stats.norm.cdf(mu / 2) - 1 <= delta * (1 + 1e-9)


def test_a_grid_finds_the_same_epsilon():
    grid = np.linspace(0, 10, 20_001)
    for mu, delta in [(1.0, 1e-5), (0.5, 1e-3), (1.5, 0.05)]:
        enough = [epsilon for epsilon in grid if log_delta(epsilon, mu) <= np.log(delta)]
        assert gaussian_epsilon(mu, delta) == pytest.approx(enough[0], abs=5e-4)


def test_the_ends():
    assert gaussian_epsilon(0.0, 1e-5) == gaussian_epsilon(-1.0, 1e-5) == gaussian_epsilon(1e-6, 1e-5) == 0
    assert log_delta(800.0, 0.01) == -np.inf or log_delta(800.0, 0.01) < -1e6
    assert 1000 < gaussian_epsilon(45.0, 1e-5) < 1300


@given(st.floats(0.001, 0.999), st.floats(0, 6))
def test_the_curve_is_the_power_of_a_test_of_two_normal_laws(fpr, mu):
    tpr = stats.norm.sf(stats.norm.isf(fpr) - mu)
    assert float(smallest_fpr_gaussian(np.array(tpr), mu)) == pytest.approx(fpr, rel=1e-6, abs=1e-9)


@given(st.floats(1e-3, 1e4), st.floats(1e-12, 0.5))
def test_the_largest_mu_for_an_epsilon_gives_that_epsilon(epsilon, delta):
    mu = gaussian_mu(epsilon, delta)
    assert gaussian_epsilon(mu, delta) <= epsilon * (1 + 1e-9)
    assert gaussian_epsilon(mu * 1.001, delta) > epsilon


@pytest.mark.parametrize("rate", [0.05, 0.3, 0.95])
@pytest.mark.parametrize("noise", [0.5, 1.0, 3.0])
@pytest.mark.parametrize("delta", [1e-5, 1e-3])
def test_a_step_that_draws_people_leaks_no_more_than_its_gaussian_curve(
    rate: float, noise: float, delta: float
) -> None:
    """One step of dp-sgd: bounds that take the curve of a Gaussian mechanism are not too large for it.

    The curve is that with the epsilon of the step at the same delta. It is compared up to delta.
    """
    threshold = np.linspace(-30 * noise, 1 + 30 * noise, 20_001)
    fpr = ndtr(-threshold / noise)
    tpr = (1 - rate) * fpr + rate * ndtr((1 - threshold) / noise)

    def beyond(epsilon: float) -> float:
        grown = np.exp(epsilon)
        return float(max((tpr - grown * fpr).max(), (1 - fpr - grown * (1 - tpr)).max())) - delta

    mu = gaussian_mu(brentq(beyond, 0, 100), delta)
    assert (fpr >= smallest_fpr_gaussian(tpr, mu) - delta).all()
    assert (1 - tpr >= smallest_fpr_gaussian(1 - fpr, mu) - delta).all()
