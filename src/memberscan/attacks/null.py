"""What the attacks would show by chance alone: they are carried out with membership permuted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from memberscan import seeds
from memberscan.attacks.attack import Attack, Features
from memberscan.attacks.attempt import carry_out, one_thread
from memberscan.evidence.permutation import NullCheck, normal_null, permuted_aucs, permuted_null
from memberscan.evidence.power import SMALL
from memberscan.evidence.roc import aucs_of_rows
from memberscan.evidence.scores import IN, Scores
from memberscan.progress import progress
from memberscan.targets.known import draws, everybody

if TYPE_CHECKING:
    from jaxtyping import Float

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
        for b in range(permutations):
            rng = seeds.generator(target.seed, "null", first + b)
            member = rng.permutation(target.member)
            rows = {True: draws(member, target.threat, rng), False: everybody(member)}
            for k, (attack, features) in enumerate(observed):
                scores = carry_out(attack, features, rows[attack.learns], target.people)
                aucs[b, k] = np.nan if scores is None else _mean_auc(scores)
            advance(1)
    return aucs


def _mean_auc(scores: Scores) -> float:
    # Every draw scores the same number of subjects, so the values can be reshaped to a rectangle.
    compared = scores.compared
    values = scores.values[compared].reshape(len(compared), -1)
    labels = (scores.sides == IN)[compared].reshape(values.shape).astype(float)
    return float(aucs_of_rows(values, labels).mean())
