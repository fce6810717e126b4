"""Differences of two audits: equal to a plain computation, and their intervals cover the truth."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from memberscan.evidence.delong import DeLong
from memberscan.evidence.differences import auc_of_people, difference_of_independent
from memberscan.evidence.intervals import Interval
from memberscan.evidence.scores import Scores

ENDS = st.floats(0.01, 0.3)


def plainly(scores: np.ndarray, member: np.ndarray) -> tuple[float, dict[int, float]]:
    """Return the AUC, and each person's part of its deviation, by comparing all pairs one after the other."""
    inside = [k for k in range(len(scores)) if member[k] and not np.isnan(scores[k])]
    outside = [k for k in range(len(scores)) if not member[k] and not np.isnan(scores[k])]
    wins = {
        (i, j): float(scores[i] > scores[j]) + 0.5 * float(scores[i] == scores[j])
        for i in inside
        for j in outside
    }
    auc = sum(wins.values()) / len(wins)
    parts = {}
    for group, others, place in ((inside, outside, 0), (outside, inside, 1)):
        for k in group:
            mean = sum(wins[(k, o) if place == 0 else (o, k)] for o in others) / len(others)
            # The variance of a mean of n placements divides by n - 1.
            parts[k] = (mean - auc) / np.sqrt(len(group) * (len(group) - 1))
    return auc, parts


@pytest.mark.parametrize("seed", range(3))
def test_a_paired_difference_equals_the_plain_one(seed: int) -> None:
    rng = np.random.default_rng(seed)
    member = rng.random((2, 40)) < 0.5
    scores = rng.normal(size=(2, 40)).round(1) + rng.normal(size=40).round(1) + member
    scores[0, :4], scores[1, 36:] = np.nan, np.nan
    found = auc_of_people(scores[1], member[1]) - auc_of_people(scores[0], member[0])
    (one, first), (other, second) = (plainly(*each) for each in zip(scores, member, strict=True))
    variance = sum((second.get(k, 0.0) - first.get(k, 0.0)) ** 2 for k in range(40))
    interval = found.interval()
    assert interval.value == pytest.approx(other - one)
    assert interval.high - interval.value == pytest.approx(norm.ppf(0.975) * np.sqrt(variance))


def test_of_the_same_members_it_is_delongs() -> None:
    rng = np.random.default_rng(3)
    member = np.arange(80) % 2 == 0
    values = rng.normal(size=(2, 80)) + rng.normal(size=80) + member
    scores = [
        Scores.of_draws(name, fitted=False, values=row[None], member=member, thresholds=np.zeros(1))
        for name, row in zip("ab", values, strict=True)
    ]
    value, error = DeLong().difference(*scores)
    found = (auc_of_people(values[0], member) - auc_of_people(values[1], member)).interval()
    assert found.value == pytest.approx(value)
    assert found.high - found.value == pytest.approx(norm.ppf(0.975) * error, rel=1e-6)


@given(st.floats(0.1, 0.9), st.floats(0.1, 0.9), ENDS, ENDS, ENDS, ENDS)
def test_the_difference_of_independent_estimates_turns_with_them(a, b, p, q, r, s) -> None:
    one, other = Interval(a, a - p, a + q), Interval(b, b - r, b + s)
    found, back = difference_of_independent(one, other), difference_of_independent(other, one)
    assert found.value == pytest.approx(-back.value)
    assert (found.low, found.high) == (pytest.approx(-back.high), pytest.approx(-back.low))
    assert found.value - found.low == pytest.approx(np.hypot(p, s))
    # An estimate without error gives the other's interval.
    alone = difference_of_independent(one, Interval(0.0, 0.0, 0.0))
    assert (alone.low, alone.high) == (pytest.approx(one.low), pytest.approx(one.high))


def test_intervals_cover_the_true_difference_and_pairs_are_narrower() -> None:
    rng = np.random.default_rng(4)
    member = np.arange(120) % 2 == 0
    truth = norm.cdf(0.4 / np.sqrt(2)) - norm.cdf(0.9 / np.sqrt(2))
    covered, widths = np.zeros((2, 400), dtype=bool), np.zeros((2, 400))
    for k in range(400):
        own = rng.normal(size=120)
        first = 0.8 * own + 0.6 * rng.normal(size=120) + 0.9 * member
        second = 0.8 * own + 0.6 * rng.normal(size=120) + 0.4 * member
        one, other = auc_of_people(first, member), auc_of_people(second, member)
        found = (other - one).interval(), difference_of_independent(other.interval(), one.interval())
        covered[:, k] = [each.low <= truth <= each.high for each in found]
        widths[:, k] = [each.high - each.low for each in found]
    # Of 400 intervals of 95%, fewer than 92% cover the truth once in 200 times.
    assert 0.92 <= covered[0].mean() <= 0.98
    assert covered[1].mean() >= 0.97
    assert widths[0].mean() < 0.8 * widths[1].mean()
