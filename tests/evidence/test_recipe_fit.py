"""The target beside its references: like models pass, other recipes are noticed."""

from __future__ import annotations

import numpy as np
import pytest

from memberscan.evidence.recipe_fit import RecipeFit, compare_recipe


def models(count: int, seed: int, *, people: int = 80, overfit: float = 0.5) -> tuple[np.ndarray, np.ndarray]:
    """Return residuals and masks of twins of one recipe that have much of their errors in common."""
    rng = np.random.default_rng(seed)
    half = rng.permuted(np.tile(np.arange(people) < people // 2, (count // 2, 1)), axis=1)
    inside = np.stack([half, ~half], axis=1).reshape(count, people)
    shared = rng.normal(size=people)
    residual = shared + 0.6 * rng.normal(size=inside.shape) + 0.3 * rng.normal(size=(count, 1))
    return np.asarray(5 * residual * np.where(inside, overfit, 1.0)), inside


def compared(count: int, seed: int, change: float = 1.0, foreign: bool = False) -> RecipeFit:
    residual, inside = models(count + 2, seed)
    target = change * residual[0]
    if foreign:
        target = np.random.default_rng(seed + 1).normal(size=len(target)) * target.std()
    return compare_recipe(target, inside[0], residual[2:], inside[2:])


@pytest.mark.parametrize("count", [2, 4, 16])
def test_a_target_of_the_recipe_is_rarely_called_unlike(count: int) -> None:
    wrong = sum(bool(compared(count, seed).unlike) for seed in range(200))
    # The level is 1%; three standard errors above it.
    assert wrong <= 2 + 3 * np.sqrt(2)


@pytest.mark.parametrize("change", [0.3, 3.0])
def test_notices_other_errors(change: float) -> None:
    found = [compared(8, seed, change).unlike for seed in range(20)]
    assert np.mean(["error on others" in unlike for unlike in found]) > 0.8


def test_notices_residuals_of_another_kind() -> None:
    found = [compared(8, seed, foreign=True).unlike for seed in range(20)]
    assert np.mean(["correlation" in unlike for unlike in found]) > 0.8


def test_gives_errors_and_correlations() -> None:
    residual, inside = models(6, 0)
    found = compare_recipe(residual[0], inside[0], residual[2:], inside[2:])
    rmse = [np.sqrt(np.mean(row[side] ** 2)) for row, side in zip(residual[2:], inside[2:], strict=True)]
    assert found.count == 4
    assert found.rmse_in == (pytest.approx(np.mean(rmse)), pytest.approx(np.std(rmse, ddof=1)))
    # A naive twin: means of correlation coefficients, one pair of models at a time.
    own = [np.corrcoef(residual[2], residual[k])[0, 1] for k in (4, 5)]
    rest = [
        np.mean([np.corrcoef(residual[k], residual[j])[0, 1] for j in range(2, 6) if j // 2 != k // 2])
        for k in range(3, 6)
    ]
    assert found.own_correlation[0] == pytest.approx(np.mean([np.mean(own), *rest]))
    assert found.correlation == pytest.approx(
        np.mean([np.corrcoef(residual[0], row)[0, 1] for row in residual[2:]])
    )


def test_two_references_have_no_correlations_to_compare() -> None:
    found = compared(2, 0)
    assert np.isnan(found.correlation) and np.isnan(found.own_correlation[0])


def test_constant_residuals_are_not_an_error() -> None:
    residual, inside = models(6, 0)
    found = compare_recipe(np.full(80, 3.0), inside[0], residual[2:], inside[2:])
    assert "correlation" in found.unlike
