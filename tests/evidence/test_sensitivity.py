from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from memberscan.evidence.sensitivity import least_hidden_difference

shares = st.floats(0, 1)


def distributions(kinds, values):
    weights = st.lists(st.integers(0, 20), min_size=values, max_size=values).filter(any)
    return st.lists(weights, min_size=kinds, max_size=kinds).map(
        lambda rows: np.array([np.array(row) / sum(row) for row in rows])
    )


def auc_of(members, others):
    """Return the AUC of two distributions over ordered values; ties count half."""
    below = np.cumsum(others) - others / 2
    return float(members @ below)


@given(shares, shares, distributions(2, 6))
def test_no_attack_explains_more_by_two_kinds_than_their_shares_differ(p1, p0, scores):
    auc = auc_of(p1 * scores[0] + (1 - p1) * scores[1], p0 * scores[0] + (1 - p0) * scores[1])
    # The identity that the bound rests on, and the bound.
    assert auc == pytest.approx(0.5 + (p1 - p0) * (auc_of(*scores) - 0.5), abs=1e-9)
    assert least_hidden_difference(auc).two_kinds <= abs(p1 - p0) + 1e-9


@given(distributions(2, 5), distributions(5, 6))
def test_no_attack_explains_more_by_many_kinds_than_their_distance(kinds, scores):
    distance = float(np.abs(kinds[0] - kinds[1]).sum() / 2)
    auc = auc_of(kinds[0] @ scores, kinds[1] @ scores)
    assert least_hidden_difference(auc).any_kinds <= distance + 1e-9


@given(st.floats(0.5, 1))
def test_both_bounds_are_reached(bound):
    least = least_hidden_difference(bound)
    t = least.two_kinds
    # Two kinds, the first of which has only the highest score.
    assert auc_of(np.array([0, 1.0]), np.array([t, 1 - t])) == pytest.approx(bound)
    # Three kinds: some that only non-members are of, some that both are, some that only members are.
    t = least.any_kinds
    assert auc_of(np.array([0, 1 - t, t]), np.array([t, 1 - t, 0])) == pytest.approx(bound)
    assert least.any_kinds <= least.two_kinds + 1e-12


def test_a_hidden_scanner_gives_the_auc_that_the_formula_says():
    rng, n, apart = np.random.default_rng(0), 40_000, 0.8
    second = rng.random(2 * n) < np.repeat([0.8, 0.3], n)
    scores = rng.normal(size=2 * n) + apart * second
    auc = stats.mannwhitneyu(scores[:n], scores[n:]).statistic / n**2
    ranking = stats.norm.cdf(apart / np.sqrt(2))
    assert auc == pytest.approx(0.5 + 0.5 * (ranking - 0.5), abs=0.01)
    # Its shares differ by more than is asked for, since the attack does not separate the scanners.
    assert least_hidden_difference(auc).two_kinds < 0.5


def test_within_strata_the_bounds_hold_for_the_mean_difference():
    differences, weights = np.array([0.1, 0.6, 0.3]), np.array([0.5, 0.2, 0.3])
    two = float(weights @ (0.5 + differences / 2))
    assert least_hidden_difference(two).two_kinds == pytest.approx(weights @ differences)
    many = float(weights @ (1 - (1 - differences) ** 2 / 2))
    assert least_hidden_difference(many).any_kinds <= weights @ differences


def test_where_nothing_is_shown_there_is_nothing_to_explain():
    assert least_hidden_difference(0.5) == least_hidden_difference(0.3) == least_hidden_difference(0.0)
    assert least_hidden_difference(0.5).two_kinds == 0 == least_hidden_difference(0.5).any_kinds
    assert least_hidden_difference(1.0).two_kinds == 1 == least_hidden_difference(1.0).any_kinds
