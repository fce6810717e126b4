"""Scores: what is refused by name, and the views of them that estimators work on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from memberscan.errors import MisalignedError, NonFiniteError
from memberscan.evidence.scores import ASIDE, IN, MODEL, OUT, Draw, Pair, Scores

from .simulated import federate, fitted, once, simulate

SIDES = np.array([[IN, OUT, ASIDE]] * 2, dtype=np.int8)


def two_draws(**changes):
    parts = {
        "attack": "loss",
        "fitted": True,
        "rows": (Draw(0), Draw(1)),
        "values": np.zeros((2, 3)),
        "sides": SIDES,
        "thresholds": np.zeros(2),
    }
    return Scores(**(parts | changes))


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"values": np.zeros(3)}, MisalignedError),
        ({"values": np.zeros((2, 4))}, MisalignedError),
        ({"thresholds": np.zeros(1)}, MisalignedError),
        ({"thresholds": np.zeros((2, 1))}, MisalignedError),
        ({"rows": (Draw(0),)}, MisalignedError),
        ({"rows": (Draw(0), Draw(0))}, MisalignedError),
        ({"rows": (Draw(0), Pair("a", "b"))}, MisalignedError),
        ({"sides": SIDES + np.int8(1)}, MisalignedError),
        ({"sides": SIDES.astype(float)}, MisalignedError),
        ({"fitted": False}, MisalignedError),
        ({"values": np.full((2, 3), np.inf)}, NonFiniteError),
        ({"values": np.full((2, 3), np.nan)}, NonFiniteError),
        ({"values": np.array([[0, np.nan, 0], [0, 0, 0]])}, NonFiniteError),
        ({"thresholds": np.array([0, np.nan])}, NonFiniteError),
    ],
)
def test_malformed_scores_are_refused_by_name(changes, error):
    two_draws()
    with pytest.raises(error, match="attack loss"):
        two_draws(**changes)


def test_a_party_does_not_attack_itself():
    with pytest.raises(MisalignedError, match="site 1 attacks itself"):
        Pair("site 1", "site 1")


def test_a_pair_may_be_listed_without_scores_but_not_with_some_missing():
    rows = (Pair("server", "a"), Pair("server", "b"))
    values = np.array([[0.0, 1, 2], [np.nan] * 3])
    pairs = two_draws(rows=rows, values=values, thresholds=np.array([0, np.nan]))
    assert pairs.attempted.tolist() == [True, False]
    assert pairs.seen == ("a",)
    assert pairs.counts.tolist() == [[1, 1], [0, 0]]
    with pytest.raises(NonFiniteError, match="attack loss"):
        replace(pairs, values=np.array([[0.0, 1, 2], [np.nan, 0, np.nan]]))
    with pytest.raises(NonFiniteError, match="attack loss"):
        replace(pairs, thresholds=np.array([np.nan, 0]))


def test_draws_set_aside_the_people_who_were_known():
    member = np.array([True, False, True])
    known = fitted("f", np.array([[1.0, 2, np.nan], [np.nan, 4, 5]]), member)
    assert known.rows == (Draw(0), Draw(1)) and known.fitted and not known.pairs
    assert known.sides.tolist() == [[IN, OUT, ASIDE], [ASIDE, OUT, IN]]
    assert [[side.tolist() for side in sides] for sides in known.split()] == [[[1], [2]], [[5], [4]]]
    assert once("u", np.arange(3.0), member).sides.tolist() == [[IN, OUT, IN]]
    with pytest.raises(NonFiniteError, match="attack u"):
        once("u", np.array([0, np.nan, 1]), member)
    with pytest.raises(MisalignedError, match="one boolean per person"):
        once("u", np.arange(3.0), member.astype(int))
    with pytest.raises(MisalignedError, match="one boolean per person"):
        once("u", np.arange(4.0), member)


def test_parts_keep_rows_and_people_together():
    rng = np.random.default_rng(0)
    attacks, member = simulate(rng, 6, 7)
    some = attacks[1].of_people(member)
    np.testing.assert_array_equal(some.values, attacks[1].values[:, member])
    assert not (some.sides == OUT).any()
    (pairs,), home = federate(rng, [3, 4], 5, known=2)
    about = pairs.about("site 1")
    assert about.rows == (Pair("site 0", "site 1"),)
    np.testing.assert_array_equal(about.values[0], pairs.values[0])
    assert about.counts.tolist() == [[4, 3]]
    assert about.sides[0, home == 0].tolist() == [ASIDE] * 3
    assert pairs.about("nobody") is None
    assert attacks[0].about(MODEL).rows == attacks[0].rows
    assert pairs.of_rows([1]).rows == (Pair("site 1", "site 0"),)


def test_where_nobody_could_attack_anybody_there_are_no_rows():
    nothing = Scores("loss", True, (), np.zeros((0, 5)), np.zeros((0, 5), dtype=np.int8), np.zeros(0))
    assert nothing.pairs and nothing.seen == () and nothing.counts.shape == (0, 2)
