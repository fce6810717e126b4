"""The bound from the area under the ROC curve: against a loop, its level, and what it shows more."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from memberscan.errors import BadInputError, NonFiniteError, TooFewSubjectsError
from memberscan.evidence.epsilon_bounds import epsilon_gaussian
from memberscan.evidence.epsilon_from_auc import epsilon_gaussian_auc, moments_of_area
from memberscan.gaussian_privacy import gaussian_epsilon

from .mechanisms import gaussian

DELTA = 1e-5
sides = st.lists(st.integers(-5, 5), min_size=1, max_size=30)


def naive(inside: np.ndarray, outside: np.ndarray, level: float) -> float:
    """Return the bound from a loop over pairs, and the greatest mu of a grid that is rejected."""
    area = np.mean([(one > other) + 0.5 * (one == other) for one, other in product(inside, outside)])
    n, m, mu, half = len(inside), len(outside), 0.0, stats.multivariate_normal([0, 0], [[1, 0.5], [0.5, 1]])
    for tried in np.arange(0, 6, 0.005):
        h = tried / np.sqrt(2)
        mean, both = stats.norm.cdf(h), half.cdf([h, h])
        variance = (mean * (1 - mean) + (n + m - 2) * (both - mean**2)) / (n * m)
        if stats.norm.sf(area, mean, np.sqrt(variance)) < 1 - level:
            mu = tried
    return gaussian_epsilon(mu, DELTA)


@pytest.mark.parametrize("shift", [-1.0, 0.0, 1.0, 2.0, 9.0])
def test_against_a_loop(shift: float) -> None:
    rng = np.random.default_rng(5)
    inside, outside = rng.normal(shift, 1, 40).round(1), rng.normal(size=60).round(1)
    found = epsilon_gaussian_auc(inside, outside, delta=DELTA, level=0.9)
    assert found.value == pytest.approx(naive(inside, outside, 0.9), abs=0.05)
    assert (found.method, found.inside, found.outside, found.tried) == ("Gaussian, AUC", 40, 60, 1)
    assert found.is_not.startswith("It holds only if")


@given(sides, sides, st.floats(0.6, 0.99))
def test_what_holds_for_any_scores(inside: list[int], outside: list[int], level: float) -> None:
    found = epsilon_gaussian_auc(inside, outside, delta=DELTA, level=level)
    assert 0 <= found.value <= found.ceiling + 1e-9
    moved = epsilon_gaussian_auc(
        3.0 * np.array(inside) - 1, 3.0 * np.array(outside) - 1, delta=DELTA, level=level
    )
    assert moved.value == found.value
    assert (
        epsilon_gaussian_auc(inside, outside, delta=DELTA, level=(1 + level) / 2).value <= found.value + 1e-9
    )
    turned = epsilon_gaussian_auc(outside, inside, delta=DELTA, level=level)
    assert found.value == 0 or turned.value == 0, "an area cannot be above and below a half"
    perfect = epsilon_gaussian_auc(np.ones(len(inside)), np.zeros(len(outside)), delta=DELTA, level=level)
    assert perfect.value == pytest.approx(perfect.ceiling) == found.ceiling


def test_moments_are_those_of_simulated_areas() -> None:
    rng = np.random.default_rng(8)
    inside, outside = rng.normal(1.2, 1, (4000, 12, 1)), rng.normal(size=(4000, 1, 7))
    areas = (inside > outside).mean(axis=(1, 2))
    mean, variance = moments_of_area(1.2, 12, 7)
    assert areas.mean() == pytest.approx(mean, abs=4 * np.sqrt(variance / 4000))
    assert areas.var() == pytest.approx(variance, rel=0.1)


def of_thresholds(rng: np.random.Generator, canaries: int, mu: float) -> tuple[np.ndarray, np.ndarray]:
    """Return scores of which only whether they are above mu / 2 is known."""
    inside, outside = gaussian(rng, canaries, mu)
    return (inside > mu / 2).astype(float), (outside > mu / 2).astype(float)


@pytest.mark.parametrize("draw", [gaussian, of_thresholds])
@pytest.mark.parametrize(("mu", "canaries"), [(0.0, 12), (0.93, 60), (2.0, 300), (4.0, 30)])
def test_the_bound_of_a_gaussian_mechanism_seldom_exceeds_its_epsilon(
    draw: Callable[..., tuple[np.ndarray, np.ndarray]], mu: float, canaries: int
) -> None:
    rng = np.random.default_rng([6, int(mu)])
    truth = gaussian_epsilon(mu, DELTA)
    above = sum(epsilon_gaussian_auc(*draw(rng, canaries, mu), delta=DELTA).value > truth for _ in range(400))
    assert stats.binomtest(above, 400, 0.05, "greater").pvalue > 1e-3


def test_the_bound_is_not_far_too_low() -> None:
    rng, truth = np.random.default_rng(9), gaussian_epsilon(1.0, DELTA)
    above = sum(
        epsilon_gaussian_auc(*gaussian(rng, 200, 1.0), delta=DELTA, level=0.8).value > truth
        for _ in range(300)
    )
    assert stats.binomtest(above, 300, 0.2).pvalue > 1e-3


def test_it_shows_a_doubled_person_where_thresholds_seldom_do() -> None:
    """Scores with the mu that dp-sgd with epsilon 4 has for a person who counts twice, at a tenth of 5%."""
    rng, level, mu = np.random.default_rng(7), 1 - 0.05 / 10, 1.65
    draws = [gaussian(rng, 300, mu) for _ in range(30)]
    by_area, by_threshold = (
        np.array([method(*draw, delta=DELTA, level=level).value for draw in draws])
        for method in (epsilon_gaussian_auc, epsilon_gaussian)
    )
    assert (by_area > 4).mean() > 0.95 > 0.75 > (by_threshold > 4).mean()
    assert np.median(by_area) < gaussian_epsilon(mu, DELTA)


def test_bad_input_is_refused() -> None:
    with pytest.raises(TooFewSubjectsError, match="outside"):
        epsilon_gaussian_auc([1.0], [], delta=DELTA)
    with pytest.raises(NonFiniteError, match="inside"):
        epsilon_gaussian_auc([np.nan], [1.0], delta=DELTA)
    with pytest.raises(BadInputError, match="delta"):
        epsilon_gaussian_auc([1.0], [0.0], delta=0.0)
    with pytest.raises(BadInputError, match="level"):
        epsilon_gaussian_auc([1.0], [0.0], delta=DELTA, level=0.1)
