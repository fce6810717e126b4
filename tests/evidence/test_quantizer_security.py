"""The indicator of a quantizer: against a loop, and where the true security of a quantizer is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from memberscan.evidence.quantizer_security import quantizer_security

PEOPLE = 200


def naive(losses: np.ndarray, inside: np.ndarray, members: int) -> float:
    """Return the indicator from loops over models."""
    means = [losses[k][~inside[k]].mean() for k in range(len(losses))]
    best, rates = int(np.argmin(means)), []
    for k in range(len(losses)):
        outside = [i for i in range(losses.shape[1]) if not inside[k, i] and not inside[best, i]]
        gaps = np.array([losses[k, i] - losses[best, i] for i in outside])
        if k != best and len(gaps) >= 20 and (losses[k] != losses[best]).any():
            rates.append(max(gaps.mean(), 0) ** 2 / (2 * gaps.var(ddof=1)))
    return float(1 - np.exp(-members * min(rates)))


@settings(max_examples=20)
@given(st.integers(0, 2**32 - 1), st.integers(2, 6))
def test_against_a_loop(seed: int, models: int) -> None:
    rng = np.random.default_rng(seed)
    losses = rng.exponential(size=(models, PEOPLE)) + 0.3 * rng.random((models, 1))
    inside = rng.random((models, PEOPLE)) < 0.5
    found = quantizer_security(losses, inside, 100)
    assert found is not None and found.compared == models - 1
    assert found.indicator == pytest.approx(naive(losses, inside, 100))
    assert 0 <= found.low <= found.indicator <= 1


def of_a_grid(step: float, mean: float, people: int, rng: np.random.Generator) -> tuple[float, float]:
    """Return the indicator of means rounded to a grid, and the chance that one is not the best point.

    Rounding a mean gives the point with the smallest mean squared error, so this training does find it.
    """
    ends = step * np.rint(rng.normal(mean, 1 / np.sqrt(people), 400) / step)
    best = step * np.rint(mean / step)
    candidates = np.unique(ends)
    fresh = rng.normal(mean, 1, 20_000)
    losses = (fresh - candidates[:, None]) ** 2
    found = quantizer_security(losses, np.zeros(losses.shape, dtype=bool), people)
    # Means are normal, so the chance to be rounded to another point is exact.
    spread, half = 1 / np.sqrt(people), step / 2
    other = 1 - np.diff(stats.norm.cdf([best - half, best + half], mean, spread))[0]
    return (1.0 if found is None else found.indicator), float(other)


def test_it_ranks_quantizers_as_their_true_security_does() -> None:
    rng = np.random.default_rng(1)
    steps = (0.02, 0.1, 0.3, 0.6, 1.2)
    found = [of_a_grid(step, 0.1 * step, 50, rng) for step in steps]
    indicators, chances = np.array(found).T
    assert (np.diff(indicators) > 0).all() and (np.diff(chances) < 0).all()
    assert indicators[0] < 0.2 and indicators[-1] > 0.99
    # exp(-n r) bounds the chance of one other point (Chernoff); there are two beside the best one.
    assert (chances <= 2 * (1 - indicators) + 0.1).all()


def test_equal_weights_count_once_and_a_clear_best_is_secure() -> None:
    rng = np.random.default_rng(2)
    best = rng.random(PEOPLE)
    out = np.zeros((3, PEOPLE), dtype=bool)
    clear = quantizer_security(np.stack([best, best, best + 2 + 0.1 * rng.random(PEOPLE)]), out, 50)
    assert clear is not None and clear.compared == 1 and clear.low > 0.99
    exact = quantizer_security(np.stack([best, best + 1]), out[:2], 50)
    assert exact is not None and (exact.indicator, exact.low) == (1, 1)
    assert quantizer_security(np.stack([best, best]), out[:2], 50) is None


def test_too_few_people_or_models_show_nothing() -> None:
    rng = np.random.default_rng(3)
    losses, inside = rng.random((2, PEOPLE)), np.arange(PEOPLE) % 2 == 0
    assert quantizer_security(losses, np.stack([inside, ~inside]), 50) is None, "nobody is out of both twins"
    assert quantizer_security(losses[:1], inside[None], 50) is None
    assert quantizer_security(losses[:, :19], np.zeros((2, 19), dtype=bool), 50) is None


def test_the_lower_limit_seldom_exceeds_the_truth() -> None:
    rng, members, standard = np.random.default_rng(4), 40, 0.3
    truth, above = 1 - np.exp(-members * standard**2 / 2), 0
    for _ in range(300):
        losses = rng.normal(size=(2, 100)) / np.sqrt(2)
        found = quantizer_security(
            losses + np.array([[0.0], [standard]]), np.zeros((2, 100), dtype=bool), members
        )
        above += found is not None and found.low > truth
    assert stats.binomtest(above, 300, 0.05, "greater").pvalue > 1e-3
