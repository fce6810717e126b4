"""P-values by permutation of who is a member: over all attacks at once, and of one pair alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import stats
from scipy.special import ndtr

from memberscan.errors import MisalignedError
from memberscan.evidence.alignment import aligned, groups_of
from memberscan.evidence.roc import null_variance

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxtyping import Float, Int

    from memberscan.evidence.estimates import Estimates
    from memberscan.evidence.scores import Scores

ROWS_AT_ONCE, PAIRS_AT_ONCE = 100, 500
"""Permutations held in memory at one time."""
_OUTSIDE = -1


@dataclass(frozen=True, eq=False)
class NullCheck:
    """How often chance alone does as well as each attack, corrected for all attacks tried.

    Parameters
    ----------
    attacks
        Their names.
    p_values
        Max-T p-values, one-sided.
    permutations
        How many were drawn; ``None`` where the p-values come from the joint normal.
    null_mean, null_spread
        Mean and standard deviation of each attack's AUC by chance.
    """

    attacks: tuple[str, ...]
    p_values: Float[np.ndarray, " attacks"]
    permutations: int | None
    null_mean: Float[np.ndarray, " attacks"]
    null_spread: Float[np.ndarray, " attacks"]


def permuted_null(estimates: Estimates, null: Float[np.ndarray, "permutations attacks"]) -> NullCheck:
    """Return max-T p-values (Westfall and Young, 1993) from AUCs found with membership permuted.

    Each attack is studentised by its spread over the permutations and the observation together, which keeps
    the test exact; p = (1 + number of permutations whose greatest statistic is at least the attack's) /
    (permutations + 1). The test p < .01 has size ceil((permutations + 1) / 100 - 1) / (permutations + 1):
    .005 with 199 permutations, and .00999 with 1000, which loses little power.

    Parameters
    ----------
    estimates
        What was observed.
    null
        AUCs of the same attacks with sides permuted: refitted and rescored with labels permuted before known
        and unknown were split, or from :func:`permuted_aucs`.
    """
    if null.ndim != 2 or null.shape[1] != len(estimates.attacks) or not np.isfinite(null).all():
        raise MisalignedError(
            f"null AUCs of shape {null.shape} for {len(estimates.attacks)} attacks; give finite AUCs, "
            "permutations x attacks"
        )
    # Studentised by observation and permutations together, the observation is one of them under the null.
    every = np.vstack([estimates.auc, null])
    spread = every.std(axis=0)
    # Differences smaller than rounding are ties, and ties count against the attack.
    statistic = np.round(
        np.divide(every - every.mean(axis=0), spread, out=np.zeros_like(every), where=spread > 0), 9
    )
    greatest = statistic[1:].max(axis=1)
    p_values = (1 + (greatest[:, None] >= statistic[0]).sum(axis=0)) / len(every)
    return NullCheck(estimates.attacks, p_values, len(null), null.mean(axis=0), null.std(axis=0))


def normal_null(estimates: Estimates) -> NullCheck:
    """Return max-T p-values from the joint normal that AUCs approach in large samples; no attack is refitted.

    The variance is that of an untied Mann-Whitney AUC, times the design effect of the draws. The p-value is
    the smaller of a Monte Carlo estimate from a fixed generator and Bonferroni's bound, which is the sharper
    one far in the tail.
    """
    spread = np.sqrt(estimates.design_effect * null_variance(estimates.members, estimates.nonmembers))
    statistic = (estimates.auc - 0.5) / spread
    draws = len(estimates.greatest)
    sampled = (1 + draws - np.searchsorted(estimates.greatest, statistic)) / (1 + draws)
    bound = np.minimum(1.0, len(statistic) * ndtr(-statistic))
    return NullCheck(
        estimates.attacks, np.minimum(sampled, bound), None, np.full(len(statistic), 0.5), spread
    )


def permuted_aucs(
    scores: Sequence[Scores], rng: np.random.Generator, permutations: int
) -> Float[np.ndarray, "permutations attacks"]:
    """Return mean AUCs over rows with the sides of all compared people permuted, for :func:`permuted_null`.

    Scores stay as they are, and so do the numbers of people of each target. A person that a row did not score
    drops out of it, wherever the permutation puts it. Learners know their own people, so their permuted pairs
    are smaller than the observed ones: such a test errs towards chance, the more so the fewer learners there
    are.

    Parameters
    ----------
    scores
        Of the same people, the same ones compared in every row about a target.
    rng
        Draws the permutations.
    permutations
        How many.

    Raises
    ------
    MisalignedError, TooFewSubjectsError
        See :func:`memberscan.evidence.alignment.groups_of`.
    """
    groups, kept = groups_of(scores), aligned(scores)
    number = {target: k for k, target in enumerate(groups.inside)}
    people = np.concatenate([*groups.inside.values(), groups.outside])
    # The target that trained on each person; -1 for non-members.
    home = np.repeat([*number.values(), _OUTSIDE], [*map(len, groups.inside.values()), len(groups.outside)])
    null = np.empty((permutations, len(scores)))
    for start in range(0, permutations, ROWS_AT_ONCE):
        width = min(ROWS_AT_ONCE, permutations - start)
        homes = rng.permuted(np.tile(home[:, None], (1, width)), axis=0)
        for k, attack in enumerate(kept):
            rows = zip(attack.rows, attack.values, strict=True)
            aucs = [_permuted_aucs(values[people], homes, number[row.target]) for row, values in rows]
            null[start : start + width, k] = np.nanmean(aucs, axis=0)
    return null


def _permuted_aucs(
    values: Float[np.ndarray, " people"], homes: Int[np.ndarray, "people permutations"], target: int
) -> Float[np.ndarray, " permutations"]:
    """Return one row's AUC for each column of homes; NaN where a side is empty."""
    # NaN sorts last, so that the people without a score are cut off.
    order = np.argsort(values)[: np.count_nonzero(~np.isnan(values))]
    ordered, homes = values[order], homes[order]
    inside, outside = homes == target, homes == _OUTSIDE
    # Entry k counts the non-members among the k lowest values. Each member beats those below its group of
    # ties and ties with those in it, so that the sum of both ends counts every win twice.
    lowest = np.zeros((len(ordered) + 1, homes.shape[1]), dtype=np.int64)
    np.cumsum(outside, axis=0, out=lowest[1:])
    below = (
        lowest[np.searchsorted(ordered, ordered)] + lowest[np.searchsorted(ordered, ordered, side="right")]
    )
    comparisons = 2 * inside.sum(axis=0) * lowest[-1]
    wins = np.where(inside, below, 0).sum(axis=0)
    nowhere = np.full(len(wins), np.nan)
    return np.asarray(np.divide(wins, comparisons, out=nowhere, where=comparisons > 0))


def permutation_p_values(
    samples: Sequence[tuple[Float[np.ndarray, " members"], Float[np.ndarray, " nonmembers"]]],
    rng: np.random.Generator,
    permutations: int,
) -> Float[np.ndarray, " pairs"]:
    """Return one-sided p-values of the Mann-Whitney statistic of each pair of samples, by permutation.

    Ties get midranks. p = (1 + permutations that reach the observed statistic) / (permutations + 1), so the
    test is exact in size. Pairs of samples of equal sizes share permutations.
    """
    p_values = np.empty(len(samples))
    sizes = [(len(inside), len(outside)) for inside, outside in samples]
    for members, nonmembers in sorted(set(sizes)):
        group = [k for k, size in enumerate(sizes) if size == (members, nonmembers)]
        ranks = stats.rankdata(np.stack([np.concatenate(samples[k]) for k in group]), axis=1)
        # Rank sums are whole or half numbers, exact in floating point: equal ones compare as equal.
        observed = ranks[:, :members].sum(axis=1)
        reached = np.zeros(len(group))
        for start in range(0, permutations, PAIRS_AT_ONCE):
            labels = np.zeros((min(PAIRS_AT_ONCE, permutations - start), members + nonmembers), dtype=bool)
            labels[:, :members] = True
            rng.permuted(labels, axis=1, out=labels)
            reached += (labels.astype(float) @ ranks.T >= observed).sum(axis=0)
        p_values[group] = (1 + reached) / (1 + permutations)
    return p_values
