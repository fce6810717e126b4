"""Leverage likelihood: leverages against refits, the law against a plain search, and linear models."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.optimize import minimize

from memberscan.attacks.error import ZERO_KNOWLEDGE_ERROR
from memberscan.attacks.leverage_likelihood import (
    LEVERAGE_LIKELIHOOD,
    LEVERAGE_LIKELIHOOD_REFERENCES,
    RIDGE,
    Errors,
    fitted,
    leverages,
    log_likelihood,
    log_ratio,
)
from memberscan.evidence.roc import aucs_of_rows
from memberscan.signals import PREDICTION, View
from memberscan.signals.activations import ACTIVATION
from memberscan.signals.reference_models import REFERENCE_MEMBERS, REFERENCE_PREDICTIONS

from .conftest import scored
from .references.conftest import twins


def linear_model(seed: int, *, people: int = 800, width: int = 150) -> tuple[View, np.ndarray]:
    """Fit least squares to half of the people, whose features differ in length; sigma is 1."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(people, width)) * np.sqrt(4 / rng.chisquare(4, (people, 1)))
    age = 60 + features @ rng.normal(size=width) + rng.normal(size=people)
    member = rng.permutation(people) < people // 2
    weights = np.linalg.lstsq(features[member], age[member] - 60, rcond=None)[0]
    scans = pd.DataFrame({"subject_id": [f"s{k}" for k in range(people)], "label": age})
    scans.index = pd.Index([f"scan {k}" for k in range(people)])
    return View(scans, {PREDICTION: 60 + features @ weights, ACTIVATION: features}), member


def auc(scores: np.ndarray, member: np.ndarray) -> float:
    return float(aucs_of_rows(scores[None], member[None].astype(float))[0])


@pytest.mark.parametrize("width", [6, 30])
def test_a_leverage_is_that_of_a_fit_to_all_other_scans(width: int):
    x = np.random.default_rng(0).normal(size=(20, width)) + 3
    centred = x - x.mean(axis=0)
    penalty = RIDGE * np.mean(np.linalg.svd(centred, compute_uv=False) ** 2)
    # An intercept that is not penalised; the penalty is that of all scans.
    design, allowed = np.column_stack([np.ones(20), x]), np.diag([0.0, *[penalty] * width])
    for k, found in enumerate(leverages(x)):
        others = np.delete(design, k, axis=0)
        assert found == pytest.approx(design[k] @ np.linalg.solve(others.T @ others + allowed, design[k]))


def test_the_ratio_is_that_of_two_normal_densities():
    rng = np.random.default_rng(1)
    r, h, variance = rng.normal(size=9), rng.gamma(2, size=9), 1.7
    inside = stats.norm.logpdf(r, scale=np.sqrt(variance / (1 + h)))
    outside = stats.norm.logpdf(r, scale=np.sqrt(variance * (1 + h)))
    np.testing.assert_allclose(log_ratio(Errors(r), h, variance), inside - outside)
    half = np.log((np.exp(inside) + np.exp(outside)) / 2)
    constant = np.log(2) + np.log(2 * np.pi) / 2
    np.testing.assert_allclose(log_likelihood(Errors(r), h, variance), half + constant)


def test_the_fitted_law_is_the_most_likely_one():
    rng = np.random.default_rng(2)
    shape, member = rng.gamma(3, size=600) / 3, rng.permutation(600) < 300
    h = 2.5 * shape
    errors = Errors(2 * rng.normal(size=600) * np.sqrt(np.where(member, 1 / (1 + h), 1 + h)))

    def loss(x: np.ndarray) -> float:
        return -float(np.mean(log_likelihood(errors, np.exp(x[0]) * shape, np.exp(x[1]))))

    plain = minimize(loss, [0.0, 0.0], method="Nelder-Mead")
    scaled, variance = fitted(errors, shape)
    # The scale is one of a grid, whose steps are a third.
    assert np.log(scaled[0] / shape[0]) == pytest.approx(plain.x[0], abs=0.2)
    assert np.log(variance) == pytest.approx(plain.x[1], abs=0.05)
    assert loss(np.log([scaled[0] / shape[0], variance])) == pytest.approx(plain.fun, abs=2e-3)


def test_errors_that_show_no_mixture_are_ranked_by_size():
    rng = np.random.default_rng(3)
    # Of one law with short tails: no mixture of two spreads is as likely.
    residual, shape = rng.uniform(-1, 1, 300), rng.gamma(3, size=300)
    scaled, variance = fitted(Errors(residual), shape)
    ratio = log_ratio(Errors(residual), scaled, variance)
    np.testing.assert_array_equal(np.argsort(ratio), np.argsort(-(residual**2)))


def test_in_a_linear_model_it_finds_more_than_the_error_and_as_much_as_the_truth():
    found = []
    for seed in range(8):
        view, member = linear_model(seed)
        x = view[ACTIVATION]
        gram = x[member].T @ x[member]
        own = np.einsum("ij,ij->i", x, np.linalg.solve(gram, x.T).T)
        truth = log_ratio(Errors(view.residual), np.where(member, own / (1 - own), own), 1.0)
        scores = scored(LEVERAGE_LIKELIHOOD, view), scored(ZERO_KNOWLEDGE_ERROR, view), truth
        high = [np.mean(s[member] > np.quantile(s[~member], 0.99)) for s in scores]
        found.append([*(auc(s, member) for s in scores), *high])
    mine, error, oracle, rate, rate_of_error, _ = np.mean(found, axis=0)
    assert mine > error + 0.01
    assert mine == pytest.approx(oracle, abs=0.005)
    assert rate > 1.5 * rate_of_error


def test_leverage_alone_tells_nothing_in_a_linear_model():
    aucs = []
    for seed in range(8):
        view, member = linear_model(seed)
        aucs.append(auc(leverages(view[ACTIVATION]), member))
    assert abs(np.mean(aucs) - 0.5) < 3 * 0.02 / np.sqrt(8)


def test_a_model_that_is_always_right_gives_finite_scores():
    view, _ = linear_model(0, people=60, width=5)
    exact = View(view.scans, {PREDICTION: view.label, ACTIVATION: view[ACTIVATION]})
    assert np.isfinite(scored(LEVERAGE_LIKELIHOOD, exact)).all()
    same = View(view.scans, {PREDICTION: view.label - 1, ACTIVATION: np.ones((60, 5))})
    assert np.isfinite(scored(LEVERAGE_LIKELIHOOD, same)).all()


def with_references(seed: int, references: int) -> tuple[View, np.ndarray]:
    """Add references of the same people, in twins, to a linear model."""
    view, member = linear_model(seed)
    rng, x, age = np.random.default_rng([seed, 1]), view[ACTIVATION], view.label
    inside = twins(rng, references, len(age))
    fits = [np.linalg.lstsq(x[mask], age[mask] - 60, rcond=None)[0] for mask in inside]
    values = {
        PREDICTION: view[PREDICTION],
        ACTIVATION: x,
        REFERENCE_PREDICTIONS: np.stack([60 + x @ weights for weights in fits]),
        REFERENCE_MEMBERS: inside,
    }
    return View(view.scans, values), member


def test_what_references_tell_is_the_law_given_their_mean():
    """A naive twin draws what no model predicts, and errors of a model and of n references around it."""
    rng, h, count, variance = np.random.default_rng(4), 1.3, 2, 1.7
    own = np.sqrt(variance) * rng.normal(size=400_000)
    mean = own + np.sqrt(variance * h / count) * rng.normal(size=own.shape)
    residual = own + np.sqrt(variance * h) * rng.normal(size=own.shape)
    near = np.abs(mean - 1.0) < 0.05
    errors = Errors(residual[near], 1.0, float(count))
    leverage = np.full(near.sum(), h)
    assert residual[near].mean() == pytest.approx(errors.expected(leverage)[0], abs=0.02)
    assert residual[near].var() == pytest.approx(variance * errors.spread(leverage)[0], rel=0.03)
    # Without references nothing is expected, and what no model predicts is part of the spread.
    alone = Errors(residual)
    np.testing.assert_array_equal(alone.expected(leverage), 0)
    np.testing.assert_allclose(alone.spread(leverage), 1 + h)


def test_one_reference_for_each_person_tells_more_than_none_and_more_tell_more():
    found = []
    for seed in range(8):
        aucs = []
        for references in (2, 8):
            view, member = with_references(seed, references)
            if not aucs:
                aucs.append(auc(scored(LEVERAGE_LIKELIHOOD, view), member))
            aucs.append(auc(scored(LEVERAGE_LIKELIHOOD_REFERENCES, view), member))
        found.append(aucs)
    none, one, four = np.mean(found, axis=0)
    error = np.std(np.diff(found, axis=1), axis=0, ddof=1) / np.sqrt(len(found))
    assert one > none + 4 * error[0] and four > one + 4 * error[1]
