from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from memberscan.evidence.epsilon_bounds import epsilon_clopper_pearson, epsilon_gaussian, largest_epsilon
from memberscan.gaussian_privacy import gaussian_epsilon, log_delta

from .mechanisms import gaussian, randomized_response

sides = st.lists(st.integers(-20, 20), min_size=1, max_size=40)
BOUNDS = [epsilon_clopper_pearson, epsilon_gaussian]


def limits(inside, outside, threshold, alpha):
    """Return the limits of both rates by SciPy, in a loop."""
    hits, alarms = (sum(score > threshold for score in side) for side in (inside, outside))
    low = stats.binomtest(hits, len(inside), alternative="greater").proportion_ci(1 - alpha, "exact").low
    high = stats.binomtest(alarms, len(outside), alternative="less").proportion_ci(1 - alpha, "exact").high
    return low, high


def naive_clopper_pearson(inside, outside, delta, thresholds):
    """Return the bound by trying each epsilon of a grid."""
    best = 0.0
    for threshold in thresholds:
        tpr, fpr = limits(inside, outside, threshold, 0.025 / len(thresholds))
        for epsilon in np.arange(0, 8, 0.01):
            allowed = np.exp(epsilon) * fpr + delta >= tpr and np.exp(epsilon) * (1 - tpr) + delta >= 1 - fpr
            if not allowed:
                best = max(best, epsilon)
    return best


@pytest.mark.parametrize(("shift", "delta"), [(0.0, 0.0), (2.0, 0.0), (2.0, 0.1), (-1.0, 0.0), (6.0, 1e-5)])
def test_clopper_pearson_against_a_grid(shift, delta):
    rng = np.random.default_rng(3)
    inside, outside, thresholds = rng.normal(shift, 1, 90), rng.normal(size=70), [0.0, 1.0, 2.5]
    bound = epsilon_clopper_pearson(inside, outside, delta=delta, thresholds=thresholds)
    assert bound.value == pytest.approx(naive_clopper_pearson(inside, outside, delta, thresholds), abs=0.0101)


@pytest.mark.parametrize("shift", [0.0, 1.5, 4.0])
def test_gaussian_against_a_grid(shift):
    """The greatest mu of a grid that a threshold rejects, and the smallest epsilon of a grid for it."""
    rng = np.random.default_rng(4)
    inside, outside, thresholds, delta = rng.normal(shift, 1, 90), rng.normal(size=70), [0.5, 2.0], 1e-3
    mu = 0.0
    for threshold in thresholds:
        tpr, fpr = limits(inside, outside, threshold, 0.025 / len(thresholds))
        grid = np.arange(0.0, 8, 0.0005)
        rejected = grid[stats.norm.cdf(grid + stats.norm.ppf(fpr)) < tpr]
        mu = max(mu, rejected.max(initial=0.0))
    grid = np.arange(0.0, 40, 0.005)
    enough = [e for e in grid if mu == 0 or log_delta(e, mu) <= np.log(delta)]
    bound = epsilon_gaussian(inside, outside, delta=delta, thresholds=thresholds)
    assert bound.value == pytest.approx(enough[0], abs=0.02)


@given(sides, sides, st.floats(0.6, 0.99), st.floats(1e-6, 0.3))
def test_what_holds_for_any_scores(inside, outside, level, delta):
    for method in BOUNDS:
        bound = method(inside, outside, level=level, delta=delta)
        assert 0 <= bound.value <= bound.ceiling + 1e-9
        assert bound.breaks(bound.value / 2) == (bound.value > 0)
        assert not bound.breaks(bound.value)
        # Only the order of scores counts.
        moved = method(*(2 * np.asarray(side) + 1 for side in (inside, outside)), level=level, delta=delta)
        assert moved.value == pytest.approx(bound.value)
        # More confidence, or a greater delta, never gives a greater bound.
        assert method(inside, outside, level=(1 + level) / 2, delta=delta).value <= bound.value + 1e-9
        assert method(inside, outside, level=level, delta=(1 + delta) / 2).value <= bound.value + 1e-9


def test_the_result_says_how_it_was_found():
    bound = epsilon_clopper_pearson(np.arange(20.0) + 18, np.arange(20.0), level=0.9, thresholds=[17.5, 99])
    assert (bound.method, bound.level, bound.delta) == ("Clopper-Pearson", 0.9, 0.0)
    assert (bound.inside, bound.outside, bound.tried, bound.threshold) == (20, 20, 2, 17.5)
    assert "Not an estimate" in bound.is_not
    nothing = epsilon_gaussian([0.0, 1.0], [0.0, 1.0], delta=1e-5)
    assert (nothing.value, nothing.threshold, nothing.tried) == (0.0, None, 2)
    assert nothing.is_not.startswith("It holds only if")


@pytest.mark.parametrize(
    ("canaries", "expected"),
    [(100, 3.3), (250, 4.2), (500, 4.9), (1000, 5.6), (2500, 6.5), (10_000, 7.9)],
)
def test_the_most_that_canaries_can_show(canaries, expected):
    most = largest_epsilon(canaries, canaries, thresholds=1)
    assert most == pytest.approx(expected, abs=0.05)
    inside, outside = np.ones(canaries), np.zeros(canaries)
    assert epsilon_clopper_pearson(inside, outside, thresholds=[0.5]).value == pytest.approx(most)
    perfect = epsilon_clopper_pearson(inside, outside)
    assert perfect.value == pytest.approx(largest_epsilon(canaries, canaries))
    assert perfect.value == perfect.ceiling < most


@pytest.mark.parametrize("delta", [0.0, 1e-5, 0.05])
@pytest.mark.parametrize(("inside", "outside"), [(1, 1), (3, 50), (50, 3), (400, 200)])
def test_the_most_is_the_bound_for_perfect_separation(inside, outside, delta):
    scores = np.arange(inside) + outside, np.arange(outside)
    bound = epsilon_clopper_pearson(*scores, delta=delta)
    assert bound.value == pytest.approx(largest_epsilon(inside, outside, delta=delta)) == bound.ceiling
    if delta:
        perfect = epsilon_gaussian(*scores, delta=delta)
        assert perfect.value == pytest.approx(perfect.ceiling)


@pytest.mark.parametrize(
    ("canaries", "expected"),
    [(100, 0.3), (250, 1.5), (500, 2.3), (1000, 3.1), (2500, 4.1), (10_000, 5.5)],
)
def test_few_members_caught_without_a_false_alarm(canaries, expected):
    caught = np.where(np.arange(canaries) < canaries // 10, 1.0, 0.0)
    bound = epsilon_clopper_pearson(caught, np.zeros(canaries), thresholds=[0.5])
    assert bound.value == pytest.approx(expected, abs=0.06)


def share_above(method, draw, truth, runs=400):
    """Return how many bounds of so many runs exceed the truth, and the median bound."""
    values = np.array([method(*draw()).value for _ in range(runs)])
    return int((values > truth).sum()), float(np.median(values))


@pytest.mark.parametrize("thresholds", [None, [0.5]])
@pytest.mark.parametrize("epsilon", [0.0, 1.0, 4.0])
def test_the_bound_of_randomized_response_seldom_exceeds_its_epsilon(epsilon, thresholds):
    rng = np.random.default_rng([11, int(epsilon)])
    above, _ = share_above(
        lambda *scores: epsilon_clopper_pearson(*scores, thresholds=thresholds),
        lambda: randomized_response(rng, 300, epsilon),
        epsilon,
    )
    assert stats.binomtest(above, 400, 0.05, "greater").pvalue > 1e-3


@pytest.mark.parametrize("method", BOUNDS)
@pytest.mark.parametrize(("mu", "delta"), [(0.0, 1e-5), (1.0, 1e-5), (2.0, 1e-2), (3.0, 1e-3)])
def test_the_bound_of_a_gaussian_mechanism_seldom_exceeds_its_epsilon(method, mu, delta):
    rng = np.random.default_rng([12, int(mu)])
    above, _ = share_above(
        lambda *scores: method(*scores, delta=delta),
        lambda: gaussian(rng, 400, mu),
        gaussian_epsilon(mu, delta),
    )
    assert stats.binomtest(above, 400, 0.05, "greater").pvalue > 1e-3


def test_at_a_low_level_the_bound_does_exceed_the_truth_at_times():
    """A test of the bounds that always hold above would not notice a bound that is far too low."""
    rng = np.random.default_rng(13)
    above, _ = share_above(
        lambda *scores: epsilon_clopper_pearson(*scores, level=0.6, thresholds=[0.5]),
        lambda: randomized_response(rng, 300, 1.0),
        1.0,
    )
    assert stats.binomtest(above, 400, 0.4, "greater").pvalue > 1e-3
    assert above > 20


@pytest.mark.parametrize(
    ("canaries", "thresholds", "least"), [(200, [0.5], 2.7), (1000, [0.5], 3.3), (1000, None, 3.0)]
)
def test_power_at_epsilon_4(canaries, thresholds, least):
    rng = np.random.default_rng(14)
    _, median = share_above(
        lambda *scores: epsilon_clopper_pearson(*scores, thresholds=thresholds),
        lambda: randomized_response(rng, canaries, 4.0),
        4.0,
    )
    assert least < median < 4


def test_the_gaussian_route_shows_more_of_a_gaussian_mechanism():
    rng, truth = np.random.default_rng(15), gaussian_epsilon(3.0, 1e-5)
    draws = [gaussian(rng, 1000, 3.0) for _ in range(100)]
    exact, by_mu = (np.median([m(*d, delta=1e-5).value for d in draws]) for m in BOUNDS)
    assert 3 < exact < 5 < 12 < by_mu < truth


def test_the_gaussian_route_is_wrong_for_other_mechanisms():
    """Randomized response at epsilon 4 looks like a Gaussian mechanism of a far greater one."""
    rng = np.random.default_rng(16)
    above, median = share_above(
        lambda *scores: epsilon_gaussian(*scores, delta=1e-5),
        lambda: randomized_response(rng, 1000, 4.0),
        4.0,
        runs=50,
    )
    assert above == 50 and median > 10


def test_upper_limits_in_one_direction_show_nothing_in_the_other():
    """The few scores without a leak on which jax_privacy 2.0.0 shows epsilon 9.8: all limits are lax."""
    rng = np.random.default_rng(17)
    for _ in range(50):
        inside, outside = rng.normal(size=(2, 8))
        assert epsilon_gaussian(inside, outside, delta=1e-5).value == 0
