from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memberscan.evidence.confounding import CALIPER, blind_strata, matched_pairs


@given(st.integers(1, 30), st.integers(1, 30), st.integers(0, 2**32 - 1))
def test_matched_subsets_are_balanced_and_every_pair_is_within_the_caliper(members, nonmembers, seed):
    rng = np.random.default_rng(seed)
    member = rng.permutation(np.arange(members + nonmembers) < members)
    score = rng.normal(size=len(member)) + 0.5 * member
    matched = matched_pairs(score, member)
    inside, outside = np.sort(score[matched & member]), np.sort(score[matched & ~member])
    assert len(inside) == len(outside)
    assert (np.abs(inside - outside) <= CALIPER * score.std() + 1e-12).all()


def test_identical_scores_match_everyone_that_can_be():
    member = np.arange(25) < 10
    assert matched_pairs(np.zeros(25), member).sum() == 20


@pytest.mark.parametrize(("side", "bins"), [(12, 2), (60, 3), (250, 12), (5000, 20)])
def test_strata_are_as_many_as_the_subjects_bear_and_ordered(side, bins):
    rng = np.random.default_rng(side)
    score = rng.normal(size=2 * side)
    strata = blind_strata(score, np.arange(2 * side) < side)
    assert np.unique(strata).tolist() == list(range(bins))
    assert all(
        score[strata == low].max() <= score[strata == high].min() for low, high in pairwise(range(bins))
    )
