from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.metrics import roc_auc_score

from memberscan.evidence.roc import (
    aucs_of_rows,
    comparable,
    delong,
    hanley_mcneil_variance,
    influences,
    null_variance,
    null_variance_within,
)


def naive_delong(scores, member):
    """The slow twin: the kernel of every pair of subjects, written out."""
    kernel = [
        (row[member][:, None] > row[~member]) + 0.5 * (row[member][:, None] == row[~member]) for row in scores
    ]
    n1, n0 = member.sum(), (~member).sum()
    covariance = np.cov([k.mean(axis=1) for k in kernel]) / n1 + np.cov([k.mean(axis=0) for k in kernel]) / n0
    return np.array([k.mean() for k in kernel]), np.atleast_2d(covariance)


with_ties = given(
    scores=hnp.arrays(float, (3, 17), elements=st.integers(-4, 4).map(float)), members=st.integers(2, 15)
)


@settings(deadline=None)
@with_ties
def test_midranks_equal_the_naive_twin_with_ties(scores, members):
    member = np.arange(17) < members
    auc, covariance = delong(scores, member)
    expected_auc, expected = naive_delong(scores, member)
    np.testing.assert_allclose(auc, expected_auc, atol=1e-12)
    np.testing.assert_allclose(covariance, expected, atol=1e-12)


@settings(deadline=None)
@with_ties
def test_noise_is_the_variance_over_the_others_that_a_person_is_compared_with(scores, members):
    member = np.arange(17) < members
    _, _, noise = influences(scores, member)
    for row, found in zip(scores, noise, strict=True):
        for person in range(17):
            others = row[member != member[person]]
            wins = (row[person] > others) + 0.5 * (row[person] == others)
            side = (member == member[person]).sum()
            expected = wins.var(ddof=1) / len(others) / (side * (side - 1))
            assert found[person] == pytest.approx(expected, abs=1e-12)


def test_auc_equals_scikit_learn_and_covariance_is_symmetric():
    rng = np.random.default_rng(1)
    scores, member = rng.normal(size=(4, 101)), rng.random(101) < 0.4
    auc, covariance = delong(scores, member)
    np.testing.assert_allclose(auc, [roc_auc_score(member, row) for row in scores])
    np.testing.assert_allclose(covariance, covariance.T)
    assert (np.linalg.eigvalsh(covariance) > 0).all()


def test_delong_covariance_matches_the_spread_over_samples():
    rng = np.random.default_rng(2)
    member = np.arange(90) < 40
    aucs, covariances = [], []
    for _ in range(1500):
        shared = rng.normal(size=90) + 0.8 * member
        auc, covariance = delong(np.stack([shared, shared + rng.normal(size=90)]), member)
        aucs.append(auc)
        covariances.append(covariance)
    np.testing.assert_allclose(np.mean(covariances, axis=0), np.cov(np.transpose(aucs)), rtol=0.1)


def test_strata_compare_like_with_like_only():
    rng = np.random.default_rng(3)
    strata = np.repeat([0, 1, 2], 40)
    member = rng.random(120) < np.array([0.2, 0.5, 0.8])[strata]
    scores = (rng.normal(size=120) + 10.0 * strata)[None]
    inside = [roc_auc_score(member[strata == s], scores[0, strata == s]) for s in range(3)]
    pairs = [member[strata == s].sum() * (~member[strata == s]).sum() for s in range(3)]
    auc, _ = delong(scores, member, strata)
    assert auc[0] == pytest.approx(np.average(inside, weights=pairs))
    assert delong(scores, member)[0][0] > 0.7


def test_strata_with_one_side_missing_drop_out():
    member = np.array([True, True, False, False, True, True, True, False])
    strata = np.array([0, 0, 0, 0, 1, 1, 2, 2])
    assert comparable(member, strata).tolist() == [True] * 4 + [False] * 4
    scores = np.arange(8.0)[None]
    np.testing.assert_array_equal(delong(scores, member, strata)[0], delong(scores[:, :4], member[:4])[0])


def test_one_stratum_is_no_stratification():
    rng = np.random.default_rng(4)
    scores, member = rng.normal(size=(2, 30)), np.arange(30) < 13
    for one, other in zip(
        delong(scores, member), delong(scores, member, np.zeros(30, dtype=int)), strict=True
    ):
        np.testing.assert_allclose(one, other)


@given(hnp.arrays(float, (4, 11), elements=st.integers(0, 5).map(float)), st.integers(0, 2**32 - 1))
@settings(max_examples=40, deadline=None)
def test_aucs_of_rows_equal_scikit_learn(scores, seed):
    labels = np.random.default_rng(seed).permuted(np.tile(np.arange(11) < 4, (4, 1)), axis=1).astype(float)
    expected = [roc_auc_score(*pair) for pair in zip(labels, scores, strict=True)]
    np.testing.assert_allclose(aucs_of_rows(scores, labels), expected)


def test_planning_variance_at_chance_is_the_exact_null_variance():
    assert float(hanley_mcneil_variance(0.5, 31, 47)) == pytest.approx(float(null_variance(31, 47)))


def test_the_variance_by_chance_within_strata_is_that_of_simulated_aucs():
    rng = np.random.default_rng(8)
    # Two lopsided strata, and one in which nobody is comparable.
    strata, member = np.repeat([0, 1, 2], [60, 60, 5]), np.zeros(125, dtype=bool)
    member[:6] = member[60:114] = member[-1] = True
    aucs = delong(rng.normal(size=(4000, 125)), member, strata)[0]
    assert null_variance_within(member, strata) == pytest.approx(aucs.var(), rel=0.08)
    kept = strata < 2
    assert null_variance_within(member, strata) > 2 * null_variance(60, 60)
    assert null_variance_within(member[kept], np.zeros(120, dtype=int)) == pytest.approx(
        null_variance(60, 60)
    )
    assert null_variance_within(member, member.astype(int)) == 0
