"""Whom an attacker knows: draws, shares and thresholds."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memberscan.evidence.scores import ASIDE, IN, OUT, Draw
from memberscan.targets.known import (
    Known,
    draws,
    everybody,
    known_held_out,
    known_per_side,
    knows_somebody,
    sides_of,
    threshold_by_share,
)
from memberscan.threat import ThreatModel

sides = st.lists(st.booleans(), min_size=4, max_size=40).filter(lambda s: any(s) and not all(s))


@given(st.integers(0, 90), st.integers(0, 10_000), st.integers(0, 10_000))
def test_the_known_are_the_floor_of_the_share_of_the_smaller_side(percent: int, members: int, others: int):
    exact = math.floor(Fraction(percent, 100) * min(members, others))
    assert known_per_side(ThreatModel(leaked=percent / 100), members, others) == exact


def test_nothing_leaked_is_valid_and_knows_nobody():
    threat = ThreatModel(leaked=0)
    assert known_per_side(threat, 500, 400) == 0
    member = np.arange(30) % 2 == 0
    rows = draws(member, threat, np.random.default_rng(0))
    assert len(rows) == 5 and not any(row.known.everyone.any() for row in rows)
    assert not knows_somebody(rows)


@given(sides, st.sampled_from([0.1, 0.3, 0.5, 0.9]), st.integers(1, 7), st.integers(0, 1000))
def test_every_draw_knows_as_many_a_side_and_compares_the_others(
    inside: list[bool], leaked: float, repeats: int, seed: int
):
    member, threat = np.array(inside), ThreatModel(leaked=leaked, repeats=repeats)
    count = known_per_side(threat, int(member.sum()), int((~member).sum()))
    rows = draws(member, threat, np.random.default_rng(seed))
    assert [row.row for row in rows] == [Draw(n) for n in range(len(rows))]
    assert len(rows) % repeats == 0
    for row in rows:
        assert row.known.members.sum() == row.known.nonmembers.sum() == count
        assert not (row.known.members & ~member).any() and not (row.known.nonmembers & member).any()
        for person, side in enumerate(row.sides):
            expected = ASIDE if row.known.everyone[person] else IN if member[person] else OUT
            assert side == expected
    assert knows_somebody(rows) == (count > 0)


def test_a_seed_fixes_the_draws_and_another_changes_them():
    member = np.arange(60) % 3 == 0
    one, same, other = (
        np.stack([row.known.everyone for row in draws(member, ThreatModel(), np.random.default_rng(seed))])
        for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)
    assert len({row.tobytes() for row in one}) > 1


@given(sides, st.sampled_from([0.1, 0.3, 0.5, 0.9]), st.integers(1, 4), st.integers(0, 1000))
def test_every_repeat_compares_everybody_in_as_few_draws_as_it_takes(
    inside: list[bool], leaked: float, repeats: int, seed: int
):
    member, threat = np.array(inside), ThreatModel(leaked=leaked, repeats=repeats)
    rows = draws(member, threat, np.random.default_rng(seed))
    fewest = min(member.sum(), (~member).sum())
    left = fewest - known_per_side(threat, int(member.sum()), int((~member).sum()))
    folds = len(rows) // repeats
    assert (folds - 1) * left < fewest <= folds * left
    for first in range(0, len(rows), folds):
        compared = np.sum([row.sides != ASIDE for row in rows[first : first + folds]], axis=0)
        assert compared.min() >= 1
        for side in (member, ~member):
            assert np.ptp(compared[side]) <= 1


def test_with_half_known_a_repeat_is_two_halves_each_asked_about_by_who_knows_the_other():
    member = np.arange(40) < 20
    rows = draws(member, ThreatModel(repeats=3), np.random.default_rng(0))
    assert len(rows) == 6
    for one, other in zip(rows[::2], rows[1::2], strict=True):
        np.testing.assert_array_equal(one.known.everyone, ~other.known.everyone)
    assert len({row.known.everyone.tobytes() for row in rows}) == 6


@given(sides)
def test_who_knows_nobody_is_asked_about_everybody_once(inside: list[bool]):
    (row,) = everybody(np.array(inside))
    np.testing.assert_array_equal(row.sides == IN, inside)
    np.testing.assert_array_equal(row.sides == OUT, ~np.array(inside))
    assert not row.known.everyone.any() and not knows_somebody([row])
    np.testing.assert_array_equal(row.sides, sides_of(np.array(inside)))


@pytest.mark.parametrize(("leaked", "count"), [(0.0, 0), (0.3, 6), (0.5, 10), (0.9, 18)])
def test_known_held_out_people_are_a_share_of_those_outside(leaked: float, count: int):
    outside = np.arange(40, 60)
    known = known_held_out(ThreatModel(leaked=leaked), outside, 60, np.random.default_rng(0))
    assert known.sum() == count and not known[:40].any()


@pytest.mark.parametrize("one_side", [Known.nobody(5).members, np.ones(5, dtype=bool)])
def test_one_side_is_not_enough_to_learn_from(one_side: np.ndarray):
    (row,) = everybody(np.array([True, True, False, False, False]))
    for known in (Known(one_side, np.zeros(5, dtype=bool)), Known(np.zeros(5, dtype=bool), one_side)):
        assert not knows_somebody([type(row)(row.row, known, row.sides)])


def test_the_threshold_says_member_of_as_many_as_there_are():
    rng = np.random.default_rng(3)
    values = rng.normal(size=60)
    values[55:] = np.nan
    for members in (15, 20):
        compared = np.full(60, ASIDE, dtype=np.int8)
        compared[:members], compared[35:] = IN, OUT
        threshold = threshold_by_share(values, compared)
        asked = (compared != ASIDE) & ~np.isnan(values)
        assert abs((values[asked] > threshold).sum() - members) <= 1
        # Whatever those score who are not compared.
        assert threshold_by_share(np.where(compared == ASIDE, 99.0, values), compared) == threshold
    assert threshold_by_share(np.full(60, np.nan), np.ones(60, dtype=np.int8)) == 0.0
    assert threshold_by_share(values, np.full(60, ASIDE, dtype=np.int8)) == 0.0
