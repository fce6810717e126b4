"""How many members can be named with few mistakes."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from memberscan.evidence.naming import PRIORS, name_members


def test_no_more_mistakes_than_promised_on_new_people():
    shares, nobody = [], 0
    for seed in range(300):
        rng = np.random.default_rng(seed)
        member = np.arange(200) < 100
        scores = rng.normal(size=200) + np.where(member, np.where(rng.random(200) < 0.4, 4.0, 0.0), 0.0)
        found = name_members("a", scores, member)
        named = found.named[0]
        if not named:
            nobody += 1
            shares.append(0.0)
            continue
        threshold = np.sort(scores[member])[-named]
        # Of as many new non-members as there are members.
        false = (rng.normal(size=100) >= threshold).sum()
        shares.append(false / (false + named))
        assert found.named[1] <= named
    assert np.mean(shares) <= 0.1
    assert nobody < 60


def test_without_a_leak_hardly_anybody_is_named():
    named = []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        named.append(name_members("a", rng.normal(size=200), np.arange(200) < 100).named[0] > 0)
    assert np.mean(named) < 0.25


@given(st.integers(0, 10**6), st.integers(1, 60), st.integers(1, 60), st.floats(0.01, 0.9))
def test_against_a_naive_twin(seed, members, nonmembers, rate):
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, 12, members + nonmembers).astype(float)
    member = np.arange(len(scores)) < members
    found = name_members("a", scores, member, rate)
    for prior, named in zip(PRIORS, found.named, strict=True):
        best = 0
        for t in scores[member]:
            above, beyond = (scores[member] >= t).sum(), (scores[~member] >= t).sum()
            mistaken = (1 + beyond) / (1 + nonmembers) * members * (1 - prior) / prior
            if mistaken / (mistaken + above) <= rate:
                best = max(best, above)
        assert named == best


def test_people_without_a_score_do_not_count():
    scores = np.array([3.0, np.nan, 0.0, np.nan])
    found = name_members("a", scores, np.array([True, True, False, False]))
    assert (found.members, found.nonmembers) == (1, 1)
