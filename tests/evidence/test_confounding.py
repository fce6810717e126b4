from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from memberscan.evidence.blind import FOLDS, out_of_fold
from memberscan.evidence.confounding import CALIPER, adjusted, blind_strata, matched_pairs, within_strata
from memberscan.evidence.covariates import design
from memberscan.evidence.joint import joint
from memberscan.evidence.scored import Scored


@given(st.integers(1, 30), st.integers(1, 30), st.integers(0, 2**32 - 1))
def test_matched_subsets_are_balanced_and_every_pair_is_within_the_caliper(members, nonmembers, seed):
    rng = np.random.default_rng(seed)
    member = rng.permutation(np.arange(members + nonmembers) < members)
    score = rng.normal(size=len(member)) + 0.5 * member
    matched = matched_pairs(score, member)
    inside, outside = np.sort(score[matched & member]), np.sort(score[matched & ~member])
    assert len(inside) == len(outside)
    assert (np.abs(inside - outside) <= CALIPER * score.std() + 1e-12).all()


def test_identical_scores_match_everyone_that_can_be():
    member = np.arange(25) < 10
    assert matched_pairs(np.zeros(25), member).sum() == 20


@pytest.mark.parametrize(("side", "bins"), [(12, 2), (60, 3), (250, 12), (5000, 20)])
def test_strata_are_as_many_as_the_subjects_bear_and_ordered(side, bins):
    rng = np.random.default_rng(side)
    score = rng.normal(size=2 * side)
    strata = blind_strata(score, np.arange(2 * side) < side)
    assert np.unique(strata).tolist() == list(range(bins))
    assert all(
        score[strata == low].max() <= score[strata == high].min() for low, high in pairwise(range(bins))
    )


def test_adjusted_scores_are_unrelated_to_the_covariates_and_keep_who_was_known(simulate):
    rng = np.random.default_rng(0)
    attacks, _ = simulate(rng, 40, 50)
    features = rng.normal(size=(90, 3))
    for before, after in zip(attacks, adjusted(attacks, features), strict=True):
        np.testing.assert_array_equal(before.scored, after.scored)
        for row in after.scores:
            scored = ~np.isnan(row)
            assert np.abs(features[scored].T @ row[scored]).max() < 1e-9
            assert row[scored].sum() == pytest.approx(0, abs=1e-9)


def confounded(rng, side, *, shift, dependence, noise, leak=0.0):
    """Scores that depend on age, with members older; out-of-fold blind score as in the check."""
    member = np.arange(2 * side) < side
    age = rng.normal(size=2 * side) + shift * member
    table = pd.DataFrame(rng.normal(size=(2 * side, noise))).assign(age=age)
    table.columns = table.columns.map(str)
    features = design(table).matrix
    folds = rng.permutation(2 * side)[None] % FOLDS
    strata = blind_strata(out_of_fold(features, member[None].astype(float), folds)[0], member)
    effect = dependence * (age if dependence > 0 else np.abs(age))
    scores = effect + np.sqrt(1 - dependence**2) * rng.normal(size=2 * side) + leak * member
    return [Scored("error", False, scores[None], np.zeros(1))], member, strata, features


@pytest.mark.parametrize(
    ("side", "shift", "dependence", "noise"),
    [(60, 1.0, 0.9, 0), (60, 0.5, 0.7, 10), (250, 1.0, 0.9, 10), (250, 1.0, -0.7, 0)],
)
def test_pure_confounding_does_not_pass_for_a_leak(side, shift, dependence, noise):
    rng, repetitions, strata_alone, both = np.random.default_rng(side), 120, 0, 0
    for _ in range(repetitions):
        attacks, member, strata, features = confounded(
            rng, side, shift=shift, dependence=dependence, noise=noise
        )
        strata_alone += joint(attacks, member, strata).simultaneous_low[0] > 0.5
        both += within_strata(attacks, member, strata, features).simultaneous_low[0] > 0.5
    assert stats.binomtest(both, repetitions, 0.05, "greater").pvalue > 0.01
    if noise and dependence > 0.8:
        assert strata_alone > 0.5 * repetitions  # why the scores are adjusted as well


def test_a_leak_beside_confounding_is_still_found():
    rng, found = np.random.default_rng(1), 0
    for _ in range(40):
        arguments = confounded(rng, 150, shift=1.0, dependence=0.5, noise=3, leak=1.0)
        found += within_strata(*arguments).simultaneous_low[0] > 0.5
    assert found >= 32


def test_nothing_comparable_is_said():
    member = np.arange(60) < 30
    attacks = [Scored("error", False, np.zeros((1, 60)), np.zeros(1))]
    assert within_strata(attacks, member, member.astype(int), np.zeros((60, 1))) is None
