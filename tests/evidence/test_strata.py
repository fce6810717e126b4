"""Attacks among people alike in their covariates: against loops, and where there is only confounding."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from memberscan.evidence.blind import FOLDS, blind_check, out_of_fold
from memberscan.evidence.confounding import blind_strata
from memberscan.evidence.delong import DeLong
from memberscan.evidence.design_matrix import standardise_covariates
from memberscan.evidence.estimates import estimate_aucs
from memberscan.evidence.resampling import Resampling
from memberscan.evidence.roc import null_variance, null_variance_within
from memberscan.evidence.scores import IN, MODEL, OUT
from memberscan.evidence.strata import Strata, adjust, estimate_within_strata

from .simulated import among_parties, federate, once, simulate


def rest(values, features):
    """Return normal scores of ranks, without what the covariates explain."""
    z = stats.norm.ppf((stats.rankdata(values) - 0.5) / len(values))
    x = np.column_stack([np.ones(len(z)), features])
    return z - x @ np.linalg.lstsq(x, z, rcond=None)[0]


def naive(attack, strata, targets):
    """Return the mean over rows of the AUC within strata, by loops."""
    aucs = []
    for row, values, sides in zip(attack.rows, attack.values, attack.sides, strict=True):
        if row.target not in targets:
            continue
        kept = sides != -1
        left, labels = np.full(len(values), np.nan), strata[row.target].labels
        left[kept] = rest(values[kept], strata[row.target].features[kept])
        wins = pairs = 0.0
        for stratum in np.unique(labels[kept]):
            inside, outside = (left[(labels == stratum) & (sides == side)] for side in (IN, OUT))
            if min(len(inside), len(outside)) < 2:
                continue
            wins += sum((i > o) + (i == o) / 2 for i in inside for o in outside)
            pairs += len(inside) * len(outside)
        aucs.append(wins / pairs)
    return np.mean(aucs)


def checks(rng, age, home, victims, noise=0):
    """Return the strata of each victim, as the check without a model makes them."""
    strata = {}
    for v in range(victims):
        asked = (home == v) | (home == -1)
        columns = np.column_stack([age[asked], rng.normal(size=(asked.sum(), noise))])
        columns = (columns - columns.mean(axis=0)) / columns.std(axis=0)
        inside = (home == v)[asked]
        folds = rng.permutation(len(inside))[None] % FOLDS
        labels, features = np.full(len(home), -1), np.full((len(home), columns.shape[1]), np.nan)
        labels[asked] = blind_strata(out_of_fold(columns, inside, folds), inside)
        features[asked] = columns
        strata[f"site {v}"] = Strata(labels, features)
    return strata


def estimate_pairs(attacks, strata, rng, resamples=1000):
    return estimate_within_strata(attacks, strata, Resampling.draw(attacks, rng, resamples=resamples))


def test_adjusted_scores_are_unrelated_to_the_covariates_and_keep_who_was_known():
    rng = np.random.default_rng(0)
    attacks, _ = simulate(rng, 40, 50)
    features = rng.normal(size=(90, 3))
    for before in attacks:
        after = adjust(before, {MODEL: Strata(np.zeros(90, dtype=int), features)})
        np.testing.assert_array_equal(before.sides, after.sides)
        np.testing.assert_array_equal(before.compared, after.compared)
        for row, scored in zip(after.values, after.compared, strict=True):
            assert np.abs(features[scored].T @ row[scored]).max() < 1e-9
            assert row[scored].sum() == pytest.approx(0, abs=1e-9)


def test_a_check_of_some_people_is_laid_out_over_all():
    rng = np.random.default_rng(1)
    looked_at = np.arange(50) % 5 > 0
    table = pd.DataFrame({"age": rng.normal(size=40)})
    check = blind_check(table, np.arange(40) < 20, rng)
    strata, everyone = Strata.of_check(check, looked_at), Strata.of_check(check)
    np.testing.assert_array_equal(strata.labels[looked_at], everyone.labels)
    np.testing.assert_array_equal(strata.features[looked_at], everyone.features)
    assert (strata.labels[~looked_at] == -1).all() and np.isnan(strata.features[~looked_at]).all()


@pytest.mark.parametrize("digits", [None, 1])
def test_pairs_are_what_loops_give(digits):
    rng = np.random.default_rng(0)
    attacks, home = federate(rng, (15, 20, 11), 25, shift=0.4, attacks=2, known=5, digits=digits)
    strata = checks(rng, rng.normal(size=len(home)), home, 3)
    found = estimate_pairs(attacks, strata, np.random.default_rng(1), resamples=50)
    assert found is not None and found.attacks == ("attack 0", "attack 1")
    for k, attack in enumerate(attacks):
        assert found.auc[k] == pytest.approx(naive(attack, strata, set(strata)))


def test_draws_are_what_loops_give():
    rng = np.random.default_rng(2)
    attacks, _ = simulate(rng, 60, 70, shift=0.5)
    strata = {MODEL: Strata(rng.integers(0, 2, 130), rng.normal(size=(130, 2)))}
    found = estimate_within_strata(attacks, strata, DeLong())
    for k, attack in enumerate(attacks):
        assert found.auc[k] == pytest.approx(naive(attack, strata, {MODEL}))


def test_one_stratum_and_a_covariate_that_explains_nothing_change_little():
    rng = np.random.default_rng(2)
    attacks, home = federate(rng, (30, 30), 60, shift=0.8)
    strata = {
        f"site {v}": Strata(np.zeros(len(home), dtype=int), rng.normal(size=(len(home), 1))) for v in range(2)
    }
    within = estimate_pairs(attacks, strata, np.random.default_rng(3))
    plain = estimate_aucs(attacks, Resampling.draw(attacks, np.random.default_rng(3)))
    assert within is not None
    assert within.auc[0] == pytest.approx(plain.auc[0], abs=0.02)
    assert within.standard_error[0] == pytest.approx(plain.standard_error[0], rel=0.15)


def test_a_victim_with_nobody_alike_drops_out_and_none_at_all_is_said():
    rng = np.random.default_rng(4)
    attacks, home = federate(rng, (20, 20), 30)
    strata = checks(rng, rng.normal(size=len(home)), home, 2)
    apart = {name: Strata(np.where(home == v, 1, 0), strata[name].features) for v, name in enumerate(strata)}
    mixed = strata | {"site 0": apart["site 0"]}
    one = estimate_pairs(attacks, mixed, np.random.default_rng(5))
    assert one is not None
    assert one.auc[0] == pytest.approx(naive(attacks[0], mixed, {"site 1"}))
    assert one.members[0] <= 20
    assert estimate_pairs(attacks, apart, np.random.default_rng(5)) is None


def test_nothing_comparable_in_a_draw_is_said():
    member = np.arange(60) < 30
    strata = {MODEL: Strata(member.astype(int), np.zeros((60, 1)))}
    assert estimate_within_strata([once("error", np.zeros(60), member)], strata, DeLong()) is None


def confounded_model(rng, side, *, shift, dependence, noise, leak=0.0):
    """Scores that depend on age, with members older; out-of-fold blind score as in the check."""
    member = np.arange(2 * side) < side
    age = rng.normal(size=2 * side) + shift * member
    table = pd.DataFrame(rng.normal(size=(2 * side, noise))).assign(age=age)
    table.columns = table.columns.map(str)
    features = standardise_covariates(table).straight.added
    folds = rng.permutation(2 * side)[None] % FOLDS
    labels = blind_strata(out_of_fold(features, member, folds), member)
    effect = dependence * (age if dependence > 0 else np.abs(age))
    values = effect + np.sqrt(1 - dependence**2) * rng.normal(size=2 * side) + leak * member
    return [once("error", values, member)], {MODEL: Strata(labels, features)}


@pytest.mark.parametrize(
    ("side", "shift", "dependence", "noise"),
    [(60, 1.0, 0.9, 0), (60, 0.5, 0.7, 10), (250, 1.0, 0.9, 10), (250, 1.0, -0.7, 0)],
)
def test_pure_confounding_of_a_model_does_not_pass_for_a_leak(side, shift, dependence, noise):
    rng, repetitions, strata_alone, both = np.random.default_rng(side), 120, 0, 0
    for _ in range(repetitions):
        attacks, strata = confounded_model(rng, side, shift=shift, dependence=dependence, noise=noise)
        unadjusted = DeLong().aucs_within(attacks, {MODEL: strata[MODEL].labels})
        # None is too few alike, which is no leak.
        strata_alone += unadjusted is not None and unadjusted.simultaneous_low[0] > 0.5
        both += estimate_within_strata(attacks, strata, DeLong()).simultaneous_low[0] > 0.5
    assert stats.binomtest(both, repetitions, 0.05, "greater").pvalue > 0.01
    if noise and dependence > 0.8:
        assert strata_alone > 0.5 * repetitions  # why the scores are adjusted as well


def test_a_leak_of_a_model_beside_confounding_is_still_found():
    rng, found = np.random.default_rng(1), 0
    for _ in range(40):
        attacks, strata = confounded_model(rng, 150, shift=1.0, dependence=0.5, noise=3, leak=1.0)
        found += estimate_within_strata(attacks, strata, DeLong()).simultaneous_low[0] > 0.5
    assert found >= 32


def confounded_parties(rng, leak=0.0, side=30, learners=4):
    """Draw learners of different ages whose scores follow age; members leak by ``leak`` on top."""
    home = np.repeat([*range(learners), -1], [*[side] * learners, 2 * side])
    age = rng.normal(size=len(home)) + np.where(home == -1, 0, np.linspace(-1, 1, learners)[home])
    own = home == np.arange(learners)[:, None]
    person = 0.8 * age + 0.6 * rng.normal(size=len(home))
    values = person + 0.3 * rng.normal(size=(learners, learners, len(home))) + leak * own
    # Each victim's attackers have learnt that its people are the young, or the old.
    values *= np.sign(np.linspace(-1, 1, learners))[:, None]
    values += 2 * leak * own
    values = np.where(own[:, None], np.nan, values)
    names = [f"site {k}" for k in range(learners)]
    return among_parties(values, home, attackers=names, victims=names), home, age


def test_pure_confounding_of_parties_does_not_pass_for_a_leak():
    rng, repetitions, plain, within = np.random.default_rng(6), 100, 0, 0
    for _ in range(repetitions):
        attack, home, age = confounded_parties(rng)
        strata = checks(rng, age, home, 4, noise=2)
        errors = Resampling.draw([attack], rng, resamples=100)
        plain += estimate_aucs([attack], errors).intervals[0].low > 0.5
        found = estimate_pairs([attack], strata, rng, resamples=100)
        assert found is not None
        within += found.intervals[0].low > 0.5
    # A two-sided 95% interval lies above a half in one audit out of forty.
    assert stats.binomtest(within, repetitions, 0.025, "greater").pvalue > 0.01
    assert plain > 0.9 * repetitions


def test_a_leak_of_parties_beside_confounding_is_still_found():
    rng, found = np.random.default_rng(7), 0
    for _ in range(20):
        attack, home, age = confounded_parties(rng, leak=0.6)
        within = estimate_pairs([attack], checks(rng, age, home, 4), rng, resamples=200)
        assert within is not None
        found += within.simultaneous_low[0] > 0.5
    assert found >= 16


def test_lopsided_strata_of_parties_add_to_the_variance_that_is_planned_with():
    rng, side = np.random.default_rng(0), 60
    attack, home, _ = confounded_parties(rng, side=side, learners=2)
    lopsided = np.where(home == -1, np.arange(len(home)) % 10 == 0, np.arange(len(home)) % 10 > 0)
    strata = {f"site {k}": lopsided.astype(int) for k in range(2)}
    errors = Resampling.draw([attack], rng, resamples=50)
    assert errors.aucs([attack]).design_effect.tolist() == [1.0]
    found = errors.aucs_within([attack], strata)
    assert found is not None
    people = home != 1
    expected = null_variance_within(home[people] == 0, lopsided[people].astype(int))
    assert found.design_effect[0] == pytest.approx(expected / null_variance(side, 2 * side))
    assert found.design_effect[0] > 2
