"""Simulated attacks, so that every test of evidence draws them the same way."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from memberscan.evidence.cross_fitting import DrawDesign
from memberscan.evidence.scores import ASIDE, IN, OUT, Pair, Scores
from memberscan.targets.known import draws as draws_of
from memberscan.threat import ThreatModel


def once(attack: str, values: np.ndarray, member: np.ndarray, threshold: float = 0.0) -> Scores:
    """Return the scores of an attack that is not fitted: one row, everyone compared."""
    return Scores.of_draws(
        attack, fitted=False, values=values[None], member=member, thresholds=np.array([threshold])
    )


def fitted(attack: str, values: np.ndarray, member: np.ndarray, threshold: float = 0.0) -> Scores:
    """Return the scores of a fitted attack, NaN for the people known in a draw."""
    thresholds = np.full(len(values), threshold)
    return Scores.of_draws(attack, fitted=True, values=values, member=member, thresholds=thresholds)


def design_of(members: int, nonmembers: int, leaked: float, repeats: int, seed: int = 0) -> DrawDesign:
    """Return who is fitted on and scored in the draws of an audit of these people."""
    member = np.arange(members + nonmembers) < members
    rows = draws_of(member, ThreatModel(leaked=leaked, repeats=repeats), np.random.default_rng(seed))
    known = np.stack([row.known.everyone for row in rows])
    weights = np.stack(
        [np.where(member, 1 / (member & ~row).sum(), 1 / (~member & ~row).sum()) * ~row for row in known]
    )
    return DrawDesign.of(weights, known)


def simulate(
    rng: np.random.Generator,
    members: int,
    nonmembers: int,
    *,
    shift: float = 0.0,
    attacks: int = 2,
    draws: int = 5,
) -> tuple[list[Scores], np.ndarray]:
    """Draw an error attack, and fitted ones that know half of the people of the smaller side on each side."""
    n = members + nonmembers
    member = np.arange(n) < members
    base = rng.normal(size=n) + shift * member
    drawn = [once("error", base, member, shift / 2)]
    known = np.zeros((draws, n), dtype=bool)
    for row in known:
        row[rng.choice(members, min(members, nonmembers) // 2, replace=False)] = True
        row[members + rng.choice(nonmembers, min(members, nonmembers) // 2, replace=False)] = True
    for k in range(attacks):
        values = base + 0.5 * rng.normal(size=(draws, n))
        drawn.append(fitted(f"fitted {k}", np.where(known, np.nan, values), member, shift / 2))
    return drawn, member


def among_parties(
    values: np.ndarray,
    home: np.ndarray,
    *,
    attackers: Sequence[str],
    victims: Sequence[str],
    attack: str = "loss",
    thresholds: np.ndarray | float = 0.0,
) -> Scores:
    """Return scores from attackers x victims x people, without the pairs of a party with itself.

    ``home`` is the index of the victim that trained on each person; -1 for the held-out.
    """
    kept = [(a, v) for a, name in enumerate(attackers) for v, victim in enumerate(victims) if name != victim]
    rows = tuple(Pair(attackers[a], victims[v]) for a, v in kept)
    of_pairs = np.stack([values[a, v] for a, v in kept])
    own = np.stack([home == v for _, v in kept])
    sides = np.where(own, IN, np.where(home == -1, OUT, ASIDE))
    sides = np.where(np.isnan(of_pairs), ASIDE, sides).astype(np.int8)
    limits = np.broadcast_to(thresholds, values.shape[:2])
    return Scores(attack, True, rows, of_pairs, sides, np.array([limits[a, v] for a, v in kept]))


def federate(
    rng: np.random.Generator,
    sizes: Sequence[int],
    held_out: int,
    *,
    shift: float = 0.0,
    shared: float = 0.5,
    attacks: int = 1,
    known: int = 0,
    digits: int | None = None,
) -> tuple[list[Scores], np.ndarray]:
    """Draw attacks among learners whose scores share an effect of the person; and where people are at home.

    ``known`` held-out people are scored by nobody; scores are rounded to ``digits``, for ties.
    """
    learners = len(sizes)
    home = np.repeat([*range(learners), -1], [*sizes, held_out])
    own = home == np.arange(learners)[:, None]
    person = np.sqrt(shared) * rng.normal(size=len(home))
    names = [f"site {k}" for k in range(learners)]
    drawn = []
    for k in range(attacks):
        noise = np.sqrt(1 - shared) * rng.normal(size=(learners, learners, len(home)))
        values = np.where(own[:, None], np.nan, person + noise + shift * own)
        values[:, :, np.flatnonzero(home == -1)[:known]] = np.nan
        if digits is not None:
            values = values.round(digits)
        drawn.append(
            among_parties(
                values, home, attackers=names, victims=names, attack=f"attack {k}", thresholds=shift / 2
            )
        )
    return drawn, home
