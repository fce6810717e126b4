"""What attacks show over all pairs of a federation: pairs share subjects, so their errors go together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from scipy import stats

from memberscan.evidence.findings import Finding
from memberscan.evidence.intervals import LEVEL, Interval, balanced_accuracy_interval
from memberscan.evidence.joint import Difference, Joint
from memberscan.evidence.operating import operating_points, roc_points
from memberscan.evidence.pairs import HELD_OUT, Compared, PairScores, compared
from memberscan.evidence.scored import Scored

if TYPE_CHECKING:
    from jaxtyping import Float, Int

AT_ONCE = 100
"""Permutations held in memory at one time."""


@dataclass(frozen=True, eq=False)
class Pooled:
    """Means over pairs, for the subjects as they are (first row) and for resamples of them (the others).

    A pair compares a victim's subjects with the held-out ones; every pair counts the same.

    Parameters
    ----------
    attacks
        Their names; columns and arrays follow this order.
    auc, sensitivity, specificity
        The last two at each pair's own threshold.
    members, nonmembers
        Distinct subjects scored, each counted once however many attackers scored them.
    """

    attacks: tuple[str, ...]
    auc: Float[np.ndarray, "rows attacks"]
    sensitivity: Float[np.ndarray, "rows attacks"]
    specificity: Float[np.ndarray, "rows attacks"]
    members: Int[np.ndarray, " attacks"]
    nonmembers: Int[np.ndarray, " attacks"]

    @cached_property
    def joint(self) -> Joint:
        """The AUCs with their errors; an attack whose resamples are all alike counts as uncorrelated."""
        spread = self.auc[1:].std(axis=0, ddof=1)
        deviations = (self.auc[1:] - self.auc[1:].mean(axis=0)) / np.where(spread > 0, spread, 1)
        correlation = deviations.T @ deviations / (len(deviations) - 1)
        np.fill_diagonal(correlation, 1.0)
        return Joint(self.attacks, self.auc[0], spread, correlation, self.members, self.nonmembers)

    @cached_property
    def accuracy(self) -> tuple[Interval, ...]:
        """Balanced accuracy with its 95% interval.

        Each side counts as so many independent subjects as would give a proportion the variance of the
        resamples (Korn and Graubard, Survey Methodology 24, 1998), but never as more than there are: an
        interval has no zero width where everybody is decided alike.
        """
        return tuple(
            balanced_accuracy_interval(
                float(self.sensitivity[0, k]),
                float(self.specificity[0, k]),
                _independent(self.sensitivity[:, k], int(self.members[k])),
                _independent(self.specificity[:, k], int(self.nonmembers[k])),
            )
            for k in range(len(self.attacks))
        )

    def difference(self, attack: str, over: str) -> Difference:
        """Compare two attacks' AUCs on the same subjects, by the same resamples.

        The error is floored at what one pair of subjects weighs, so that two attacks which are both perfect
        do not get an interval of zero width. Not a test chosen after looking at all pairs of attacks.
        """
        one, other = self.attacks.index(attack), self.attacks.index(over)
        differences = self.auc[:, one] - self.auc[:, other]
        floor = 0.5 / np.sqrt(max(self.members[k] * self.nonmembers[k] for k in (one, other)))
        half = float(stats.norm.ppf((1 + LEVEL) / 2) * max(differences[1:].std(ddof=1), floor))
        value = float(differences[0])
        return Difference(attack, over, value, max(-1.0, value - half), min(1.0, value + half))


def _independent(proportions: Float[np.ndarray, " rows"], subjects: int) -> int:
    """Return how many independent subjects vary as a proportion's resamples do, at most ``subjects``."""
    variance = float(proportions[1:].var(ddof=1))
    binomial = float(proportions[0] * (1 - proportions[0]))
    return max(1, int(binomial / variance)) if binomial < variance * subjects else subjects


def pooled(
    attacks: Sequence[PairScores],
    home: Int[np.ndarray, " subjects"],
    rng: np.random.Generator,
    *,
    resamples: int = 1000,
) -> Pooled:
    """Pool each attack over its pairs with ten or more scored subjects a side.

    Errors come from resampling subjects, each victim's within the victim and the held-out ones among
    themselves. A subject weighs the same in all pairs and attacks, so that what pairs share is not counted
    twice. They are errors over subjects given this federation: not over retraining it, and not over learners.

    Parameters
    ----------
    attacks
        Scores of the same subjects and victims; attackers may differ.
    home
        Index of the victim that trained on each subject; -1 for held-out ones.
    rng
        Draws the resamples.
    resamples
        How many; the error of a standard error is about 1/sqrt(2 x resamples) of it.

    Raises
    ------
    MisalignedError, TooFewSubjectsError
        See :func:`memberscan.evidence.pairs.compared`.
    """
    sides = compared(attacks, home)
    pairs = [sides.pairs(attack) for attack in attacks]
    auc, sensitivity, specificity = (np.zeros((resamples + 1, len(attacks))) for _ in range(3))
    outside = resample_weights(len(sides.outside), resamples, rng)
    for v, positions in enumerate(sides.inside):
        inside = resample_weights(len(positions), resamples, rng)
        for k, attack in enumerate(attacks):
            attackers = np.flatnonzero(pairs[k][:, v])
            if not len(attackers):
                continue
            scores = attack.scores[attackers, v]
            members, nonmembers = scores[:, positions], scores[:, sides.outside]
            threshold = attack.thresholds[attackers, v, None]
            wins = np.einsum("bj,bj->b", inside @ _comparisons(members, nonmembers), outside)
            auc[:, k] += wins / (len(positions) * len(sides.outside))
            sensitivity[:, k] += inside @ (members > threshold).sum(axis=0) / len(positions)
            specificity[:, k] += outside @ (nonmembers <= threshold).sum(axis=0) / len(sides.outside)
    counts = np.array([pair.sum() for pair in pairs])
    return Pooled(
        attacks=tuple(attack.attack for attack in attacks),
        auc=auc / counts,
        sensitivity=sensitivity / counts,
        specificity=specificity / counts,
        members=np.array([sides.sizes[pair.any(axis=0)].sum() for pair in pairs]),
        nonmembers=np.full(len(attacks), len(sides.outside)),
    )


def resample_weights(
    subjects: int, resamples: int, rng: np.random.Generator
) -> Float[np.ndarray, "rows subjects"]:
    """Return how often each subject counts: once in the first row, as often as drawn in the others."""
    weights = np.ones((resamples + 1, subjects))
    if subjects:
        weights[1:] = rng.multinomial(subjects, np.full(subjects, 1 / subjects), size=resamples)
    return weights


def _comparisons(
    members: Float[np.ndarray, "attackers members"], nonmembers: Float[np.ndarray, "attackers nonmembers"]
) -> Float[np.ndarray, "members nonmembers"]:
    """Return for how many attackers a member outranks a non-member; a tie counts half.

    Sums over attackers make the cost of a resample one of victims, not of pairs.
    """
    total = np.zeros((members.shape[1], nonmembers.shape[1]))
    for inside, outside in zip(members, nonmembers, strict=True):
        total += inside[:, None] > outside
        total += inside[:, None] >= outside
    return total / 2


def pooled_findings(
    attacks: Sequence[PairScores], home: Int[np.ndarray, " subjects"], results: Pooled
) -> tuple[Finding, ...]:
    """Return what each attack showed over its pairs, in the order given.

    True-positive rates and ROC curves are means over pairs at equal false-positive rate. The interval of a
    rate is the mean of the pairs' intervals, which is too wide for a mean rather than too narrow.

    Parameters
    ----------
    attacks, home
        As given to :func:`pooled`.
    results
        What it returned.
    """
    sides = compared(attacks, home)
    estimates, member = results.joint, home != HELD_OUT
    found = []
    for k, attack in enumerate(attacks):
        rows = _rows(attack, sides)
        found.append(
            Finding(
                attack=attack.attack,
                auc=estimates.intervals[k],
                simultaneous_low=float(estimates.simultaneous_low[k]),
                standard_error=float(estimates.standard_error[k]),
                accuracy=results.accuracy[k],
                tpr=operating_points(rows, member),
                roc=roc_points(rows, member),
                members=int(estimates.members[k]),
                nonmembers=int(estimates.nonmembers[k]),
            )
        )
    return tuple(found)


def _rows(attack: PairScores, sides: Compared) -> Scored:
    """Return one row per pair, with scores of the subjects that it compares."""
    pairs = np.argwhere(sides.pairs(attack))
    scores = np.full((len(pairs), attack.scores.shape[2]), np.nan)
    for row, (a, v) in zip(scores, pairs, strict=True):
        positions = np.concatenate([sides.inside[v], sides.outside])
        row[positions] = attack.scores[a, v, positions]
    return Scored(attack.attack, True, scores, attack.thresholds[sides.pairs(attack)])


def permuted_pooled(
    attacks: Sequence[PairScores],
    home: Int[np.ndarray, " subjects"],
    rng: np.random.Generator,
    permutations: int,
) -> Float[np.ndarray, "permutations attacks"]:
    """Return pooled AUCs with the homes of all compared subjects permuted, for a test over all attacks.

    Scores stay as they are, and so do the numbers of subjects of each victim. A subject that an attacker did
    not score drops out of its pairs, wherever the permutation puts it. Learners know their own subjects, so
    their permuted pairs are smaller than the observed ones: such a test errs towards chance, the more so the
    fewer learners there are.

    Parameters
    ----------
    attacks, home
        As given to :func:`pooled`.
    rng
        Draws the permutations.
    permutations
        How many.

    Raises
    ------
    MisalignedError, TooFewSubjectsError
        See :func:`memberscan.evidence.pairs.compared`.
    """
    sides = compared(attacks, home)
    subjects = np.concatenate([*sides.inside, sides.outside])
    null = np.empty((permutations, len(attacks)))
    for start in range(0, permutations, AT_ONCE):
        width = min(AT_ONCE, permutations - start)
        homes = rng.permuted(np.tile(home[subjects, None], (1, width)), axis=0)
        for k, attack in enumerate(attacks):
            pairs = np.argwhere(sides.pairs(attack))
            aucs = [_permuted_aucs(attack.scores[a, v, subjects], homes, v) for a, v in pairs]
            null[start : start + width, k] = np.nanmean(aucs, axis=0)
    return null


def _permuted_aucs(
    scores: Float[np.ndarray, " subjects"], homes: Int[np.ndarray, "subjects permutations"], victim: int
) -> Float[np.ndarray, " permutations"]:
    """Return one pair's AUC for each column of homes; NaN where a side is empty."""
    order = np.argsort(scores)[: np.count_nonzero(~np.isnan(scores))]
    ordered, homes = scores[order], homes[order]
    inside, outside = homes == victim, homes == HELD_OUT
    lower = np.zeros((len(ordered) + 1, homes.shape[1]), dtype=np.int64)
    np.cumsum(outside, axis=0, out=lower[1:])
    below = lower[np.searchsorted(ordered, ordered)] + lower[np.searchsorted(ordered, ordered, side="right")]
    comparisons = 2 * inside.sum(axis=0) * lower[-1]
    wins = np.where(inside, below, 0).sum(axis=0)
    nowhere = np.full(len(wins), np.nan)
    return np.asarray(np.divide(wins, comparisons, out=nowhere, where=comparisons > 0))
