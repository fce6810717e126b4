from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from memberscan.errors import MisalignedError
from memberscan.evidence.joint import enough_comparable, joint, paired
from memberscan.evidence.roc import delong
from memberscan.evidence.scored import Scored


def test_unfitted_attacks_use_everyone_and_fitted_ones_the_mean_draw(simulate):
    attacks, member = simulate(np.random.default_rng(0), 31, 47, shift=1.0)
    estimates = joint(attacks, member)
    auc, covariance = delong(attacks[0].scores, member)
    assert estimates.auc[0] == pytest.approx(auc[0])
    assert estimates.standard_error[0] == pytest.approx(np.sqrt(covariance[0, 0]))
    draws = [delong(row[None, ~np.isnan(row)], member[~np.isnan(row)]) for row in attacks[1].scores]
    assert estimates.auc[1] == pytest.approx(np.mean([d[0] for d in draws]))
    assert estimates.standard_error[1] == pytest.approx(np.sqrt(np.mean([d[1] for d in draws])))
    assert estimates.members.tolist() == [31, 16, 16]
    assert estimates.nonmembers.tolist() == [47, 32, 32]
    assert estimates.fewest == 16


def test_more_draws_never_narrow_an_interval(simulate):
    attacks, member = simulate(np.random.default_rng(1), 40, 40, shift=0.8, draws=1)
    once = attacks[1]
    repeated = replace(
        once, scores=np.repeat(once.scores, 50, axis=0), thresholds=np.repeat(once.thresholds, 50)
    )
    one, many = (joint([a], member).intervals[0] for a in (once, repeated))
    assert (many.low, many.high) == pytest.approx((one.low, one.high))


def test_attacks_are_estimated_alike_in_any_order_and_with_subjects_in_any_order(simulate):
    attacks, member = simulate(np.random.default_rng(2), 20, 25, shift=0.5)
    estimates = joint(attacks, member)
    order = np.random.default_rng(3).permutation(45)
    shuffled = joint([replace(a, scores=a.scores[:, order]) for a in attacks[::-1]], member[order])
    np.testing.assert_allclose(shuffled.auc[::-1], estimates.auc)
    np.testing.assert_allclose(shuffled.correlation[::-1, ::-1], estimates.correlation)


def test_without_fitted_attacks_or_without_others(simulate):
    attacks, member = simulate(np.random.default_rng(4), 20, 20)
    assert joint(attacks[:1], member).correlation.tolist() == [[1.0]]
    assert len(joint(attacks[1:], member).auc) == 2
    with pytest.raises(MisalignedError, match="must differ"):
        joint([attacks[1], attacks[1]], member)


def test_a_perfect_and_a_constant_attack_have_intervals():
    member = np.arange(40) < 20
    perfect = Scored("perfect", False, member[None].astype(float), np.zeros(1))
    constant = Scored("constant", False, np.zeros((1, 40)), np.zeros(1))
    estimates = joint([perfect, constant], member)
    assert estimates.simultaneous_low[0] > 0.5 > estimates.simultaneous_low[1]
    assert all(i.low < i.high for i in estimates.intervals)
    assert estimates.strongest == 0
    assert not estimates.below_chance.any()
    reversed_ = joint([replace(perfect, scores=-perfect.scores)], member)
    assert reversed_.below_chance.tolist() == [True]


@pytest.mark.parametrize("side", [30, 60])
def test_a_true_null_is_rejected_at_most_at_the_nominal_rate(simulate, side):
    """Pooling the scores of five draws would reject here in 14-17% of audits at a nominal 5%."""
    rng, repetitions = np.random.default_rng(side), 120
    alone, together = 0, 0
    for _ in range(repetitions):
        attacks, member = simulate(rng, 2 * side, 2 * side, fitted=3)
        estimates = joint(attacks, member)
        interval = estimates.intervals[1]
        alone += not interval.low <= 0.5 <= interval.high
        together += estimates.simultaneous_low.max() > 0.5
    assert stats.binomtest(alone, repetitions, 0.05, "greater").pvalue > 1e-3
    assert stats.binomtest(together, repetitions, 0.01, "greater").pvalue > 1e-3


def test_strata_count_only_comparable_subjects(simulate):
    attacks, member = simulate(np.random.default_rng(5), 60, 60)
    strata = np.arange(120) % 2
    strata[:5] = 7
    assert joint(attacks[:1], member, strata).members[0] == 55
    assert enough_comparable(attacks, member, strata)
    assert not enough_comparable(attacks, member, member.astype(int))


def test_paired_differences_cover_and_use_the_pairing():
    rng = np.random.default_rng(6)
    member = np.arange(160) < 80
    auc_of_a = stats.norm.cdf(1 / np.sqrt(2))
    auc_of_b = stats.norm.cdf(1 / np.sqrt(2 * 1.25))
    hits, widths = 0, []
    for _ in range(300):
        base = rng.normal(size=160) + member
        a = Scored("a", False, base[None], np.zeros(1))
        b = Scored("b", False, (base + 0.5 * rng.normal(size=160))[None], np.zeros(1))
        difference = paired(a, b, member)
        hits += difference.low <= auc_of_a - auc_of_b <= difference.high
        widths.append(difference.high - difference.low)
    assert stats.binomtest(hits, 300, 0.95, "less").pvalue > 1e-3
    alone = joint([a], member).intervals[0]
    assert np.mean(widths) < 0.8 * (alone.high - alone.low)


def test_paired_restricts_an_unfitted_attack_to_the_subjects_scored_in_each_draw(simulate):
    attacks, member = simulate(np.random.default_rng(7), 30, 30, shift=1.0)
    difference = paired(attacks[0], attacks[1], member)
    expected = []
    for row in attacks[1].scores:
        mask = ~np.isnan(row)
        expected.append(np.subtract(*delong(np.stack([attacks[0].scores[0], row])[:, mask], member[mask])[0]))
    assert difference.value == pytest.approx(np.mean(expected))
    assert difference.to_dict()["over"] == "fitted 0"
    same = paired(attacks[0], replace(attacks[0], attack="copy"), member)
    assert same.low < same.value == 0 < same.high
