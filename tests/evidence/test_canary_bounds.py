"""Several bounds from canaries that hold together, and what they say of a guarantee."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from memberscan.errors import BadInputError
from memberscan.evidence.canary_bounds import DELTA, canary_evidence
from memberscan.evidence.epsilon_bounds import epsilon_gaussian
from memberscan.evidence.epsilon_from_auc import epsilon_gaussian_auc
from memberscan.evidence.one_run import epsilon_one_run, epsilon_one_run_fdp


def scores(mu: float, count: int = 400, seed: int = 0) -> tuple[dict[str, np.ndarray], np.ndarray]:
    rng = np.random.default_rng(seed)
    inside = rng.random(count) < 0.5
    return {"outputs": rng.normal(size=count), "weights": rng.normal(size=count) + mu * inside}, inside


def test_every_bound_is_made_at_a_level_that_pays_for_all() -> None:
    by, inside = scores(2.0)
    found = canary_evidence(by, inside, epsilon=1.0, delta=1e-4, gaussian=True)
    methods = ["one run", "one run, f-DP", "one run, f-DP, Gaussian", "Gaussian", "Gaussian, AUC"]
    assert [each.bound.method for each in found.bounds] == methods * 2
    assert [each.scores for each in found.bounds] == ["outputs"] * 5 + ["weights"] * 5
    sides = by["weights"][inside], by["weights"][~inside]
    options = {"delta": 1e-4, "level": 1 - 0.05 / 10}
    expected = [
        epsilon_one_run(*sides, **options),
        epsilon_one_run_fdp(*sides, **options, gaussian=False),
        epsilon_one_run_fdp(*sides, **options),
        epsilon_gaussian(*sides, **options),
        epsilon_gaussian_auc(*sides, **options),
    ]
    assert [each.bound for each in found.bounds[5:]] == expected
    assert (found.inside, found.outside) == (inside.sum(), (~inside).sum())


def test_a_bound_above_the_stated_epsilon_breaks_the_guarantee() -> None:
    by, inside = scores(6.0)
    found = canary_evidence(by, inside, epsilon=1.0, delta=1e-5)
    assert found.broken and [each.broken for each in found.bounds] == [False, False, True, True]
    assert not canary_evidence(by, inside, epsilon=50.0, delta=1e-5).broken


def test_without_a_stated_epsilon_there_are_bounds_and_no_answer() -> None:
    by, inside = scores(6.0)
    found = canary_evidence(by, inside)
    assert found.broken is None and all(each.broken is None for each in found.bounds)
    assert found.delta == DELTA and max(each.bound.value for each in found.bounds) > 1


def test_without_gaussian_noise_no_bound_assumes_it() -> None:
    by, inside = scores(1.0)
    assert {each.bound.method for each in canary_evidence(by, inside).bounds} == {"one run", "one run, f-DP"}
    pure = canary_evidence(by, inside, epsilon=1.0, delta=0.0, gaussian=True)
    assert len(pure.bounds) == 4, "with delta 0, a Gaussian mechanism has no epsilon"


def test_scores_without_a_leak_seldom_break_a_guarantee_of_nothing() -> None:
    draws = [scores(0.0, seed=seed) for seed in range(40)]
    broken = sum(
        bool(canary_evidence(*each, epsilon=0.0, delta=1e-5, gaussian=True).broken) for each in draws
    )
    assert stats.binomtest(broken, len(draws), 0.05, "greater").pvalue > 1e-3


def test_a_guarantee_that_makes_no_sense_is_refused() -> None:
    by, inside = scores(1.0)
    with pytest.raises(BadInputError, match="epsilon"):
        canary_evidence(by, inside, epsilon=-1.0)
    with pytest.raises(BadInputError, match="delta"):
        canary_evidence(by, inside, epsilon=1.0, delta=1.0)
    with pytest.raises(BadInputError, match="level"):
        canary_evidence(by, inside, level=0.2)
