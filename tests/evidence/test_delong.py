"""Errors of draws: those of people, who are scored in several draws and fitted on in others."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from memberscan.errors import MisalignedError
from memberscan.evidence.delong import DeLong
from memberscan.evidence.estimates import estimate_accuracies, estimate_aucs, paired_difference
from memberscan.evidence.roc import delong
from memberscan.evidence.scores import Draw

from .simulated import federate, fitted, once, simulate


def test_unfitted_attacks_use_everyone_and_fitted_ones_the_mean_draw():
    attacks, member = simulate(np.random.default_rng(0), 31, 47, shift=1.0)
    estimates = estimate_aucs(attacks, DeLong())
    auc, covariance = delong(attacks[0].values, member)
    assert estimates.auc[0] == pytest.approx(auc[0])
    assert estimates.standard_error[0] == pytest.approx(np.sqrt(covariance[0, 0]))
    draws = [delong(row[None, ~np.isnan(row)], member[~np.isnan(row)]) for row in attacks[1].values]
    assert estimates.auc[1] == pytest.approx(np.mean([d[0] for d in draws]))
    assert estimates.standard_error[1] < np.sqrt(np.mean([d[1] for d in draws]))
    scored = attacks[1].compared.any(axis=0)
    assert estimates.members.tolist() == [31, *[(scored & member).sum()] * 2]
    assert estimates.nonmembers.tolist() == [47, *[(scored & ~member).sum()] * 2]
    assert estimates.fewest == (scored & member).sum()


def test_of_one_draw_the_errors_are_those_of_delong_less_noise_that_it_counts_twice():
    attacks, member = simulate(np.random.default_rng(10), 31, 47, shift=1.0, draws=1)
    kept = attacks[1].compared[0]
    auc, covariance = delong(np.stack([a.values[0, kept] for a in attacks[1:]]), member[kept])
    estimates = estimate_aucs(attacks[1:], DeLong())
    np.testing.assert_allclose(estimates.auc, auc)
    ratio = estimates.standard_error / np.sqrt(np.diag(covariance))
    assert ((ratio > 0.95) & (ratio < 1)).all()
    assert estimates.correlation[0, 1] == pytest.approx(
        covariance[0, 1] / np.sqrt(np.diag(covariance).prod())
    )
    assert estimates.design_effect.tolist() == [1.0, 1.0]


def test_a_draw_that_is_repeated_narrows_nothing():
    attacks, _ = simulate(np.random.default_rng(1), 40, 40, shift=0.8, draws=1)
    one = attacks[1]
    many = replace(
        one,
        rows=tuple(map(Draw, range(50))),
        values=np.repeat(one.values, 50, axis=0),
        sides=np.repeat(one.sides, 50, axis=0),
        thresholds=np.repeat(one.thresholds, 50),
    )
    few, more = (estimate_aucs([a], DeLong()).intervals[0] for a in (one, many))
    assert (more.low, more.high) == pytest.approx((few.low, few.high))
    few, more = (estimate_accuracies([a], DeLong())[0] for a in (one, many))
    assert (more.low, more.high) == pytest.approx((few.low, few.high))


def test_attacks_are_estimated_alike_in_any_order_and_with_people_in_any_order():
    attacks, _ = simulate(np.random.default_rng(2), 20, 25, shift=0.5)
    estimates = estimate_aucs(attacks, DeLong())
    order = np.random.default_rng(3).permutation(45)
    shuffled = estimate_aucs([a.of_people(order) for a in attacks[::-1]], DeLong())
    np.testing.assert_allclose(shuffled.auc[::-1], estimates.auc)
    np.testing.assert_allclose(shuffled.correlation[::-1, ::-1], estimates.correlation)


def test_without_fitted_attacks_or_without_others():
    attacks, _ = simulate(np.random.default_rng(4), 20, 20)
    assert estimate_aucs(attacks[:1], DeLong()).correlation.tolist() == [[1.0]]
    assert len(estimate_aucs(attacks[1:], DeLong()).auc) == 2


@pytest.mark.parametrize("side", [30, 60])
def test_a_true_null_is_rejected_at_most_at_the_nominal_rate(side):
    """Pooling the scores of five draws would reject here in 14-17% of audits at a nominal 5%."""
    rng, repetitions = np.random.default_rng(side), 120
    alone, together = 0, 0
    for _ in range(repetitions):
        attacks, _ = simulate(rng, 2 * side, 2 * side, attacks=3)
        estimates = estimate_aucs(attacks, DeLong())
        interval = estimates.intervals[1]
        alone += not interval.low <= 0.5 <= interval.high
        together += estimates.simultaneous_low.max() > 0.5
    assert stats.binomtest(alone, repetitions, 0.05, "greater").pvalue > 1e-3
    assert stats.binomtest(together, repetitions, 0.01, "greater").pvalue > 1e-3


def test_accuracy_is_balanced_and_decides_strictly_above_the_threshold():
    member = np.arange(50) < 10
    values = np.where(member, 1.0, 0.0)
    values[:2] = 0.0
    values[10:20] = 1.0
    (accuracy,) = estimate_accuracies([once("loss", values, member)], DeLong())
    assert accuracy.value == pytest.approx((8 / 10 + 30 / 40) / 2)
    (nobody,) = estimate_accuracies([once("loss", values, member, threshold=1.0)], DeLong())
    assert nobody.value == 0.5


def test_known_people_count_neither_right_nor_wrong():
    attacks, member = simulate(np.random.default_rng(1), 24, 31, shift=2.0, draws=3)
    attack = attacks[1]
    expected = [
        np.mean([np.mean(row[member & ok] > t), np.mean(row[~member & ok] <= t)])
        for row, ok, t in zip(attack.values, attack.compared, attack.thresholds, strict=True)
    ]
    assert estimate_accuracies([attack], DeLong())[0].value == pytest.approx(np.mean(expected))


def test_paired_differences_cover_and_use_the_pairing():
    rng = np.random.default_rng(6)
    member = np.arange(160) < 80
    auc_of_a = stats.norm.cdf(1 / np.sqrt(2))
    auc_of_b = stats.norm.cdf(1 / np.sqrt(2 * 1.25))
    hits, widths = 0, []
    for _ in range(300):
        base = rng.normal(size=160) + member
        a, b = once("a", base, member), once("b", base + 0.5 * rng.normal(size=160), member)
        difference = paired_difference(a, b, DeLong())
        hits += difference.low <= auc_of_a - auc_of_b <= difference.high
        widths.append(difference.high - difference.low)
    assert stats.binomtest(hits, 300, 0.95, "less").pvalue > 1e-3
    alone = estimate_aucs([a], DeLong()).intervals[0]
    assert np.mean(widths) < 0.8 * (alone.high - alone.low)


def test_a_difference_restricts_an_unfitted_attack_to_the_people_scored_in_each_draw():
    attacks, member = simulate(np.random.default_rng(7), 30, 30, shift=1.0)
    difference = paired_difference(attacks[0], attacks[1], DeLong())
    expected = []
    for row in attacks[1].values:
        mask = ~np.isnan(row)
        expected.append(np.subtract(*delong(np.stack([attacks[0].values[0], row])[:, mask], member[mask])[0]))
    assert difference.value == pytest.approx(np.mean(expected))
    assert difference.over == "fitted 0"
    same = paired_difference(attacks[0], replace(attacks[0], attack="copy"), DeLong())
    assert same.low < same.value == 0 < same.high


def test_strata_compare_only_people_who_share_one_with_the_other_side():
    member = np.arange(120) < 60
    attack = once("error", np.random.default_rng(5).normal(size=120), member)
    strata = np.arange(120) % 2
    strata[:5] = 7
    assert DeLong().aucs_within([attack], {"model": strata}).members[0] == 55
    assert DeLong().aucs_within([attack], {"model": member.astype(int)}) is None


def test_one_draw_with_too_few_alike_is_enough_to_say_none():
    member = np.arange(60) < 30
    values = np.random.default_rng(6).normal(size=(2, 60))
    values[1, 10:30] = np.nan
    strata = np.where(np.arange(60) < 9, 1, 0)
    strata[30:40] = 1
    one, both = fitted("f", values[:1], member), fitted("f", values, member)
    assert DeLong().aucs_within([one], {"model": strata}) is not None
    # The second draw leaves one member in stratum 0, and nine in stratum 1.
    assert DeLong().aucs_within([both], {"model": strata}) is None


def test_pairs_are_refused_since_they_share_people():
    attacks, _ = federate(np.random.default_rng(8), [12, 12], 12)
    for estimate in (estimate_aucs, estimate_accuracies):
        with pytest.raises(MisalignedError, match="resample people"):
            estimate(attacks, DeLong())
