"""Gradient ascent: the learner that undoes the harm done to a scan is the one that holds it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memberscan.attacks import ATTACKS_OF, GRADIENT_ASCENT, UPDATE_ATTACKS, named
from memberscan.signals.updates import Updates
from memberscan.threat import Access, Attacker


def answers(rng: np.random.Generator, rounds: int = 2, scans: int = 7, learners: int = 3) -> Updates:
    """Return predictions under broadcasts and answers, with no gradients at all."""
    age = rng.uniform(45, 80, scans)
    before = age + rng.normal(0, 9, (rounds, scans))
    local = before[:, :, None] + rng.normal(0, 2, (rounds, scans, learners))
    took_part = rng.random((rounds, learners)) < 0.8
    local[~np.broadcast_to(took_part[:, None], local.shape)] = np.nan
    return Updates(
        scans=pd.DataFrame({"subject_id": [f"s{n}" for n in range(scans)], "age": age}),
        learners=tuple(f"learner-{n}" for n in range(learners)),
        rounds=tuple(range(5, 5 + rounds)),
        took_part=took_part,
        before=before,
        local=local,
        products=np.zeros((rounds, scans, learners, 0)),
        norms=np.zeros((rounds, scans, 0)),
        descent_norms=np.zeros((rounds, learners, 0)),
        sketches=[np.zeros((scans, 0))] * rounds,
        descent_sketches=np.zeros((rounds, learners, 0)),
    )


@given(seed=st.integers(0, 2**32 - 1))
def test_scores_are_those_of_a_naive_twin(seed: int):
    seen = answers(np.random.default_rng(seed))
    score = GRADIENT_ASCENT.score(seen)
    for scan, age in enumerate(seen.scans["age"]):
        for learner in range(3):
            undone = [
                abs(age - seen.before[t, scan]) - abs(age - seen.local[t, scan, learner])
                for t in range(2)
                if seen.took_part[t, learner]
            ]
            assert score[scan, learner] == pytest.approx(np.mean(undone) if undone else np.nan, nan_ok=True)


def test_whoever_undoes_the_harm_scores_highest():
    seen = answers(np.random.default_rng(0))
    seen.took_part[:] = True
    seen.local[:] = seen.before[:, :, None]
    seen.local[:, 4, 2] = seen.scans["age"].iloc[4]
    score = GRADIENT_ASCENT.score(seen)
    assert np.unravel_index(np.nanargmax(score), score.shape) == (4, 2)
    assert np.count_nonzero(score[:, 2]) == 1
    assert np.isnan(score[:, :2]).all(), "a learner that sends back what it was sent tells nothing"


def test_answers_that_tell_nothing_give_an_auc_of_a_half():
    inside = []
    for seed in range(60):
        seen = answers(np.random.default_rng(seed), scans=40)
        score = GRADIENT_ASCENT.score(seen)[:, 0]
        wins = (score[:20, None] > score[20:]) + (score[:20, None] == score[20:]) / 2
        inside.append(wins.mean())
    error = np.std(inside, ddof=1) / np.sqrt(len(inside))
    assert abs(np.mean(inside) - 0.5) < 4 * error < 0.08


def test_only_an_active_server_tries_it():
    assert named("gradient-ascent") is GRADIENT_ASCENT
    assert GRADIENT_ASCENT.needs.active and GRADIENT_ASCENT.needs.access is Access.UPDATES
    assert {who for who, names in ATTACKS_OF.items() if "gradient-ascent" in names} == {
        Attacker.ACTIVE_SERVER
    }
    assert not any(attack.needs.active for attack in UPDATE_ATTACKS.values())
