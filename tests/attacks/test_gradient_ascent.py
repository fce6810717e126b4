"""Gradient ascent: the learner that undoes the harm done to a scan is the one that holds it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memberscan.attacks import REGISTRY, default_attacks
from memberscan.attacks.gradient_ascent import GRADIENT_ASCENT
from memberscan.signals import View
from memberscan.signals.broadcast_answers import ANSWER_PREDICTIONS, BROADCAST_PREDICTIONS
from memberscan.threat import Attacker, ThreatModel

from .conftest import scored


def answers(rng: np.random.Generator, rounds: int = 2, scans: int = 7, learners: int = 3) -> View:
    """Return predictions under broadcasts and answers."""
    age = rng.uniform(45, 80, scans)
    before = age + rng.normal(0, 9, (rounds, scans))
    local = before[:, :, None] + rng.normal(0, 2, (rounds, scans, learners))
    took_part = rng.random((rounds, learners)) < 0.8
    local[~np.broadcast_to(took_part[:, None], local.shape)] = np.nan
    return View(
        pd.DataFrame({"subject_id": [f"s{n}" for n in range(scans)], "label": age}),
        {BROADCAST_PREDICTIONS: before, ANSWER_PREDICTIONS: local},
        tuple(f"learner-{n}" for n in range(learners)),
        tuple(range(5, 5 + rounds)),
    )


@given(seed=st.integers(0, 2**32 - 1))
def test_scores_are_those_of_a_naive_twin(seed: int):
    seen = answers(np.random.default_rng(seed))
    score = scored(GRADIENT_ASCENT, seen)
    before, local = seen[BROADCAST_PREDICTIONS], seen[ANSWER_PREDICTIONS]
    for scan, age in enumerate(seen.label):
        for learner in range(3):
            undone = [
                abs(age - before[t, scan]) - abs(age - local[t, scan, learner])
                for t in range(2)
                if not np.isnan(local[t, scan, learner])
            ]
            assert score[scan, learner] == pytest.approx(np.mean(undone) if undone else np.nan, nan_ok=True)


def test_whoever_undoes_the_harm_scores_highest():
    seen = answers(np.random.default_rng(0))
    local = seen[ANSWER_PREDICTIONS]
    local[:] = seen[BROADCAST_PREDICTIONS][:, :, None]
    local[:, 4, 2] = seen.label[4]
    score = scored(GRADIENT_ASCENT, seen)
    assert np.unravel_index(np.nanargmax(score), score.shape) == (4, 2)
    assert np.count_nonzero(score[:, 2]) == 1
    assert np.isnan(score[:, :2]).all(), "a learner that sends back what it was sent tells nothing"


def test_answers_that_tell_nothing_give_an_auc_of_a_half():
    inside = []
    for seed in range(60):
        seen = answers(np.random.default_rng(seed), scans=40)
        score = scored(GRADIENT_ASCENT, seen)[:, 0]
        wins = (score[:20, None] > score[20:]) + (score[:20, None] == score[20:]) / 2
        inside.append(wins.mean())
    error = np.std(inside, ddof=1) / np.sqrt(len(inside))
    assert abs(np.mean(inside) - 0.5) < 4 * error < 0.08


def test_only_an_active_server_tries_it_and_it_tries_nothing_else_of_updates():
    trying = {a for a in Attacker if "gradient-ascent" in default_attacks(ThreatModel(attacker=a))}
    assert trying == {Attacker.ACTIVE_SERVER}
    tried = default_attacks(ThreatModel(attacker=Attacker.ACTIVE_SERVER))
    assert all(set(REGISTRY[name].reads) <= {BROADCAST_PREDICTIONS, ANSWER_PREDICTIONS} for name in tried)
