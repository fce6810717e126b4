from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from memberscan.errors import MisalignedError, TooFewSubjectsError
from memberscan.evidence.intervals import balanced_accuracy_interval
from memberscan.evidence.operating import operating_points, roc_points
from memberscan.evidence.pairs import PairScores, pair_results
from memberscan.evidence.permutation import permuted_null
from memberscan.evidence.pooled import permuted_pooled, pooled, pooled_findings
from memberscan.evidence.roc import delong
from memberscan.evidence.scored import Scored


def pairs_of(attack, home):
    """Yield the scores of the two sides of each pair large enough, and the threshold."""
    for (a, v), threshold in np.ndenumerate(attack.thresholds):
        row = attack.scores[a, v]
        inside, outside = (row[(home == side) & ~np.isnan(row)] for side in (v, -1))
        if min(len(inside), len(outside)) >= 10:
            yield inside, outside, threshold


def naive(attack, home):
    """Return mean AUC, sensitivity and specificity over pairs, one pair after the other."""
    return np.mean(
        [
            (
                np.mean(np.sign(x[:, None] - y) + 1) / 2,
                np.mean(x > threshold),
                np.mean(y <= threshold),
            )
            for x, y, threshold in pairs_of(attack, home)
        ],
        axis=0,
    )


def literally(attacks, home, rng, resamples):
    """Return the naive means of resamples made by copying subjects."""
    found = []
    for _ in range(resamples):
        positions = np.concatenate(
            [rng.choice(np.flatnonzero(home == v), (home == v).sum()) for v in np.unique(home)]
        )
        resampled = [replace(a, scores=a.scores[:, :, positions]) for a in attacks]
        found.append([naive(a, home[positions]) for a in resampled])
    return np.array(found)


def placements_covariance(attacks, home):
    """Return the covariance of pooled AUCs from DeLong's placement values, added up by subject."""
    of_members, of_others = np.zeros((2, len(attacks), len(home)))
    for k, attack in enumerate(attacks):
        pairs = np.argwhere(attack.attempted)
        for a, v in pairs:
            inside, outside = home == v, home == -1
            wins = attack.scores[a, v, inside][:, None] > attack.scores[a, v, outside]
            of_members[k, inside] += wins.mean(axis=1) / len(pairs)
            of_others[k, outside] += wins.mean(axis=0) / len(pairs)
    covariance = np.cov(of_others[:, home == -1]) / (home == -1).sum()
    for v in range(home.max() + 1):
        covariance += np.cov(of_members[:, home == v]) / (home == v).sum()
    return covariance


def test_estimates_are_means_over_pairs_large_enough(federate):
    attacks, home = federate(np.random.default_rng(0), [12, 9, 23, 10], 15, shift=0.7, attacks=3)
    coarse = replace(attacks[1], scores=np.round(attacks[1].scores))
    attacks = [attacks[0], coarse, replace(attacks[2], attackers=("x", *attacks[2].attackers[1:]))]
    results = pooled(attacks, home, np.random.default_rng(1), resamples=20)
    for k, attack in enumerate(attacks):
        found = results.auc[0, k], results.sensitivity[0, k], results.specificity[0, k]
        np.testing.assert_allclose(found, naive(attack, home))
    assert results.joint.members.tolist() == [45, 45, 45]
    assert results.joint.nonmembers.tolist() == [15, 15, 15]


def test_weights_resample_as_copying_subjects_does(federate):
    attacks, home = federate(np.random.default_rng(2), [11, 13, 16], 14, shift=0.6, attacks=2)
    results = pooled(attacks, home, np.random.default_rng(3), resamples=4000)
    copied = literally(attacks, home, np.random.default_rng(4), 800)
    for column, rows in enumerate((results.auc, results.sensitivity, results.specificity)):
        np.testing.assert_allclose(rows[1:].std(axis=0), copied[:, :, column].std(axis=0), rtol=0.08)
        np.testing.assert_allclose(rows[1:].mean(axis=0), copied[:, :, column].mean(axis=0), atol=0.01)
    expected = np.corrcoef(copied[:, :, 0].T)[0, 1]
    assert results.joint.correlation[0, 1] == pytest.approx(expected, abs=0.08)


def test_errors_agree_with_delong_over_subjects_and_for_one_pair(federate):
    attacks, home = federate(np.random.default_rng(5), [70, 60, 80], 90, shift=0.5, attacks=2)
    estimates = pooled(attacks, home, np.random.default_rng(6), resamples=4000).joint
    covariance = placements_covariance(attacks, home)
    np.testing.assert_allclose(estimates.standard_error, np.sqrt(np.diag(covariance)), rtol=0.06)
    expected = covariance[0, 1] / np.sqrt(covariance[0, 0] * covariance[1, 1])
    assert estimates.correlation[0, 1] == pytest.approx(expected, abs=0.05)
    kept = home <= 0
    one = PairScores(
        "sum", False, ("aggregate",), ("all",), attacks[0].scores[1:2, :1, kept], np.zeros((1, 1))
    )
    estimate = pooled([one], home[kept], np.random.default_rng(7), resamples=4000).joint
    auc, variance = delong(one.scores[0], home[kept] == 0)
    assert estimate.auc[0] == pytest.approx(auc[0])
    assert estimate.standard_error[0] == pytest.approx(np.sqrt(variance[0, 0]), rel=0.06)


@pytest.mark.parametrize("shift", [0.0, 1.0])
def test_intervals_cover_where_pairs_taken_for_independent_would_not(federate, shift):
    rng, repetitions = np.random.default_rng([8, int(shift)]), 300
    truth, within = stats.norm.cdf(shift / np.sqrt(2)), float(stats.norm.cdf(shift / 2))
    covered = bootstrapped = independent = accurate = 0
    for _ in range(repetitions):
        attacks, home = federate(rng, [20] * 6, 40, shift=shift, shared=0.8)
        results = pooled(attacks, home, rng, resamples=200)
        estimates, interval = results.joint, results.joint.intervals[0]
        covered += interval.low <= truth <= interval.high
        bootstrapped += abs(estimates.auc[0] - truth) <= 1.96 * estimates.standard_error[0]
        accurate += results.accuracy[0].low <= within <= results.accuracy[0].high
        variances = [
            delong(np.r_[x, y][None], np.repeat([True, False], [20, 40]))[1][0, 0]
            for x, y, _ in pairs_of(attacks[0], home)
        ]
        alone = np.sqrt(np.sum(variances)) / len(variances)
        independent += abs(estimates.auc[0] - truth) <= 1.96 * alone
    assert min(covered, accurate) / repetitions >= 0.92
    assert bootstrapped / repetitions >= 0.9
    assert independent / repetitions < 0.75


def test_differences_cover_and_use_that_subjects_are_the_same(federate):
    rng, repetitions, covered, widths = np.random.default_rng(9), 300, 0, []
    truth = stats.norm.cdf(0.8 / np.sqrt(2)) - stats.norm.cdf(0.8 / np.sqrt(2 * 1.5))
    for _ in range(repetitions):
        (better,), home = federate(rng, [20] * 4, 40, shift=0.8, shared=0.9)
        noise = np.sqrt(0.5) * rng.normal(size=better.scores.shape)
        worse = replace(better, attack="worse", scores=better.scores + noise)
        results = pooled([better, worse], home, rng, resamples=200)
        difference = results.difference("attack 0", "worse")
        covered += difference.low <= truth <= difference.high
        widths.append(difference.high - difference.low)
    assert covered / repetitions >= 0.92
    assert np.mean(widths) < 0.6 * np.hypot(*(i.high - i.low for i in results.joint.intervals))
    assert results.difference("worse", "attack 0").value == -difference.value


def test_perfect_attacks_have_intervals():
    home = np.repeat([0, 1, -1], [10, 33, 12])
    scores = np.stack([np.where(home == v, 1.0, 0.0) for v in range(2)])[None]
    perfect = PairScores("perfect", False, ("server",), ("a", "b"), scores, np.full((1, 2), 0.5))
    again, constant = replace(perfect, attack="again"), replace(perfect, attack="none", scores=0 * scores)
    results = pooled([perfect, again, constant], home, np.random.default_rng(0), resamples=50)
    interval, accuracy, same = (
        results.joint.intervals[0],
        results.accuracy[0],
        results.difference("perfect", "again"),
    )
    assert interval.low < 0.99 < interval.value == interval.high == 1.0
    assert accuracy == balanced_accuracy_interval(1.0, 1.0, 43, 12)
    assert same.low < same.value == 0 < same.high
    assert results.joint.auc[2] == results.accuracy[2].value == 0.5
    assert results.joint.correlation.tolist() == np.eye(3).tolist()


def test_attackers_who_agree_add_no_subjects(federate):
    (attack,), home = federate(np.random.default_rng(10), [30, 20], 25, shift=0.5)
    server = replace(
        attack, attackers=("server",), scores=np.nan_to_num(attack.scores)[:1], thresholds=np.zeros((1, 2))
    )
    crowd = replace(
        server,
        attackers=tuple("uvwxyz"),
        scores=np.repeat(server.scores, 6, axis=0),
        thresholds=np.zeros((6, 2)),
    )
    one, many = (pooled([a], home, np.random.default_rng(0), resamples=100) for a in (server, crowd))
    np.testing.assert_allclose(one.auc, many.auc)
    ends = ([(i.low, i.value, i.high) for i in results.accuracy] for results in (one, many))
    np.testing.assert_allclose(*ends)
    assert one.joint.members == many.joint.members == 50


def test_attacks_that_cannot_be_pooled_are_refused(federate):
    attacks, home = federate(np.random.default_rng(11), [12, 12], 12, attacks=2)
    with pytest.raises(MisalignedError, match="whole number"):
        pooled(attacks, home[:-1], np.random.default_rng(0))
    with pytest.raises(MisalignedError, match="different victims"):
        pooled([attacks[0], replace(attacks[1], victims=("site 0", "b"))], home, np.random.default_rng(0))
    with pytest.raises(TooFewSubjectsError, match="hold out more"):
        pooled(attacks, np.where(home == -1, 0, home), np.random.default_rng(0))
    with pytest.raises(TooFewSubjectsError, match="hold out more"):
        permuted_pooled(attacks, np.where(home == -1, 0, home), np.random.default_rng(0), 9)


def test_findings_have_the_published_form_and_average_over_pairs(federate):
    attacks, home = federate(np.random.default_rng(12), [12, 7, 8, 13], 41, shift=1.0, attacks=2)
    results = pooled(attacks, home, np.random.default_rng(13), resamples=100)
    found = pooled_findings(attacks, home, results)
    assert [f.attack for f in found] == ["attack 0", "attack 1"]
    each = []
    for x, y, threshold in pairs_of(attacks[0], home):
        alone = Scored("one", False, np.r_[x, y][None], np.array([threshold]))
        member = np.repeat([True, False], [len(x), len(y)])
        each.append((operating_points(alone, member)[0].value, roc_points(alone, member)))
    assert found[0].tpr[0].value == pytest.approx(np.mean([tpr for tpr, _ in each]))
    assert found[0].tpr[1].reason == "needs 300 non-members scored in one draw, has 41"
    np.testing.assert_allclose(found[0].roc, np.mean([curve for _, curve in each], axis=0))
    value = json.loads(json.dumps(found[1].to_dict(), allow_nan=False))
    assert value["scored"] == {"members": 25, "nonmembers": 41}
    assert value["auc"]["simultaneous"]["low"] < value["auc"]["low"] < value["auc"]["value"]
    assert value["accuracy"]["low"] < np.mean(naive(attacks[1], home)[1:]) < value["accuracy"]["high"]


def test_permuted_aucs_equal_those_of_permuted_homes(federate):
    attacks, home = federate(np.random.default_rng(14), [14, 16, 9], 15, shift=0.5, attacks=2)
    attacks[1] = replace(attacks[1], scores=np.round(attacks[1].scores))
    null = permuted_pooled(attacks, home, np.random.default_rng(15), 3)
    compared = np.concatenate([np.flatnonzero(home == side) for side in (0, 1, -1)])
    homes = np.random.default_rng(15).permuted(np.tile(home[compared, None], (1, 3)), axis=0)
    for row, column in zip(null, homes.T, strict=True):
        permuted = home.copy()
        permuted[compared] = column
        for value, attack in zip(row, attacks, strict=True):
            aucs = []
            for a, v in ((0, 1), (1, 0), (2, 0), (2, 1)):
                inside, outside = (attack.scores[a, v, permuted == side] for side in (v, -1))
                wins = np.sign(inside[:, None] - outside)
                aucs.append(np.mean((wins[~np.isnan(wins)] + 1) / 2))
            assert value == pytest.approx(np.mean(aucs))


def test_permutations_hold_their_level_over_attacks_that_share_subjects(federate):
    rng, repetitions, rejected = np.random.default_rng(16), 300, 0
    for _ in range(repetitions):
        attacks, home = federate(rng, [10] * 4, 12, shared=0.8, attacks=2)
        estimates = pooled(attacks, home, rng, resamples=2).joint
        rejected += permuted_null(estimates, permuted_pooled(attacks, home, rng, 99)).p_values.min() <= 0.05
    assert stats.binomtest(rejected, repetitions, 0.05, "greater").pvalue > 1e-3


def test_permutations_are_exact_for_a_server_and_see_a_leak():
    rng, repetitions, home = np.random.default_rng(17), 300, np.repeat([0, 1, -1], [12, 15, 14])
    rejected = {0.0: 0, 1.5: 0}
    for shift in rejected:
        for _ in range(repetitions):
            subject = rng.normal(size=len(home))
            own = home == np.arange(2)[:, None]
            scores = (subject + rng.normal(size=(2, len(home))) + shift * own)[None]
            attack = PairScores("cosine", False, ("server",), ("a", "b"), scores, np.zeros((1, 2)))
            estimates = pooled([attack], home, rng, resamples=2).joint
            null = permuted_null(estimates, permuted_pooled([attack], home, rng, 99))
            rejected[shift] += null.p_values[0] <= 0.05
    assert stats.binomtest(rejected[0.0], repetitions, 0.05).pvalue > 1e-3
    assert rejected[1.5] > 0.7 * repetitions


def test_one_pair_alone_gives_what_the_pairs_table_says(federate):
    (attack,), home = federate(np.random.default_rng(18), [20, 25], 30, shift=0.8)
    one = replace(attack, attackers=("site 1",), scores=attack.scores[1:], thresholds=attack.thresholds[1:])
    (finding,) = pooled_findings([one], home, pooled([one], home, np.random.default_rng(0), resamples=500))
    (row,) = pair_results(one, home, np.random.default_rng(0), permutations=99)
    assert finding.auc.value == pytest.approx(row.auc.value)
    assert (finding.members, finding.nonmembers) == (row.members, row.nonmembers) == (20, 30)
    assert finding.accuracy.value == pytest.approx(row.accuracy.value)
    assert finding.accuracy.low <= row.accuracy.low + 1e-9
