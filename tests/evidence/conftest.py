"""Simulated attacks, so that every test of this room draws them the same way."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

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
