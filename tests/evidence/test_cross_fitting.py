"""The variance of a mean over draws: against sums over every pair, and against simulated attacks."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from memberscan.evidence.cross_fitting import DrawDesign, variance_of_mean
from memberscan.studies import coverage as study
from memberscan.targets.known import draws
from memberscan.threat import ThreatModel


def design_of(members: int, nonmembers: int, leaked: float, repeats: int, seed: int = 0) -> DrawDesign:
    member = np.arange(members + nonmembers) < members
    rows = draws(member, ThreatModel(leaked=leaked, repeats=repeats), np.random.default_rng(seed))
    known = np.stack([row.known.everyone for row in rows])
    weights = np.stack(
        [np.where(member, 1 / (member & ~row).sum(), 1 / (~member & ~row).sum()) * ~row for row in known]
    )
    return DrawDesign.of(weights, known)


def pair_by_pair(design: DrawDesign) -> float:
    """Return the variance of a bilinear form over pairs, over that of a draw, by a sum over all pairs."""
    mean, single = 0.0, 0.0
    for i in range(design.weights.shape[1]):
        for j in range(i):
            both = [
                known[i] * weights[j] + known[j] * weights[i]
                for known, weights in zip(design.known, design.weights, strict=True)
            ]
            mean += np.mean(both) ** 2
            single += np.mean(np.square(both))
    return mean / single


@pytest.mark.parametrize("leaked", [0.2, 0.5, 0.8])
def test_the_unstable_case_is_a_sum_over_pairs(leaked: float):
    design = design_of(12, 17, leaked, 3)
    assert design.unstable == pytest.approx(pair_by_pair(design))


@pytest.mark.parametrize("repeats", [1, 2, 5])
def test_complementary_halves_have_closed_forms(repeats: int):
    design = design_of(400, 400, 0.5, repeats)
    assert design.stable == pytest.approx(0.5)
    assert design.unstable == pytest.approx((1 + 1 / repeats) / 2, rel=0.01)
    assert design.inflation == pytest.approx(1 + 1 / repeats, rel=0.01)
    assert design.agreement == pytest.approx((1 + 0.5 * (repeats - 1)) / repeats, rel=0.01)


def test_draws_that_repeat_each_other_change_nothing():
    design = design_of(20, 20, 0.5, 1)
    first = DrawDesign(np.repeat(design.weights[:1], 4, axis=0), np.repeat(design.known[:1], 4, axis=0))
    assert (first.stable, first.unstable, first.inflation) == pytest.approx((1, 1, 1))
    assert first.instability(0.3) == 0.0


def test_the_variance_lies_between_that_of_stable_and_of_unstable_fits():
    design = design_of(50, 50, 0.5, 4)
    sides = np.arange(100) < 50, np.arange(100) >= 50
    rng = np.random.default_rng(0)
    same = design.weights * rng.normal(size=100)
    each = design.weights * rng.normal(size=design.weights.shape)
    for influences, factor in ((same, 1.0), (each, 1.25)):
        stable = design.stable * np.mean((influences**2).sum(axis=1))
        assert variance_of_mean(influences, design, sides) == pytest.approx(factor * stable, rel=0.02)
    assert variance_of_mean(0 * same, design, sides) == 0


@pytest.mark.parametrize("attack", study.ATTACKS, ids=lambda attack: attack.name)
def test_intervals_of_real_attacks_cover_and_a_true_null_is_kept(attack, monkeypatch):
    """The variance of people's means over draws alone would cover 83% without a leak."""
    monkeypatch.setattr(study, "ATTACKS", (attack,))
    monkeypatch.setattr(study, "SIDES", (40,))
    table = study.coverage(120, seed=2).set_index("leak")
    for covered in (table.auc_covered, table.accuracy_covered):
        for share in covered:
            assert stats.binomtest(round(120 * share), 120, 0.95, "less").pvalue > 1e-3
    assert stats.binomtest(round(120 * table.leaks[0.5]), 120, 0.01, "greater").pvalue > 1e-3
    assert table.leaks[0.9] > 0.8
