from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memberscan.evidence.blind import blind_check
from memberscan.evidence.confounding import blind_strata
from memberscan.evidence.overlap import FAILED, GOOD, Overlap, diagnose_overlap
from memberscan.limits import FEWEST_PER_SIDE


def naive(member, strata):
    """Count people one by one: the shares alike, and Kish's effective shares, without rounding."""
    alike, weights = {True: 0, False: 0}, {True: [], False: []}
    for side, label in zip(member, strata, strict=True):
        own = sum(1 for m, s in zip(member, strata, strict=True) if s == label and m == side)
        other = sum(1 for m, s in zip(member, strata, strict=True) if s == label and m != side)
        if own >= 2 and other >= 2:
            alike[bool(side)] += 1
            weights[bool(side)].append(other)
    if min(alike.values()) < FEWEST_PER_SIDE:
        return [0.0] * 4
    people = {True: sum(member), False: len(member) - sum(member)}
    effective = {side: sum(w) ** 2 / sum(x * x for x in w) for side, w in weights.items()}
    return [found[side] / people[side] for found in (alike, effective) for side in (True, False)]


@given(st.integers(10, 60), st.integers(10, 60), st.integers(1, 12), st.integers(0, 1000))
@settings(max_examples=60, deadline=None)
def test_shares_agree_with_counting_people_one_by_one(members, others, bins, seed):
    rng = np.random.default_rng(seed)
    member = np.arange(members + others) < members
    strata = rng.integers(0, bins, len(member)) + member * rng.integers(0, 2)
    found = diagnose_overlap([(member, strata)])
    shares = [found.members, found.nonmembers, found.effective_members, found.effective_nonmembers]
    for share, exact, people in zip(shares, naive(member, strata), [members, others] * 2, strict=True):
        assert 0 <= share <= 1
        # Rounded to a step that one person does not reach, and that is not much more than 5%.
        assert abs(share - exact) <= max(0.025, 1.25 / people) + 1e-9
        steps = [step for step in (0.05, 0.1, 0.2) if step >= 1 / people - 1e-9]
        assert any(abs(share / step - round(share / step)) < 1e-9 for step in steps)
    assert found.effective_members <= found.members + 0.1


def strata_of(rng, side, older):
    member = np.arange(2 * side) < side
    table = pd.DataFrame({"age": rng.normal(size=2 * side) + older * member})
    return member, blind_check(table, member, rng).strata


@pytest.mark.parametrize("side", [120, 600, 2500])
@pytest.mark.parametrize(
    ("older", "extents"),
    [(0.5, {"good"}), (1.0, {"good", "partial"}), (2.0, {"partial"}), (4.0, {"failed"})],
)
def test_the_extent_does_not_depend_on_how_many_people_there_are(side, older, extents):
    found = {
        diagnose_overlap([strata_of(np.random.default_rng(seed), side, older)]).extent for seed in range(3)
    }
    assert found <= extents


@pytest.mark.parametrize(("older", "share"), [(0.5, 0.94), (1, 0.8), (2, 0.45), (3, 0.2), (4, 0.07)])
def test_older_members_overlap_as_much_as_the_documentation_says(older: float, share: float):
    member = np.arange(8000) < 4000
    z = np.random.default_rng(0).normal(size=8000) + older * member
    found = diagnose_overlap([(member, blind_strata(z, member))])
    assert found.effective_members == pytest.approx(share, abs=0.035)


@pytest.mark.parametrize("share", [0.6, 0.8, 0.9])
def test_two_scanners_overlap_as_the_formula_says(share):
    side, second = 1000, np.tile(np.arange(1000), 2) < np.repeat([1000 * share, 1000 - 1000 * share], 1000)
    member = np.arange(2 * side) < side
    found = diagnose_overlap([(member, second.astype(int))])
    assert found.members == found.nonmembers == 1
    assert found.effective_members == pytest.approx(4 * share * (1 - share), abs=0.025)


def test_many_others_unlike_any_member_take_nothing_from_the_members():
    member = np.arange(1000) < 100
    strata = np.where(np.arange(1000) < 200, 0, 1)
    found = diagnose_overlap([(member, strata)])
    assert found.effective_members == 1 and found.effective_nonmembers == pytest.approx(0.1)
    assert found.extent == "good"


def test_the_extent_has_the_stated_thresholds():
    extents = [Overlap(1.0, 1.0, share, 1.0).extent for share in (FAILED - 0.05, FAILED, GOOD - 0.05, GOOD)]
    assert extents == ["failed", "partial", "partial", "good"]


def test_of_several_targets_people_count_once_for_each_and_those_without_ten_alike_for_none():
    member = np.arange(40) < 20
    alike, apart = np.zeros(40, dtype=int), member.astype(int)
    both = diagnose_overlap([(member, alike), (member, apart)])
    assert both == Overlap(0.5, 0.5, 0.5, 0.5)
    assert diagnose_overlap([(member, apart)]) == Overlap(0, 0, 0, 0)
    assert diagnose_overlap([]).extent == "failed"
