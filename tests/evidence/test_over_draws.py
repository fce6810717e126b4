"""Means over draws: equal to their definition, and covering whatever their errors are made of."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from memberscan.evidence.intervals import Interval
from memberscan.evidence.over_draws import FRACTION, OverDraws

NORMAL = stats.norm.ppf(0.975)


@given(st.lists(st.tuples(st.floats(0.2, 0.8), st.floats(0.001, 0.2)), min_size=1, max_size=7))
def test_the_interval_is_that_of_its_definition(draws: list[tuple[float, float]]) -> None:
    found = OverDraws.of([Interval(v, v - NORMAL * e, v + NORMAL * e) for v, e in draws])
    count, mean = len(draws), sum(v for v, _ in draws) / len(draws)
    half = NORMAL * sum(e for _, e in draws) / count
    if count > 1:
        between = sum((v - mean) ** 2 for v, _ in draws) / (count - 1) / count
        within = sum(e**2 for _, e in draws) / count**2
        half = math.sqrt(half**2 + stats.t.ppf(0.975, count - 1) ** 2 * max(0, between - within))
    interval = found.interval()
    assert interval.value == pytest.approx(mean)
    assert (interval.low, interval.high) == pytest.approx((mean - half, mean + half))
    cut = found.interval(within=FRACTION)
    assert cut.low == max(0.0, interval.low) and cut.high == min(1.0, interval.high)


@pytest.mark.parametrize("shared", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("of_draws", [0.0, 1.0, 3.0])
@pytest.mark.parametrize("draws", [3, 5])
def test_it_covers_other_people_and_other_draws(shared: float, of_draws: float, draws: int) -> None:
    """Errors over people may be the same in all draws, of each draw alone, or both; all are covered."""
    rng, tries, covered = np.random.default_rng(0), 600, 0
    for _ in range(tries):
        people = math.sqrt(shared) * rng.normal() + math.sqrt(1 - shared) * rng.normal(size=draws)
        values = people + of_draws * rng.normal(size=draws)
        interval = OverDraws(values, np.ones(draws)).interval()
        covered += interval.low <= 0 <= interval.high
    # Of 95% intervals, 600 tries give at least 0.928 in 99 of 100 cases; errors of both kinds of about the
    # same size are covered slightly less often, since the part of draws is sometimes estimated as 0.
    assert covered / tries > 0.9


def test_a_difference_is_at_least_as_wide_as_that_of_the_same_people() -> None:
    rng = np.random.default_rng(1)
    common, own = rng.normal(size=(4000, 3)), rng.normal(size=(2, 4000, 3))
    # Each of 4000 repetitions has three draws of two estimates with variance 2, half of it shared.
    true = (common + own[0] - common - own[1]).mean(axis=1).std()
    root = math.sqrt(2)
    first, second = (OverDraws(common[0] + each[0], np.full(3, root)) for each in own)
    difference = first - second
    assert difference.values == pytest.approx(own[0][0] - own[1][0])
    assert difference.half_width() > NORMAL * true


def test_one_draw_covers_people_only_and_nothing_without_their_errors() -> None:
    one = OverDraws.of([Interval(0.6, 0.5, 0.7)])
    assert one.half_width() == pytest.approx(0.1) and one.covers_something
    assert not OverDraws.alone([0.9]).covers_something
    assert OverDraws.alone([0.9, 0.8]).covers_something
    assert one.half_width(0.99) > one.half_width()
