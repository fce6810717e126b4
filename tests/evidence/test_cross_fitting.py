"""The variance of a mean over draws: against sums over every pair, and against simulated attacks."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from memberscan.evidence.cross_fitting import DrawDesign, variance_of_mean
from memberscan.evidence.delong import _Draws
from memberscan.evidence.roc import aucs_of_rows, influences
from memberscan.evidence.scores import Scores
from memberscan.studies import coverage as study
from memberscan.targets.known import draws
from memberscan.threat import ThreatModel
from tests.evidence.simulated import design_of


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


def simulated(design: DrawDesign, stability: float, rng: np.random.Generator, columns: int = 30) -> float:
    """Return the variance of the mean over draws, over that of a draw, for a linear rule of many columns."""
    people = design.weights.shape[1] // 2
    sign = np.repeat([1, -1], people)
    truth = np.zeros(columns)
    known = float((design.known[0] ** 2).sum())
    truth[0] = np.sqrt(stability / (1 - stability) * columns * known)
    results = []
    for _ in range(1500):
        errors = sign[:, None] * rng.normal(size=(2 * people, columns))
        fitted = truth + design.known @ errors
        scored = truth + design.weights @ errors
        results.append(np.mean((fitted * scored).sum(axis=1) / np.linalg.norm(fitted, axis=1)))
    return float(np.var(results) / (design.weights[0] ** 2).sum())


@pytest.mark.parametrize("leaked", [0.5, 0.8])
@pytest.mark.parametrize("stability", [0.1, 0.4, 0.8])
def test_the_variance_is_that_of_simulated_linear_rules(leaked: float, stability: float):
    """Between the extremes it is larger than at either: who is fitted on moves the rule."""
    design = design_of(60, 60, leaked, 3)
    found = simulated(design, stability, np.random.default_rng(0))
    assert design.of_means(stability) == pytest.approx(found, rel=0.12)
    assert design.of_means(stability) > design.stable


@pytest.mark.parametrize("leaked", [0.2, 0.5, 0.8])
def test_the_unstable_case_is_a_sum_over_pairs(leaked: float):
    design = design_of(12, 17, leaked, 3)
    assert design.unstable == pytest.approx(pair_by_pair(design))


@pytest.mark.parametrize("repeats", [1, 2, 5])
def test_complementary_halves_have_closed_forms(repeats: int):
    design = design_of(400, 400, 0.5, repeats)
    assert design.stable == pytest.approx(0.5)
    assert design.unstable == pytest.approx((1 + 1 / repeats) / 2, rel=0.01)
    assert design.agreement(0.0, 0.0) == pytest.approx((1 + 0.5 * (repeats - 1)) / repeats, rel=0.01)
    assert design.agreement(1.0, 0.0) == pytest.approx(1)
    for s in (0.3, 0.6, 1.0):
        closed = s * (2 - s) ** 2 + (1 - s) * ((1 - s / 2) ** 2 + (1 + s / 2) ** 2 / repeats)
        assert design.of_means(s) == pytest.approx(closed / 2, rel=0.02)


def test_draws_that_repeat_each_other_change_nothing():
    design = design_of(20, 20, 0.5, 1)
    first = DrawDesign(np.repeat(design.weights[:1], 4, axis=0), np.repeat(design.known[:1], 4, axis=0))
    assert (first.stable, first.unstable) == pytest.approx((1, 1))
    assert first.stability(0.3, 0.0) == 1.0


def test_agreement_of_draws_decides_the_variance():
    design = design_of(50, 50, 0.5, 4)
    sides = np.arange(100) < 50, np.arange(100) >= 50
    rng = np.random.default_rng(0)
    same = design.weights * rng.normal(size=100)
    each = design.weights * rng.normal(size=design.weights.shape)
    for added, factor, expected in ((same, 1.0, 1.0), (each, 1.25, 0.0)):
        stable = design.stable * np.mean((added**2).sum(axis=1))
        variance, stability = variance_of_mean(added, design, sides)
        assert variance == pytest.approx(stable)
        assert design.factor(stability) == pytest.approx(factor, rel=0.03)
        assert stability == pytest.approx(expected, abs=1e-6)
    assert variance_of_mean(0 * same, design, sides) == (0, 1)


@pytest.mark.parametrize("auc", [0.5, 0.9])
def test_the_variance_of_stable_fits_is_that_of_scores_that_are_the_same_in_all_draws(auc: float):
    """Twenty people a side are scored in a draw: DeLong's errors would make it a tenth larger at .9."""
    design, rng = design_of(40, 40, 0.5, 5), np.random.default_rng(0)
    member = np.arange(80) < 40
    sides, scored = (member, ~member), design.weights > 0
    values = rng.normal(size=(8000, 80)) + np.sqrt(2) * stats.norm.ppf(auc) * member
    labels = np.tile(member.astype(float), (8000, 1))
    means = np.mean([aucs_of_rows(values[:, kept], labels[:, kept]) for kept in scored], axis=0)
    found, counted_twice = [], []
    for row in values[:200]:
        influence, noise = np.zeros((2, *design.weights.shape))
        for k, kept in enumerate(scored):
            _, influence[k, kept], noise[k, kept] = influences(row[None, kept], member[kept])
        found.append(variance_of_mean(influence, design, sides, noise, auc)[0])
        counted_twice.append(variance_of_mean(influence, design, sides)[0])
    assert np.mean(found) == pytest.approx(np.var(means), rel=0.06)
    assert np.mean(counted_twice) > 1.05 * np.mean(found)


def test_places_at_high_aucs_agree_less_than_scores():
    """The share of a side that a person outranks is not linear in the score."""
    design = design_of(100, 100, 0.5, 5)
    linear, less = (design.agreement(0.5, 0.0, auc) for auc in (0.5, 0.9))
    assert design.agreement(0.0, 0.0) < less < linear
    assert design.stability(less, 0.0, 0.9) == pytest.approx(0.5, abs=0.01)
    assert design.stability(less, 0.0) < 0.45


def test_who_else_is_scored_is_not_taken_for_instability():
    """Places of people vary between draws even if the scores hardly do."""
    rng = np.random.default_rng(0)
    member = np.arange(60) < 30
    rows = draws(member, ThreatModel(leaked=0.5, repeats=5), rng)
    known = np.stack([row.known.everyone for row in rows])
    found = []
    for _ in range(40):
        values = np.where(known, np.nan, rng.normal(size=60))
        for learned in (False, True):
            # Each draw may have a threshold of its own, which moves all scores alike.
            values = values + rng.normal(size=(10, 1)) + 1e-6 * learned * rng.normal(size=values.shape)
            scores = Scores.of_draws("a", fitted=True, values=values, member=member, thresholds=np.zeros(10))
            made = _Draws.of([scores], None)
            assert made.learned.tolist() == [learned]
            found.append(float(made.stability[0]))
            factor = made.design.factor(0.0) / made.design.factor(found[-1]) if learned else 1.0
            assert made.variance_by_chance[0] == pytest.approx(made.variance[0] * factor)
    assert found[::2] == [1.0] * 40 and np.mean(found[1::2]) > 0.97


def test_signs_of_unstable_fits_vary_less_than_their_scores():
    """Of sums of signs: sign(a) b + sign(b) a, as a rule of one column gives."""
    design = design_of(60, 60, 0.5, 5)
    assert design.of_decisions(1.0) == pytest.approx(design.stable)
    sign, rng = np.repeat([1, -1], 60), np.random.default_rng(0)
    errors = sign * rng.normal(size=(4000, 120))
    fitted, scored = errors @ design.known.T, errors @ design.weights.T
    # Everybody has a score of a size of its own, and the share of signs that are right is counted.
    results = (np.sign(fitted) * scored).mean(axis=1)
    one_draw = (design.weights[0] ** 2).sum()
    assert np.var(results) / one_draw == pytest.approx(design.of_decisions(0.0), rel=0.06)


@pytest.mark.parametrize("attack", study.ATTACKS, ids=lambda attack: attack.name)
def test_intervals_of_real_attacks_cover_and_a_true_null_is_kept(attack, monkeypatch):
    """The variance of people's means over draws alone would cover 83% without a leak."""
    monkeypatch.setattr(study, "ATTACKS", (attack,))
    monkeypatch.setattr(study, "SIDES", (40,))
    table = study.coverage(80, seed=2).set_index("leak")
    for covered in (table.auc_covered, table.accuracy_covered):
        for share in covered:
            assert stats.binomtest(round(80 * share), 80, 0.95, "less").pvalue > 1e-3
    assert stats.binomtest(round(80 * table.leaks[0.5]), 80, 0.01, "greater").pvalue > 1e-3
    assert table.leaks[0.9] > 0.8
