"""Simulated attacks, so that every test of this room draws them the same way."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from memberscan.evidence.pairs import PairScores
from memberscan.evidence.scored import Scored

Simulate = Callable[..., tuple[list[Scored], np.ndarray]]


@pytest.fixture
def simulate() -> Simulate:
    """Return a function that draws an error attack, and fitted ones that know half of the subjects."""

    def draw(
        rng: np.random.Generator,
        members: int,
        nonmembers: int,
        *,
        shift: float = 0.0,
        fitted: int = 2,
        draws: int = 5,
    ) -> tuple[list[Scored], np.ndarray]:
        n = members + nonmembers
        member = np.arange(n) < members
        base = rng.normal(size=n) + shift * member
        attacks = [Scored("error", False, base[None], np.array([shift / 2]))]
        known = np.zeros((draws, n), dtype=bool)
        for row in known:
            row[rng.choice(members, min(members, nonmembers) // 2, replace=False)] = True
            row[members + rng.choice(nonmembers, min(members, nonmembers) // 2, replace=False)] = True
        for k in range(fitted):
            scores = base + 0.5 * rng.normal(size=(draws, n))
            scores[known] = np.nan
            attacks.append(Scored(f"fitted {k}", True, scores, np.full(draws, shift / 2)))
        return attacks, member

    return draw


@pytest.fixture
def federate() -> Callable[..., tuple[list[PairScores], np.ndarray]]:
    """Return a function that draws attacks among learners whose scores share an effect of the subject."""

    def draw(
        rng: np.random.Generator,
        sizes: Sequence[int],
        held_out: int,
        *,
        shift: float = 0.0,
        shared: float = 0.5,
        attacks: int = 1,
    ) -> tuple[list[PairScores], np.ndarray]:
        learners = len(sizes)
        home = np.repeat([*range(learners), -1], [*sizes, held_out])
        own = home == np.arange(learners)[:, None]
        subject = np.sqrt(shared) * rng.normal(size=len(home))
        names = tuple(f"site {k}" for k in range(learners))
        drawn = []
        for k in range(attacks):
            noise = np.sqrt(1 - shared) * rng.normal(size=(learners, learners, len(home)))
            scores = np.where(own[:, None], np.nan, subject + noise + shift * own)
            scores[np.arange(learners), np.arange(learners)] = np.nan
            thresholds = np.full((learners, learners), shift / 2)
            drawn.append(PairScores(f"attack {k}", True, names, names, scores, thresholds))
        return drawn, home

    return draw
