"""Pairs among people alike in their covariates: against loops, and where only confounding is to be found."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from memberscan.evidence.blind import FOLDS, out_of_fold
from memberscan.evidence.confounding import blind_strata
from memberscan.evidence.pairs import PairScores
from memberscan.evidence.pooled import pooled
from memberscan.evidence.within_pairs import placements, within_pairs


def rest(scores, features):
    """Return normal scores of ranks, without what the covariates explain."""
    z = stats.norm.ppf((stats.rankdata(scores) - 0.5) / len(scores))
    x = np.column_stack([np.ones(len(z)), features])
    return z - x @ np.linalg.lstsq(x, z, rcond=None)[0]


def naive(attack, home, strata, features, compared):
    """Return the mean over pairs of the AUC within strata, by loops."""
    aucs = []
    for a, attacker in enumerate(attack.attackers):
        for v, victim in enumerate(attack.victims):
            if attacker == victim or v not in compared:
                continue
            asked = np.flatnonzero((home == v) | (home == -1))
            row = attack.scores[a, v, asked]
            scored = ~np.isnan(row)
            left = np.full(len(row), np.nan)
            left[scored] = rest(row[scored], features[v][scored])
            wins = pairs = 0.0
            for stratum in np.unique(strata[v][scored]):
                here = scored & (strata[v] == stratum)
                inside, outside = left[here & (home[asked] == v)], left[here & (home[asked] == -1)]
                if min(len(inside), len(outside)) < 2:
                    continue
                wins += sum((i > o) + (i == o) / 2 for i in inside for o in outside)
                pairs += len(inside) * len(outside)
            aucs.append(wins / pairs)
    return np.mean(aucs)


def blinds(rng, age, home, victims, noise=0):
    """Return strata and features for each victim, as the check without a model makes them."""
    strata, features = [], []
    for v in range(victims):
        asked = (home == v) | (home == -1)
        columns = np.column_stack([age[asked], rng.normal(size=(asked.sum(), noise))])
        columns = (columns - columns.mean(axis=0)) / columns.std(axis=0)
        inside = (home == v)[asked]
        folds = rng.permutation(len(inside))[None] % FOLDS
        strata.append(blind_strata(out_of_fold(columns, inside[None].astype(float), folds)[0], inside))
        features.append(columns)
    return strata, features


def test_it_is_what_loops_give(federate):
    rng = np.random.default_rng(0)
    attacks, home = federate(rng, (15, 20, 11), 25, shift=0.4, attacks=2)
    attacks[0].scores[...] = attacks[0].scores.round(1)  # ties
    for attack in attacks:
        attack.scores[:, :, np.flatnonzero(home == -1)[:5]] = np.nan
    strata, features = blinds(rng, rng.normal(size=len(home)), home, 3)
    found = within_pairs(attacks, home, strata, features, np.random.default_rng(1), resamples=50)
    assert found is not None and found.attacks == ("attack 0", "attack 1")
    for k, attack in enumerate(attacks):
        assert found.auc[k] == pytest.approx(naive(attack, home, strata, features, {0, 1, 2}))


def test_one_stratum_and_a_covariate_that_explains_nothing_change_little(federate):
    rng = np.random.default_rng(2)
    attacks, home = federate(rng, (30, 30), 60, shift=0.8)
    asked = [((home == v) | (home == -1)).sum() for v in range(2)]
    strata = [np.zeros(n, dtype=int) for n in asked]
    features = [rng.normal(size=(n, 1)) for n in asked]
    within = within_pairs(attacks, home, strata, features, np.random.default_rng(3))
    plain = pooled(attacks, home, np.random.default_rng(3)).joint
    assert within is not None
    assert within.auc[0] == pytest.approx(plain.auc[0], abs=0.02)
    assert within.standard_error[0] == pytest.approx(plain.standard_error[0], rel=0.15)


def test_a_victim_with_nobody_alike_drops_out_and_none_at_all_is_said(federate):
    rng = np.random.default_rng(4)
    attacks, home = federate(rng, (20, 20), 30)
    strata, features = blinds(rng, rng.normal(size=len(home)), home, 2)
    apart = [(home[(home == v) | (home == -1)] == v).astype(int) for v in range(2)]
    one = within_pairs(attacks, home, [apart[0], strata[1]], features, np.random.default_rng(5))
    assert one is not None
    assert one.auc[0] == pytest.approx(naive(attacks[0], home, [apart[0], strata[1]], features, {1}))
    assert one.members[0] <= 20
    assert within_pairs(attacks, home, apart, features, np.random.default_rng(5)) is None


def confounded(rng, leak=0.0, side=30, learners=4):
    """Draw learners of different ages whose scores follow age; members leak by ``leak`` on top."""
    home = np.repeat([*range(learners), -1], [*[side] * learners, 2 * side])
    age = rng.normal(size=len(home)) + np.where(home == -1, 0, np.linspace(-1, 1, learners)[home])
    own = home == np.arange(learners)[:, None]
    subject = 0.8 * age + 0.6 * rng.normal(size=len(home))
    scores = subject + 0.3 * rng.normal(size=(learners, learners, len(home))) + leak * own
    # Each victim's attackers have learnt that its people are the young, or the old.
    scores *= np.sign(np.linspace(-1, 1, learners))[:, None]
    scores += 2 * leak * own
    scores = np.where(own[:, None], np.nan, scores)
    scores[np.arange(learners), np.arange(learners)] = np.nan
    names = tuple(f"site {k}" for k in range(learners))
    return PairScores("x", True, names, names, scores, np.zeros((learners, learners))), home, age


def test_pure_confounding_does_not_pass_for_a_leak():
    rng, repetitions, plain, within = np.random.default_rng(6), 100, 0, 0
    for _ in range(repetitions):
        attack, home, age = confounded(rng)
        strata, features = blinds(rng, age, home, 4, noise=2)
        plain += pooled([attack], home, rng, resamples=100).joint.intervals[0].low > 0.5
        found = within_pairs([attack], home, strata, features, rng, resamples=100)
        assert found is not None
        within += found.intervals[0].low > 0.5
    # A two-sided 95% interval lies above a half in one audit out of forty.
    assert stats.binomtest(within, repetitions, 0.025, "greater").pvalue > 0.01
    assert plain > 0.9 * repetitions


def test_a_leak_beside_confounding_is_still_found():
    rng, found = np.random.default_rng(7), 0
    for _ in range(20):
        attack, home, age = confounded(rng, leak=0.6)
        within = within_pairs([attack], home, *blinds(rng, age, home, 4), rng, resamples=200)
        assert within is not None
        found += within.simultaneous_low[0] > 0.5
    assert found >= 16


def test_placements_are_mean_places_among_the_held_out(federate):
    (attack,), home = federate(np.random.default_rng(8), (12, 14, 3), 20)
    attack.scores[:, :, -6:] = np.nan
    attack.scores[...] = attack.scores.round(1)
    found = placements(attack, home)
    for s in range(len(home)):
        places = []
        for a in range(3):
            for v in (0, 1):  # the third has too few people to be compared
                row, outside = attack.scores[a, v], attack.scores[a, v, home == -1]
                outside = outside[~np.isnan(outside)]
                if a != v and not np.isnan(row[s]) and home[s] in (v, -1):
                    places.append(np.mean((outside < row[s]) + (outside == row[s]) / 2))
        expected = np.mean(places) if places else np.nan
        np.testing.assert_allclose(found.scores[0, s], expected, atol=1e-12)
    assert np.nanmean(found.scores[0, home == -1]) == pytest.approx(0.5)
    assert np.isnan(found.scores[0, -6:]).all() and 0 <= found.thresholds[0] <= 1


def test_placements_rank_people_whatever_the_scale_of_each_pair(federate):
    (attack,), home = federate(np.random.default_rng(9), (12, 14), 20, shift=1.0)
    scale = np.exp(np.arange(4.0)).reshape(2, 2, 1)
    stretched = PairScores(
        attack.attack,
        True,
        attack.attackers,
        attack.victims,
        attack.scores * scale + 7 * scale,
        attack.thresholds * scale[..., 0] + 7 * scale[..., 0],
    )
    one, other = placements(attack, home), placements(stretched, home)
    np.testing.assert_allclose(one.scores, other.scores, atol=1e-12)
    np.testing.assert_allclose(one.thresholds, other.thresholds)
