from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from memberscan.evidence.intervals import (
    auc_bounds,
    auc_interval,
    balanced_accuracy_interval,
    greatest_normal,
    simultaneous_critical,
    weights_at_quantile,
    wilson,
)
from memberscan.evidence.roc import delong


@pytest.mark.parametrize("auc", [0.0, 0.5, 0.93, 1.0])
@pytest.mark.parametrize("side", [10, 500])
def test_an_auc_interval_never_has_zero_width(auc, side):
    interval = auc_interval(auc, 0.0, side, side)
    assert 0 <= interval.low <= auc <= interval.high <= 1
    assert interval.high - interval.low > 1 / (4 * side)


@given(st.floats(0, 1), st.floats(0, 0.3), st.integers(2, 300), st.integers(2, 300))
def test_an_auc_interval_holds_its_value_and_mirrors(auc, error, members, nonmembers):
    interval = auc_interval(auc, error, members, nonmembers)
    assert interval.low <= auc <= interval.high
    mirrored = auc_interval(1 - auc, error, nonmembers, members)
    assert mirrored.high == pytest.approx(1 - interval.low, abs=1e-6)


@pytest.mark.parametrize("side", [10, 30, 120])
@pytest.mark.parametrize("auc", [0.5, 0.8, 0.95, 0.995])
@pytest.mark.parametrize("family", ["shift", "spread", "few exposed"])
def test_auc_intervals_cover(family, auc, side):
    rng = np.random.default_rng([side, int(1000 * auc)])
    member, repetitions = np.arange(2 * side) < side, 400
    normal = rng.normal(size=(repetitions, 2 * side))
    if family == "shift":
        scores = normal + np.sqrt(2) * stats.norm.ppf(auc) * member
    elif family == "spread":
        scores = -np.abs(normal * np.where(member, 1, np.tan(np.pi / 2 * auc)))
    else:
        scores = normal + 100 * (member & (rng.random(normal.shape) < 2 * auc - 1))
    critical, covered, above = stats.norm.ppf(0.99), 0, 0
    for row in scores:
        value, variance = delong(row[None], member)
        error = float(np.sqrt(variance[0, 0]))
        interval = auc_interval(float(value[0]), error, side, side)
        covered += interval.low <= auc <= interval.high
        above += auc_bounds(float(value[0]), error, side, side, critical)[0] > auc
    assert stats.binomtest(covered, repetitions, 0.95, "less").pvalue > 1e-3
    assert stats.binomtest(above, repetitions, 0.01, "greater").pvalue > 1e-3


@given(st.integers(0, 40), st.integers(1, 40))
def test_wilson_equals_scipy_for_whole_counts(successes, trials):
    successes = min(successes, trials)
    expected = stats.binomtest(successes, trials).proportion_ci(0.95, "wilson")
    interval = wilson(successes / trials, trials)
    assert (interval.low, interval.high) == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_balanced_accuracy_intervals_cover():
    rng = np.random.default_rng(0)
    # Close to 1 the counts are so discrete that Wilson's coverage dips, and with it that of the mean.
    for p, q, n1, n0, least in [
        (0.5, 0.5, 12, 40, 0.93),
        (0.9, 0.6, 25, 25, 0.93),
        (0.98, 0.97, 50, 20, 0.9),
    ]:
        drawn = rng.binomial(n1, p, 2000) / n1, rng.binomial(n0, q, 2000) / n0
        intervals = [balanced_accuracy_interval(a, b, n1, n0) for a, b in zip(*drawn, strict=True)]
        assert np.mean([i.low <= (p + q) / 2 <= i.high for i in intervals]) > least
    perfect = balanced_accuracy_interval(1.0, 1.0, 10, 10)
    assert perfect.high == 1.0 > perfect.low


def test_simultaneous_critical_values():
    exact = float(stats.norm.ppf(0.99))
    assert simultaneous_critical(greatest_normal(np.eye(1)), 1, 0.99) == exact
    assert simultaneous_critical(None, 1, 0.99) == exact
    independent = simultaneous_critical(greatest_normal(np.eye(4)), 4, 0.99)
    assert independent == pytest.approx(float(stats.norm.ppf(0.99 ** (1 / 4))), abs=0.02)
    singular = simultaneous_critical(greatest_normal(np.ones((3, 3))), 3, 0.99)
    assert singular == pytest.approx(exact, abs=0.02)
    equal = np.full((2, 2), 0.6) + 0.4 * np.eye(2)
    critical = simultaneous_critical(greatest_normal(equal), 2, 0.99)
    assert stats.multivariate_normal(cov=equal).cdf([critical, critical]) == pytest.approx(0.99, abs=5e-4)


def test_a_threshold_that_is_a_quantile_moves_with_the_people():
    """To first order an accuracy with such a threshold varies as the weights of its two shares say."""
    rng, side, ratio = np.random.default_rng(3), 400, 6.0
    member = np.arange(2 * side) < side
    accuracies, variances, fixed = [], [], []
    for _ in range(500):
        values = -np.abs(rng.normal(size=2 * side) * np.where(member, 1, ratio))
        threshold = float(np.median(values))
        right = np.array([(values > threshold)[member].mean(), (values <= threshold)[~member].mean()])
        accuracies.append(right.mean())
        weights = np.array(weights_at_quantile(values, member, threshold))
        of_shares = right * (1 - right) / side / 4
        variances.append((weights**2 * of_shares).sum())
        fixed.append(of_shares.sum())
    observed = np.var(accuracies, ddof=1)
    assert np.mean(variances) == pytest.approx(observed, rel=0.15)
    assert np.mean(fixed) < 0.85 * observed


def test_equal_densities_leave_the_weights_of_the_shares_alone():
    weights = weights_at_quantile(np.arange(400.0), np.arange(400) % 2 == 0, 199.5)
    assert weights == pytest.approx((1, 1))
