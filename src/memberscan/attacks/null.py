"""What the attacks would show by chance alone: they are carried out with membership permuted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from memberscan import seeds
from memberscan.attacks.attack import Attack, Features
from memberscan.attacks.attempt import one_thread, scores_of
from memberscan.evidence.permutation import NullCheck, normal_null, permuted_aucs, permuted_null
from memberscan.evidence.power import SMALL
from memberscan.evidence.roc import aucs_of_rows
from memberscan.evidence.scores import ASIDE, IN, Scores
from memberscan.progress import progress
from memberscan.targets.known import Comparison, draws, everybody

if TYPE_CHECKING:
    from jaxtyping import Float, Int

    from memberscan.evidence.estimates import Estimates
    from memberscan.targets import Target

LARGEST_PERMUTED = 1000
"""Up to this many subjects attacks are refitted with membership permuted; above, the closed form is used."""
REFITS, FEW_REFITS = 199, 99
"""How many times attacks are refitted; fewer if each costs more, since there p-values do not decide."""
DECIDING = 1000
"""Permutations if p-values decide: p < .01 then has size 10/1001, and little power is lost."""
PROMISING = 0.05
"""Greater p-values from the first permutations need no more of them."""
_TOGETHER = 50
"""Permutations whose attacks are fitted at once."""
PERMUTATIONS = 499
"""Permutations for pairs, whose attacks are not refitted, if p-values do not decide."""


def by_chance(
    target: Target,
    observed: Sequence[tuple[Attack, Features]],
    scores: Sequence[Scores],
    estimates: Estimates,
    *,
    refit: bool,
) -> NullCheck:
    """Return what the attacks would show by chance alone.

    Parameters
    ----------
    target
        What was audited.
    observed, scores, estimates
        Each attack with its features, and its scores and AUC.
    refit
        Whether attacks are refitted although bounds decide, and not p-values.
    """
    if not scores[0].pairs:
        return _of_draws(target, observed, estimates, refit=refit)
    permutations = DECIDING if estimates.fewest < SMALL else PERMUTATIONS
    rng = seeds.generator(target.seed, "null")
    return permuted_null(estimates, permuted_aucs(scores, rng, permutations))


def _of_draws(
    target: Target, observed: Sequence[tuple[Attack, Features]], estimates: Estimates, *, refit: bool
) -> NullCheck:
    """Return the same for draws: attacks learn from the people they know, so each is fitted again."""
    if len(target.member) > LARGEST_PERMUTED or not (refit or estimates.fewest < SMALL):
        return normal_null(estimates)
    aucs = np.empty((0, len(estimates.attacks)))
    for permutations in (FEW_REFITS if estimates.fewest >= 150 else REFITS, DECIDING):
        done = len(aucs)
        more = refitted_null_aucs(observed, target, permutations - done, first=done)
        aucs = np.vstack([aucs, more])
        null = permuted_null(estimates, aucs)
        # Where p-values decide and may be small, more permutations resolve them. Stopping early shows no leak
        # that all of them would not show, so that the size of p < .01 is at most what it is with all.
        if estimates.fewest >= SMALL or null.p_values.min() > PROMISING:
            break
    return null


def refitted_null_aucs(
    observed: Sequence[tuple[Attack, Features]], target: Target, permutations: int, *, first: int = 0
) -> Float[np.ndarray, "permutations attacks"]:
    """Return mean AUCs of attacks on a model, with membership permuted before known subjects are drawn.

    Parameters
    ----------
    observed
        Each attack with its features.
    target
        The model; only the rows of an outsider can be drawn again.
    permutations
        How many.
    first
        Number of the first one: each has random numbers of its own.
    """
    aucs = np.empty((permutations, len(observed)))
    with one_thread(), progress("permuting membership", permutations) as advance:
        for start in range(0, permutations, _TOGETHER):
            part = slice(start, min(start + _TOGETHER, permutations))
            rows: dict[bool, list[Comparison]] = {True: [], False: []}
            for b in range(part.start, part.stop):
                rng = seeds.generator(target.seed, "null", first + b)
                member = rng.permutation(target.member)
                rows[True] += draws(member, target.threat, rng)
                rows[False] += everybody(member)
            sides = {learns: np.stack([row.sides for row in each]) for learns, each in rows.items()}
            for k, (attack, features) in enumerate(observed):
                values = scores_of(attack, features, rows[attack.learns], target.people)
                aucs[part, k] = _mean_aucs(values, sides[attack.learns], part.stop - part.start)
            advance(part.stop - part.start)
    return aucs


def _mean_aucs(
    values: Float[np.ndarray, "rows people"], sides: Int[np.ndarray, "rows people"], permutations: int
) -> Float[np.ndarray, " permutations"]:
    if np.isnan(values).all():
        return np.full(permutations, np.nan)
    # Every draw scores the same number of subjects, so the values can be reshaped to a rectangle.
    compared = sides != ASIDE
    values = values[compared].reshape(len(values), -1)
    labels = (sides == IN)[compared].reshape(values.shape).astype(float)
    return np.asarray(aucs_of_rows(values, labels).reshape(permutations, -1).mean(axis=1))
