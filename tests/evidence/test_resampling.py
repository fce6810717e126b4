"""Errors by resampling people: against copies of people, DeLong's sums by person, and coverage."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from memberscan.errors import MisalignedError, TooFewSubjectsError
from memberscan.evidence.alignment import aligned
from memberscan.evidence.estimates import estimate_accuracies, estimate_aucs, paired_difference
from memberscan.evidence.intervals import balanced_accuracy_interval
from memberscan.evidence.pairs import pair_results
from memberscan.evidence.resampling import Resampling
from memberscan.evidence.roc import delong
from memberscan.evidence.scores import IN, OUT

from .simulated import among_parties, federate


def large_pairs(attack):
    """Yield the values of the two sides of each pair large enough, and the threshold."""
    for values, sides, threshold in zip(attack.values, attack.sides, attack.thresholds, strict=True):
        inside, outside = values[sides == IN], values[sides == OUT]
        if min(len(inside), len(outside)) >= 10:
            yield inside, outside, threshold


def naive(attack):
    """Return mean AUC, sensitivity and specificity over pairs, one pair after the other."""
    return np.mean(
        [
            (np.mean(np.sign(x[:, None] - y) + 1) / 2, np.mean(x > threshold), np.mean(y <= threshold))
            for x, y, threshold in large_pairs(attack)
        ],
        axis=0,
    )


def literally(attacks, home, rng, resamples):
    """Return the naive means of resamples made by copying people."""
    found = []
    for _ in range(resamples):
        positions = np.concatenate(
            [rng.choice(np.flatnonzero(home == v), (home == v).sum()) for v in np.unique(home)]
        )
        found.append([naive(attack.of_people(positions)) for attack in attacks])
    return np.array(found)


def covariance_by_person(attacks, home):
    """Return the covariance of mean AUCs from DeLong's placement values, added up by person."""
    of_members, of_others = np.zeros((2, len(attacks), len(home)))
    for k, attack in enumerate(attacks):
        for values, sides in zip(attack.values, attack.sides, strict=True):
            wins = values[sides == IN][:, None] > values[sides == OUT]
            of_members[k, sides == IN] += wins.mean(axis=1) / len(attack.rows)
            of_others[k, sides == OUT] += wins.mean(axis=0) / len(attack.rows)
    covariance = np.cov(of_others[:, home == -1]) / (home == -1).sum()
    for v in range(home.max() + 1):
        covariance += np.cov(of_members[:, home == v]) / (home == v).sum()
    return covariance


def test_estimates_are_means_over_pairs_large_enough():
    attacks, _ = federate(np.random.default_rng(0), [12, 9, 23, 10], 15, shift=0.7, attacks=3)
    coarse = replace(attacks[1], values=np.round(attacks[1].values))
    fewer = attacks[2].of_rows(range(3, 12))
    attacks = [attacks[0], coarse, fewer]
    errors = Resampling.draw(attacks, np.random.default_rng(1), resamples=20)
    estimates, accuracies = estimate_aucs(attacks, errors), estimate_accuracies(attacks, errors)
    for k, attack in enumerate(attacks):
        auc, *shares = naive(attack)
        np.testing.assert_allclose((estimates.auc[k], accuracies[k].value), (auc, np.mean(shares)))
    assert estimates.members.tolist() == [45, 45, 45]
    assert estimates.nonmembers.tolist() == [15, 15, 15]


def test_weights_resample_as_copying_people_does():
    attacks, home = federate(np.random.default_rng(2), [11, 13, 16], 14, shift=0.6, attacks=2)
    errors = Resampling.draw(attacks, np.random.default_rng(3), resamples=4000)
    estimates = estimate_aucs(attacks, errors)
    copied = literally(attacks, home, np.random.default_rng(4), 800)
    np.testing.assert_allclose(estimates.standard_error, copied[:, :, 0].std(axis=0), rtol=0.08)
    expected = np.corrcoef(copied[:, :, 0].T)[0, 1]
    assert estimates.correlation[0, 1] == pytest.approx(expected, abs=0.08)
    for k, attack in enumerate(attacks):
        for column, share in enumerate(errors.shares_right(attack), start=1):
            assert share[1:].std() == pytest.approx(copied[:, k, column].std(), rel=0.08)
            assert share[1:].mean() == pytest.approx(copied[:, k, column].mean(), abs=0.01)


def test_errors_agree_with_delong_over_people_and_for_one_pair():
    attacks, home = federate(np.random.default_rng(5), [70, 60, 80], 90, shift=0.5, attacks=2)
    estimates = estimate_aucs(attacks, Resampling.draw(attacks, np.random.default_rng(6), resamples=4000))
    covariance = covariance_by_person(attacks, home)
    np.testing.assert_allclose(estimates.standard_error, np.sqrt(np.diag(covariance)), rtol=0.06)
    expected = covariance[0, 1] / np.sqrt(covariance[0, 0] * covariance[1, 1])
    assert estimates.correlation[0, 1] == pytest.approx(expected, abs=0.05)
    one = attacks[0].about("site 0").of_rows([0])
    (inside, outside, _) = next(large_pairs(one))
    estimate = estimate_aucs([one], Resampling.draw([one], np.random.default_rng(7), resamples=4000))
    auc, variance = delong(np.r_[inside, outside][None], np.repeat([True, False], [70, 90]))
    assert estimate.auc[0] == pytest.approx(auc[0])
    assert estimate.standard_error[0] == pytest.approx(np.sqrt(variance[0, 0]), rel=0.06)


@pytest.mark.parametrize("shift", [0.0, 1.0])
def test_intervals_cover_where_pairs_taken_for_independent_would_not(shift):
    rng, repetitions = np.random.default_rng([8, int(shift)]), 300
    truth, within = stats.norm.cdf(shift / np.sqrt(2)), float(stats.norm.cdf(shift / 2))
    covered = bootstrapped = independent = accurate = 0
    for repetition in range(repetitions):
        attacks, _ = federate(rng, [20] * 6, 40, shift=shift, shared=0.8)
        errors = Resampling.draw(attacks, rng, resamples=200)
        estimates, (accuracy,) = estimate_aucs(attacks, errors), estimate_accuracies(attacks, errors)
        interval = estimates.intervals[0]
        covered += interval.low <= truth <= interval.high
        bootstrapped += abs(estimates.auc[0] - truth) <= 1.96 * estimates.standard_error[0]
        accurate += accuracy.low <= within <= accuracy.high
        # So many pairs take longer than all the rest, and a third of them shows enough.
        if repetition % 3:
            continue
        variances = [
            delong(np.r_[x, y][None], np.repeat([True, False], [20, 40]))[1][0, 0]
            for x, y, _ in large_pairs(attacks[0])
        ]
        alone = np.sqrt(np.sum(variances)) / len(variances)
        independent += abs(estimates.auc[0] - truth) <= 1.96 * alone
    assert min(covered, accurate) / repetitions >= 0.92
    assert bootstrapped / repetitions >= 0.9
    assert independent / (repetitions / 3) < 0.75


def test_differences_cover_and_use_that_people_are_the_same():
    rng, repetitions, covered, widths = np.random.default_rng(9), 300, 0, []
    truth = stats.norm.cdf(0.8 / np.sqrt(2)) - stats.norm.cdf(0.8 / np.sqrt(2 * 1.5))
    for _ in range(repetitions):
        (better,), _ = federate(rng, [20] * 4, 40, shift=0.8, shared=0.9)
        noise = np.sqrt(0.5) * rng.normal(size=(4, 4, 120))[~np.eye(4, dtype=bool)]
        worse = replace(better, attack="worse", values=better.values + noise)
        errors = Resampling.draw([better, worse], rng, resamples=200)
        difference = paired_difference(better, worse, errors)
        covered += difference.low <= truth <= difference.high
        widths.append(difference.high - difference.low)
    assert covered / repetitions >= 0.92
    intervals = estimate_aucs([better, worse], errors).intervals
    assert np.mean(widths) < 0.6 * np.hypot(*(i.high - i.low for i in intervals))
    assert paired_difference(worse, better, errors).value == -difference.value


def test_perfect_attacks_have_intervals():
    home = np.repeat([0, 1, -1], [10, 33, 12])
    values = np.stack([np.where(home == v, 1.0, 0.0) for v in range(2)])[None]
    perfect = among_parties(
        values, home, attackers=["server"], victims=["a", "b"], attack="perfect", thresholds=0.5
    )
    again, constant = (
        replace(perfect, attack="again"),
        replace(perfect, attack="no", values=0 * perfect.values),
    )
    attacks = [perfect, again, constant]
    errors = Resampling.draw(attacks, np.random.default_rng(0), resamples=50)
    estimates, accuracies = estimate_aucs(attacks, errors), estimate_accuracies(attacks, errors)
    interval, same = estimates.intervals[0], paired_difference(perfect, again, errors)
    assert interval.low < 0.99 < interval.value == interval.high == 1.0
    assert accuracies[0] == balanced_accuracy_interval(1.0, 1.0, 43, 12)
    assert same.low < same.value == 0 < same.high
    assert estimates.auc[2] == accuracies[2].value == 0.5
    assert estimates.correlation.tolist() == np.eye(3).tolist()


def test_attackers_who_agree_add_no_people():
    rng = np.random.default_rng(10)
    home = np.repeat([0, 1, -1], [30, 20, 25])
    values = rng.normal(size=(1, 2, 75)) + 0.5 * (home == np.arange(2)[:, None])
    server = among_parties(values, home, attackers=["server"], victims=["a", "b"])
    crowd = among_parties(np.repeat(values, 6, axis=0), home, attackers="uvwxyz", victims=["a", "b"])
    found = []
    for attack in (server, crowd):
        errors = Resampling.draw([attack], np.random.default_rng(0), resamples=100)
        estimates, (accuracy,) = estimate_aucs([attack], errors), estimate_accuracies([attack], errors)
        found.append([*estimates.auc, *estimates.standard_error, accuracy.low, accuracy.value, accuracy.high])
        assert estimates.members == 50
    np.testing.assert_allclose(*found)


def test_attacks_that_cannot_be_compared_are_refused():
    attacks, _ = federate(np.random.default_rng(11), [12, 12], 12, attacks=2)
    with pytest.raises(MisalignedError, match="people"):
        Resampling.draw([attacks[0], attacks[1].of_people(np.arange(30))], np.random.default_rng(0))
    nobody = [replace(a, sides=np.where(a.sides == OUT, -1, a.sides)) for a in attacks]
    with pytest.raises(TooFewSubjectsError, match="hold out more"):
        Resampling.draw(nobody, np.random.default_rng(0))


def test_one_pair_alone_gives_what_the_pairs_table_says():
    (attack,), _ = federate(np.random.default_rng(18), [20, 25], 30, shift=0.8)
    one = attack.of_rows([1])
    errors = Resampling.draw([one], np.random.default_rng(0), resamples=500)
    estimates, (accuracy,) = estimate_aucs([one], errors), estimate_accuracies([one], errors)
    (row,) = pair_results([one], np.random.default_rng(0), permutations=99)
    assert estimates.auc[0] == pytest.approx(row.auc.value)
    assert (estimates.members[0], estimates.nonmembers[0]) == (row.members, row.nonmembers) == (20, 30)
    assert accuracy.value == pytest.approx(row.accuracy.value)
    assert accuracy.low <= row.accuracy.low + 1e-9


def test_an_attack_that_saw_nothing_of_a_victim_does_not_count_its_people():
    attacks, _ = federate(np.random.default_rng(19), [20, 25, 15], 30, attacks=2)
    blind = [row.victim == "site 1" for row in attacks[1].rows]
    values, sides = attacks[1].values.copy(), attacks[1].sides.copy()
    values[blind], sides[blind] = np.nan, -1
    attacks[1] = replace(attacks[1], values=values, sides=sides)
    errors = Resampling.draw(attacks, np.random.default_rng(0), resamples=50)
    assert estimate_aucs(attacks, errors).members.tolist() == [60, 35]
    alike = {f"site {v}": np.zeros(90, dtype=int) for v in range(3)}
    assert errors.aucs_within(aligned(attacks), alike).members.tolist() == [60, 35]


@pytest.mark.parametrize(("shift", "ratio"), [(0.0, 1.0), (1.5, 1.11)])
def test_thresholds_by_share_vary_with_the_people(shift, ratio):
    """With fewer members than others and a leak, the accuracy then varies more: by a tenth in simulations."""
    found = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        (attack,), _ = federate(rng, [30, 30, 30], 60, shift=shift, shared=0.8)
        limits = [
            np.quantile(np.concatenate(sides), len(sides[1]) / sum(map(len, sides)))
            for sides in attack.split()
        ]
        attack = replace(attack, thresholds=np.array(limits))
        errors = Resampling.draw([attack], rng, resamples=50)
        moving, still = (
            estimate_accuracies([replace(attack, fitted=fitted)], errors)[0] for fitted in (False, True)
        )
        assert moving.value == still.value
        found.append((moving.high - moving.low) / (still.high - still.low))
    assert np.mean(found) == pytest.approx(ratio, abs=0.05)
