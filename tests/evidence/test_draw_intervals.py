"""Intervals by inverted tests: against a scan over AUCs, without a leak, and with simulated linear rules."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.special import logit

from memberscan.evidence.cross_fitting import DrawDesign, linear_share
from memberscan.evidence.draw_intervals import FittedAuc
from memberscan.evidence.few_directions import FewDirections
from memberscan.evidence.intervals import auc_interval
from memberscan.evidence.roc import aucs_of_rows, influences, null_variance
from memberscan.evidence.scores import MANY_DIRECTIONS
from tests.evidence.simulated import design_of

NORMAL = stats.norm.ppf(0.975)
DESIGNS = {leaked: design_of(40, 40, leaked, 5) for leaked in (0.3, 0.5, 0.8)}


LAWS = {
    (leaked, directions): FewDirections(DESIGNS[leaked], directions)
    for leaked in DESIGNS
    for directions in (2, MANY_DIRECTIONS + 1)
}


def fitted(
    auc: float,
    stability: float,
    leaked: float = 0.5,
    spread: float = 1.0,
    directions: int = MANY_DIRECTIONS + 1,
) -> FittedAuc:
    law = LAWS[leaked, directions]
    return FittedAuc(auc, spread * float(null_variance(40, 40)), stability, 40, 40, law)


def scan(one: FittedAuc) -> tuple[float, float]:
    """Return the least and the greatest of many AUCs that a test at that AUC does not reject."""
    error = np.sqrt(one.variance) / (one.auc * (1 - one.auc))
    t = max(logit(one.auc) / error, 0)
    of_draws = [(rows**2).sum(axis=1).mean() for rows in (one.design.known, one.design.weights)]
    direction = of_draws[0] / of_draws[1] / one.design.stable
    length = max(t**2 * (1 - one.stability) / one.stability**2, direction) if one.stability else np.inf
    if one.law.directions <= MANY_DIRECTIONS:
        length = min(length, one.law.directions * direction)
    aucs, truths = np.linspace(0.01, 0.99, 4000), np.linspace(0, 60, 60_001)
    stable = np.zeros(len(aucs))
    if np.isfinite(length):
        # What a rule with each truth reaches, read the other way round.
        truth = np.interp(logit(aucs) / error, truths**2 / np.sqrt(truths**2 + length), truths)
        stable = truth**2 / (truth**2 + length)
    below, above = one.law.tails(stable)
    tail = np.where(aucs < one.auc, above, below)
    allowed = tail * error * np.sqrt(one.design.of_aucs(stable, one.auc))
    kept = aucs[np.abs(logit(aucs) - logit(one.auc)) <= allowed]
    return float(kept[0]), float(kept[-1])


@settings(max_examples=20, deadline=None)
@given(
    st.floats(0.2, 0.8),
    st.sampled_from([0.0, 0.02, 0.2, 0.6, 0.95, 1.0]),
    st.sampled_from([0.3, 0.5, 0.8]),
    st.sampled_from([2, MANY_DIRECTIONS + 1]),
)
def test_limits_are_those_of_a_scan_over_aucs(auc: float, stability: float, leaked: float, directions: int):
    one = fitted(auc, stability, leaked, spread=1.1, directions=directions)
    assert one.limits == pytest.approx(scan(one), abs=2e-3)


@given(st.floats(0.3, 0.9), st.floats(0.0, 1.0), st.sampled_from([2, MANY_DIRECTIONS + 1]))
def test_whether_a_half_is_covered_does_not_depend_on_the_estimated_stability(
    auc: float, stability: float, directions: int
):
    low, high = fitted(auc, stability, directions=directions).limits
    assert low < auc < high
    lowest, highest = fitted(auc, 0.0, directions=directions).limits
    # Rounding decides where a limit is at one half itself.
    if min(abs(lowest - 0.5), abs(highest - 0.5)) > 1e-3:
        assert (low <= 0.5 <= high) == (lowest <= 0.5 <= highest)


@pytest.mark.parametrize("auc", [0.31, 0.5, 0.7])
def test_an_attack_that_is_never_stable_has_the_interval_of_its_chance_variance(auc: float):
    one = fitted(auc, 0.0, spread=1.2)
    variance = one.variance * float(one.design.of_aucs(0.0, auc))
    plain = auc_interval(auc, float(np.sqrt(variance)), 40, 40)
    assert one.limits == pytest.approx((plain.low, plain.high), abs=1e-4)


def test_perfect_separation_and_its_reverse_have_limits_at_the_edge():
    for auc, stability in ((1.0, 1.0), (0.0, 0.0), (0.0, 1.0)):
        low, high = fitted(auc, stability, spread=0.0).limits
        assert high - low > 0.01
        assert (high if auc else 1 - low) == 1
        ends = fitted(auc, stability, spread=0.0).stability_at(np.array([low, high]))
        assert np.isfinite(ends).all() and (ends >= 0).all() and (ends <= 1).all()


@given(st.floats(0.01, 1.0))
def test_the_stability_at_the_estimate_is_the_estimated_one(stability: float):
    """Unless a fit would then have less of an error than that of one direction."""
    one = fitted(0.7, stability)
    assert float(one.stability_at(0.7)) <= stability + 1e-9
    if one._fitted_error > one.design.one_direction:
        assert float(one.stability_at(0.7)) == pytest.approx(stability)
    assert (np.diff(one.stability_at(np.linspace(0.4, 0.99, 50))) >= 0).all()


def test_in_few_directions_an_estimate_below_a_half_excludes_a_leak_sooner():
    """Without a leak, the mean over draws cannot fall as far as that of many directions."""
    few, many = (fitted(0.385, 0.0, directions=each) for each in (2, MANY_DIRECTIONS + 1))
    assert few.limits[1] < 0.5 < many.limits[1]
    assert few.limits[0] == pytest.approx(many.limits[0], abs=0.01)


@pytest.mark.parametrize("auc", [0.5, 0.65, 0.9, 0.2])
def test_the_linear_share_is_a_squared_correlation(auc: float):
    """Of a normal score with the share of the other side that it outranks."""
    score = stats.norm.ppf((np.arange(200_000) + 0.5) / 200_000)
    place = stats.norm.cdf(score + np.sqrt(2) * stats.norm.ppf(auc))
    squared = float(np.corrcoef(score, place)[0, 1]) ** 2
    assert linear_share(auc) == pytest.approx(squared * np.pi / 3, rel=1e-3)


def simulated(
    design: DrawDesign, auc: float, columns: int, rng: np.random.Generator, rules: int = 1500
) -> tuple[float, float, float]:
    """Return the mean AUC of linear rules, the variance of means over draws, and that of stable fits."""
    people = design.weights.shape[1]
    member = np.arange(people) < people // 2
    values = rng.normal(size=(rules, people, columns))
    values[:, member, 0] += np.sqrt(2) * stats.norm.ppf(auc)
    aucs, variances = [], []
    for known, weights in zip(design.known, design.weights, strict=True):
        kept = weights > 0
        fits = np.einsum("p,rpc->rc", known * np.where(member, 1, -1), values)
        scores = np.einsum("rpc,rc->rp", values[:, kept], fits)
        aucs.append(aucs_of_rows(scores, np.tile(member[kept].astype(float), (rules, 1))))
        variances.append((influences(scores[:200], member[kept])[1] ** 2).sum(axis=1).mean())
    means = np.mean(aucs, axis=0)
    return float(means.mean()), float(means.var()), float(np.mean(variances)) * design.stable


def test_the_variance_of_an_auc_is_that_of_simulated_rules():
    """At an AUC of .84 it would be a tenth larger if all of it were linear in the scores."""
    design, columns, auc = design_of(100, 100, 0.5, 5), 60, 0.9
    mean, variance, stable = simulated(design, auc, columns, np.random.default_rng(0))
    truth = 2 * stats.norm.ppf(auc) ** 2
    # A fit is the difference of two means of known people.
    stability = truth / (truth + columns * float((design.known[0] ** 2).sum()))
    expected = float(design.of_aucs(stability, mean))
    assert variance / stable == pytest.approx(expected, rel=0.08)
    assert expected < 0.92 * float(design.of_means(stability)) / design.stable
