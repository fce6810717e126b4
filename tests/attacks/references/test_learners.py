"""The two learners of stacking, against scikit-learn and on laws that only one of them can learn."""

from __future__ import annotations

import numpy as np
from sklearn.linear_model import LogisticRegression

from memberscan.attacks.references.learners import PENALTY, logistic, trees
from memberscan.evidence.roc import aucs_of_rows


def auc(scores: np.ndarray, member: np.ndarray) -> float:
    return float(aucs_of_rows(scores[None], member[None].astype(float))[0])


def test_the_logistic_regression_is_scikit_learn_s():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(500, 4)) * [1, 10, 0.1, 1] + 3
    member = rng.random(500) < 1 / (1 + np.exp(3 - values[:, 0]))
    standard = (values - values.mean(axis=0)) / values.std(axis=0)
    theirs = LogisticRegression(C=1 / (PENALTY * 500), tol=1e-10, max_iter=1000).fit(standard, member)
    np.testing.assert_allclose(
        logistic(values, member)(values), theirs.decision_function(standard), atol=1e-5
    )


def test_it_is_finite_where_columns_repeat_or_decide_everything():
    rng = np.random.default_rng(1)
    member = np.arange(200) % 2 == 0
    values = np.stack([member * 2.0, member * 2.0, np.ones(200), rng.normal(size=200)], axis=1)
    for learn in (logistic, trees):
        found = learn(values, member)(values)
        assert np.isfinite(found).all() and auc(found, member) == 1


def test_trees_find_a_band_which_no_line_can():
    rng = np.random.default_rng(2)
    values = rng.uniform(0, 3, (4000, 3))
    member = (np.abs(values[:, 0] - 1) < 0.1) | (rng.random(4000) < 0.3)
    fresh = rng.uniform(0, 3, (4000, 3))
    band = np.abs(fresh[:, 0] - 1) < 0.1
    assert auc(trees(values, member)(fresh), band) > 0.95
    assert auc(logistic(values, member)(fresh), band) < 0.8


def test_trees_are_the_same_again():
    rng = np.random.default_rng(3)
    values, member = rng.normal(size=(600, 5)), rng.random(600) < 0.5
    np.testing.assert_array_equal(trees(values, member)(values), trees(values, member)(values))
