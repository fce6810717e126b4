from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats

from memberscan.errors import MisalignedError, NonFiniteError, TooFewSubjectsError
from memberscan.evidence.intervals import auc_interval, balanced_accuracy_interval
from memberscan.evidence.pairs import (
    PairScores,
    compared,
    holm,
    pair_results,
    permutation_p_values,
)
from memberscan.evidence.roc import delong


def constant(attackers=("a", "b"), victims=("a", "b"), subjects=30, value=0.0):
    scores = np.full((len(attackers), len(victims), subjects), value)
    for a, attacker in enumerate(attackers):
        for v, victim in enumerate(victims):
            if attacker == victim:
                scores[a, v] = np.nan
    return PairScores("loss", False, attackers, victims, scores, np.zeros(scores.shape[:2]))


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"scores": np.zeros((2, 30))}, MisalignedError),
        ({"scores": np.zeros((1, 2, 30))}, MisalignedError),
        ({"thresholds": np.zeros(2)}, MisalignedError),
        ({"thresholds": np.full((2, 2), np.nan)}, NonFiniteError),
        ({"attackers": ("a", "a")}, MisalignedError),
        ({"victims": ("b", "b")}, MisalignedError),
        ({"scores": np.zeros((2, 2, 30))}, MisalignedError),
        ({"scores": np.full((2, 2, 30), np.inf)}, NonFiniteError),
    ],
)
def test_malformed_pairs_are_refused_by_name(change, error):
    with pytest.raises(error, match="attack loss"):
        replace(constant(), **change)


@pytest.mark.parametrize(
    ("home", "message"),
    [
        (np.zeros(29, dtype=int), "whole number per subject"),
        (np.zeros((30, 1), dtype=int), "whole number per subject"),
        (np.zeros(30), "float64"),
        (np.full(30, 2), "from 2 to 2"),
        (np.full(30, -2), "-1 for held-out"),
    ],
)
def test_homes_must_be_victims_or_held_out(home, message):
    with pytest.raises(MisalignedError, match=message):
        compared([constant()], home)
    with pytest.raises(MisalignedError, match=message):
        pair_results(constant(), home, np.random.default_rng(0))


def test_attacks_must_share_victims_and_differ_in_name():
    home = np.repeat([0, 1, -1], 10)
    with pytest.raises(MisalignedError, match="names that differ"):
        compared([constant(), constant()], home)
    with pytest.raises(MisalignedError, match="names that differ"):
        compared([], home)
    with pytest.raises(MisalignedError, match="different victims"):
        compared([constant(), replace(constant(victims=("b", "a")), attack="other")], home)


def test_pairs_compare_the_same_subjects_or_are_refused():
    attack, home = constant(("a", "b", "server")), np.repeat([0, 1, -1], [10, 9, 11])
    scores = attack.scores.copy()
    scores[0][:, home == 0] = np.nan
    scores[:, :, -1] = np.nan
    sides = compared([replace(attack, scores=scores)], home)
    assert [len(inside) for inside in sides.inside] == [10, 0]
    assert sides.outside.tolist() == list(range(19, 29))
    assert sides.pairs(attack).tolist() == [[False, False], [True, False], [True, False]]
    for subject in (0, 20):
        other = scores.copy()
        other[1, 0, subject] = np.nan
        with pytest.raises(MisalignedError, match="1 subjects are scored in some pairs"):
            compared([replace(attack, scores=other)], home)
        with pytest.raises(MisalignedError, match="1 subjects are scored in some pairs"):
            compared([replace(attack, scores=scores), replace(attack, attack="f", scores=other)], home)
    scores[:, :, -2] = np.nan
    with pytest.raises(TooFewSubjectsError, match="attack loss has no pair"):
        compared([replace(attack, scores=scores)], home)


def test_results_equal_those_of_each_pair_alone(federate):
    (attack, *_), home = federate(np.random.default_rng(0), [12, 9, 17], 15, shift=0.8)
    results = pair_results(attack, home, np.random.default_rng(1), permutations=99)
    assert [(r.attacker, r.victim) for r in results] == [
        (a, v) for a in attack.attackers for v in attack.victims if a != v
    ]
    p_values = [r.p_value for r in results if r.victim != "site 1"]
    corrected = iter(holm(np.array(p_values)))
    for result in results:
        a, v = attack.attackers.index(result.attacker), attack.victims.index(result.victim)
        assert (result.members, result.nonmembers) == ((home == v).sum(), 15)
        json.dumps(result.to_dict(), allow_nan=False)
        if v == 1:
            assert result.reason == "needs 10 members and 10 non-members scored, has 9 and 15"
            assert result.to_dict()["auc"] is result.p_value is result.p_holm is None
            continue
        kept = (home == v) | (home == -1)
        row, member = attack.scores[a, v, kept], home[kept] == v
        auc, covariance = delong(row[None], member)
        assert result.auc == auc_interval(auc[0], np.sqrt(covariance[0, 0]), member.sum(), 15)
        said = row > attack.thresholds[a, v]
        expected = balanced_accuracy_interval(said[member].mean(), (~said)[~member].mean(), member.sum(), 15)
        assert result.accuracy == expected
        assert result.p_holm == next(corrected)
        assert result.reason is None


def test_subjects_of_other_learners_and_unscored_ones_do_not_matter(federate):
    (attack, *_), home = federate(np.random.default_rng(2), [12, 12, 12], 12)
    scores = attack.scores.copy()
    scores[0, 1, home == 2] = 1e9
    scores[:, :, -1] = np.nan
    first = pair_results(replace(attack, scores=scores), home, np.random.default_rng(0), permutations=9)[0]
    kept = np.flatnonzero((home == 1) | (home == -1))[:-1]
    alone = PairScores("loss", False, ("x",), ("y",), scores[:1, 1:2, kept], attack.thresholds[:1, 1:2])
    (expected,) = pair_results(
        alone, np.where(home[kept] == 1, 0, -1), np.random.default_rng(0), permutations=9
    )
    assert (first.auc, first.accuracy, first.nonmembers) == (expected.auc, expected.accuracy, 11)


def test_without_a_pair_large_enough_every_result_has_a_reason():
    results = pair_results(constant(), np.repeat([0, 1, -1], [9, 9, 12]), np.random.default_rng(0))
    assert [r.p_value for r in results] == [None, None]
    assert all(r.reason for r in results)


@given(hnp.arrays(float, st.integers(0, 30), elements=st.floats(0, 1)))
def test_holm_equals_its_definition(p_values):
    corrected, greatest = holm(p_values), 0.0
    expected = np.empty(len(p_values))
    for done, k in enumerate(np.argsort(p_values, kind="stable")):
        greatest = max(greatest, min(1.0, (len(p_values) - done) * p_values[k]))
        expected[k] = greatest
    np.testing.assert_array_equal(corrected, expected)


def test_p_values_agree_with_scipy_and_the_exact_distribution():
    rng = np.random.default_rng(3)
    samples = [(rng.normal(0.4, 1, 12), rng.normal(size=14)) for _ in range(3)]
    exact = [stats.mannwhitneyu(*sides, alternative="greater", method="exact").pvalue for sides in samples]
    np.testing.assert_allclose(permutation_p_values(samples, rng, 9999), exact, atol=0.015)
    tied = [(rng.integers(0, 3, 11).astype(float), rng.integers(0, 3, 10).astype(float)) for _ in range(3)]
    for (inside, outside), p in zip(tied, permutation_p_values(tied, rng, 3999), strict=True):
        expected = stats.permutation_test(
            (inside, outside),
            lambda x, y: stats.mannwhitneyu(x, y, method="asymptotic").statistic,
            permutation_type="independent",
            alternative="greater",
            n_resamples=999,
            rng=rng,
        ).pvalue
        assert p == pytest.approx(expected, abs=0.06)


def test_p_values_are_never_zero_and_count_ties_against_the_attack():
    high, low = np.arange(20.0, 35), np.arange(12.0)
    perfect, constant_, reversed_ = permutation_p_values(
        [(high, low), (np.zeros(15), np.zeros(12)), (-high, -low)], np.random.default_rng(0), 999
    )
    assert perfect == 1 / 1000
    assert constant_ == reversed_ == 1.0


@settings(max_examples=20, deadline=None)
@given(st.integers(10, 25), st.integers(10, 25), st.integers(1, 1100))
def test_p_values_lie_on_their_grid_however_many_permutations(members, nonmembers, permutations):
    rng = np.random.default_rng([members, nonmembers])
    (p,) = permutation_p_values([(rng.normal(size=members), rng.normal(size=nonmembers))], rng, permutations)
    assert p * (permutations + 1) == pytest.approx(round(p * (permutations + 1)))
    assert 0 < p <= 1


@pytest.mark.parametrize("levels", [None, 3])
def test_the_permutation_test_of_a_pair_is_exact(levels):
    rng, repetitions = np.random.default_rng(4), 2000
    draws = (
        rng.normal(size=(repetitions, 26)) if levels is None else rng.integers(0, levels, (repetitions, 26))
    )
    p_values = np.concatenate(
        [permutation_p_values([(row[:11], row[11:])], rng, 19) for row in draws.astype(float)]
    )
    for level in (0.05, 0.25):
        rejected = int((p_values <= level + 1e-9).sum())
        assert stats.binomtest(rejected, repetitions, level, "greater").pvalue > 1e-3
        if levels is None:
            assert stats.binomtest(rejected, repetitions, level, "less").pvalue > 1e-3


def test_holm_keeps_the_familywise_error_where_some_learners_leak_and_pairs_share_subjects(federate):
    rng, repetitions, wrong, uncorrected, found = np.random.default_rng(5), 300, 0, 0, 0
    for _ in range(repetitions):
        (attack, *_), home = federate(rng, [12, 12, 12, 12], 14, shared=0.7)
        scores = attack.scores + 3.0 * (home == 0) * (np.arange(4) == 0)[None, :, None]
        results = pair_results(replace(attack, scores=scores), home, rng, permutations=999)
        nulls = [r for r in results if r.victim != "site 0"]
        wrong += min(r.p_holm for r in nulls) <= 0.05
        uncorrected += min(r.p_value for r in nulls) <= 0.05
        found += all(r.p_holm <= 0.05 for r in results if r.victim == "site 0")
    assert stats.binomtest(wrong, repetitions, 0.05, "greater").pvalue > 1e-3
    assert uncorrected > 0.1 * repetitions
    assert found > 0.8 * repetitions
