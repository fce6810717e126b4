from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from memberscan.evidence.rate_bounds import alpha_of_each, ranks_of_thresholds, rate_bounds, upper_limit

from .mechanisms import randomized_response


@given(st.integers(0, 60), st.integers(1, 60), st.floats(1e-5, 0.2))
def test_limits_are_scipy_s(successes, trials, alpha):
    successes = min(successes, trials)
    exact = stats.binomtest(successes, trials, alternative="less").proportion_ci(1 - alpha, "exact")
    assert float(upper_limit(successes, trials, alpha)) == pytest.approx(exact.high, abs=1e-9)


def test_ranks_double_and_do_not_pass_the_number_of_scores():
    assert [ranks_of_thresholds(n).tolist() for n in (1, 2, 7, 8)] == [[1], [1, 2], [1, 2, 4], [1, 2, 4, 8]]


@given(
    st.lists(st.integers(-3, 3), min_size=1, max_size=30),
    st.lists(st.integers(-3, 3), min_size=1, max_size=30),
    st.lists(st.integers(-4, 4), min_size=1, max_size=4),
)
def test_against_counts_one_threshold_at_a_time(inside, outside, thresholds):
    bounds = rate_bounds(inside, outside, thresholds=thresholds)
    for row, threshold in enumerate(thresholds):
        alpha = 0.05 / 2 / len(thresholds)
        hits, alarms = (sum(score > threshold for score in side) for side in (inside, outside))
        low = stats.binomtest(hits, len(inside), alternative="greater").proportion_ci(1 - alpha, "exact").low
        high = (
            stats.binomtest(alarms, len(outside), alternative="less").proportion_ci(1 - alpha, "exact").high
        )
        assert bounds.tpr[row] == pytest.approx(low, abs=1e-9)
        assert bounds.fpr[row] == pytest.approx(high, abs=1e-9)


@pytest.mark.parametrize("outside", [12, 100, 700])
def test_all_bounds_of_ranked_thresholds_hold_together(outside):
    """Thresholds that the scores decide: the true rates at them are those of the normal law."""
    rng, repetitions, held = np.random.default_rng(outside), 1000, 0
    for _ in range(repetitions):
        bounds = rate_bounds(rng.normal(1, 1, 80), rng.normal(size=outside))
        tpr, fpr = stats.norm.sf(bounds.thresholds - 1), stats.norm.sf(bounds.thresholds)
        held += bool((bounds.tpr <= tpr).all() and (fpr <= bounds.fpr).all())
    assert stats.binomtest(held, repetitions, 0.95, "less").pvalue > 1e-3
    # Bonferroni's inequality loses little: the bounds do fail now and then.
    assert held < 0.995 * repetitions


def test_ties_never_make_bounds_too_narrow():
    rng, repetitions, held = np.random.default_rng(5), 1000, 0
    for _ in range(repetitions):
        bounds = rate_bounds(*randomized_response(rng, 60, 1.0))
        right = 1 / (1 + np.exp(-1))
        # Nothing is above 1; above 0 is what was said to be in; below 0 there is no threshold.
        tpr, fpr = (np.where(bounds.thresholds == 1, 0, rate) for rate in (right, 1 - right))
        held += bool((bounds.tpr <= tpr).all() and (fpr <= bounds.fpr).all())
    assert stats.binomtest(held, repetitions, 0.95, "less").pvalue > 1e-3


def test_each_bound_has_its_share_of_the_error():
    assert alpha_of_each(0.95, 5) == pytest.approx(0.005)
