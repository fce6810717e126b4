"""Results among a group: who counts, and why there is none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from memberscan.evidence.groups import JudgedScores, among
from memberscan.evidence.scores import ASIDE

from .simulated import once, simulate


def test_people_of_all_draws_count_and_not_those_of_one():
    rng = np.random.default_rng(0)
    scores, member = simulate(rng, 40, 40, shift=1.0, attacks=1, draws=5)
    inside = np.arange(80) % 3 == 0
    fewest = scores[1].of_people(inside).counts.min()
    found = among(JudgedScores(scores[1]), inside)
    assert 2 <= fewest < 10 <= (member & inside).sum()
    assert found.reason is None and found.auc is not None and found.accuracy is not None
    assert found.auc.low < found.auc.value < found.auc.high


@pytest.mark.parametrize(
    ("people", "reason"), [(9, "fewer than 10 members or non-members scored"), (10, None)]
)
def test_groups_of_few_people_have_a_reason(people: int, reason: str | None):
    member = np.arange(60) < 30
    scores = once("error", np.random.default_rng(0).normal(size=60), member)
    found = among(JudgedScores(scores), (np.arange(60) < people) | (np.arange(60) >= 40))
    assert found.reason == reason and (found.auc is None) == (reason is not None)


def test_a_draw_that_scores_too_few_of_a_group_gives_no_result():
    scores, _ = simulate(np.random.default_rng(0), 30, 30, attacks=1, draws=6)
    inside = np.r_[np.arange(12), np.arange(30, 42)]
    sides = scores[1].sides.copy()
    # Of the group's members, the attack knows all but one in the first draw.
    sides[0, 1:12] = ASIDE
    found = among(JudgedScores(replace(scores[1], sides=sides)), np.isin(np.arange(60), inside))
    assert found.reason == "fewer than 2 members or non-members scored in some draw"
