from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memberscan.errors import BadInputError
from memberscan.files import to_json
from memberscan.threat import Access, ThreatModel


def test_access_is_ordered_and_goes_by_name() -> None:
    assert Access.OUTPUTS < Access.WEIGHTS
    assert all(Access.parse(str(access)) is access for access in Access)
    assert Access.parse("Weights") is Access.WEIGHTS


@pytest.mark.parametrize("text", ["", "gradients", "1"])
def test_an_unknown_access_lists_the_known_ones(text: str) -> None:
    with pytest.raises(BadInputError, match="choose one of: outputs, weights"):
        Access.parse(text)


@pytest.mark.parametrize("leaked", [-0.1, 0.91, 1.0, math.nan])
def test_leaked_is_a_share_that_leaves_somebody_to_attack(leaked: float) -> None:
    with pytest.raises(BadInputError, match=r"leaked is .*0 to 0\.9"):
        ThreatModel(leaked=leaked)


def test_at_least_one_draw_is_needed() -> None:
    with pytest.raises(BadInputError, match="repeats is 0"):
        ThreatModel(repeats=0)


@given(st.integers(0, 90), st.integers(0, 10_000), st.integers(0, 10_000))
def test_the_known_are_the_floor_of_the_share_of_the_smaller_side(
    percent: int, members: int, others: int
) -> None:
    exact = math.floor(Fraction(percent, 100) * min(members, others))
    assert ThreatModel(leaked=percent / 100).known_per_side(members, others) == exact


def test_nothing_leaked_is_valid_and_knows_nobody() -> None:
    assert ThreatModel(leaked=0).known_per_side(500, 400) == 0


def test_it_is_plain_json() -> None:
    threat = ThreatModel(Access.WEIGHTS, 0.25, 3)
    assert threat.to_dict() == {"access": "weights", "leaked": 0.25, "repeats": 3}
    assert '"weights"' in to_json(threat.to_dict())
