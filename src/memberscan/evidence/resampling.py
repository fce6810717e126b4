"""Errors by resampling people, for pairs of parties: they share people, so their errors are correlated."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

from memberscan.evidence.alignment import Groups, aligned, groups_of
from memberscan.evidence.delong import DeLong
from memberscan.evidence.estimates import Errors, Estimates
from memberscan.evidence.intervals import Interval, balanced_accuracy_interval, weights_by_share
from memberscan.evidence.roc import comparable, null_variance
from memberscan.evidence.scores import IN
from memberscan.limits import FEWEST_PER_SIDE

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int, UInt32

    from memberscan.evidence.scores import Scores


@dataclass(frozen=True, eq=False)
class _Comparison:
    """The people compared for one target, and how often each person counts in each resample.

    ``alike`` marks the pairs of people that count, or is None if all do; ``total`` is their weight.
    """

    target: str
    members: Int[np.ndarray, " members"]
    nonmembers: Int[np.ndarray, " nonmembers"]
    inside: Float[np.ndarray, "resamples members"]
    outside: Float[np.ndarray, "resamples nonmembers"]
    alike: Bool[np.ndarray, "members nonmembers"] | None
    total: Float[np.ndarray, " resamples"] | float

    @property
    def design_effect(self) -> float:
        """Variance of an AUC that finds nothing, over that of an AUC in which all pairs of people count."""
        if self.alike is None:
            return 1.0
        others, members = self.alike.sum(axis=1), self.alike.sum(axis=0)
        # As in null_variance_within: every pair of people has the size of its stratum.
        sizes = (self.alike * (others[:, None] + members + 1)).sum()
        by_chance = float(null_variance(len(self.members), len(self.nonmembers)))
        return float(sizes / 12 / self.alike.sum() ** 2 / by_chance)

    def aucs(self, rows: Float[np.ndarray, "rows people"]) -> Float[np.ndarray, " resamples"]:
        """Return the sum of the AUCs of some rows, in each resample."""
        wins = _wins(rows[:, self.members], rows[:, self.nonmembers])
        if self.alike is not None:
            wins *= self.alike
        return np.asarray(np.einsum("bj,bj->b", self.inside @ wins, self.outside) / self.total)


@dataclass(frozen=True, eq=False)
class Resampling:
    """Errors from resampling people: the members of each target, and the non-members, separately.

    A person has the same weight in all pairs and attacks, so that people shared by pairs are not counted
    twice. All pairs have the same weight. These are errors over people given this federation: not over
    retraining it, and not over learners.

    Parameters
    ----------
    groups
        The groups within which people are resampled.
    inside, outside
        How often each person of a group counts: once in the first row, as often as drawn in the others.
    """

    groups: Groups
    inside: Mapping[str, UInt32[np.ndarray, "resamples members"]]
    outside: UInt32[np.ndarray, "resamples nonmembers"]

    @classmethod
    def draw(cls, scores: Sequence[Scores], rng: np.random.Generator, *, resamples: int = 1000) -> Self:
        """Resample the people of some attacks' scores; all estimates then use the same resamples.

        Parameters
        ----------
        scores
            Of all attacks that will be estimated, or compared with each other.
        rng
            Draws the resamples.
        resamples
            How many; the error of a standard error is about 1/sqrt(2 x resamples) of it.

        Raises
        ------
        MisalignedError, TooFewSubjectsError
            See :func:`memberscan.evidence.alignment.groups_of`.
        """
        groups = groups_of(scores)
        # Non-members first, then the targets in the order of the parties: the order determines the random
        # numbers of each group.
        outside = _weights(len(groups.outside), resamples, rng)
        inside = {name: _weights(len(people), resamples, rng) for name, people in groups.inside.items()}
        return cls(groups, inside, outside)

    def aucs(self, scores: Sequence[Scores]) -> Estimates:
        """Return the AUCs of all attacks over their pairs."""
        return _Resampled.over(scores, self._everyone()).estimates

    def aucs_within(
        self, scores: Sequence[Scores], strata: Mapping[str, Int[np.ndarray, " people"]]
    ) -> Estimates | None:
        """Return the AUCs among people of one stratum of the target's.

        A target with fewer than ten such people on a side drops out. None if an attack is left with none.
        """
        found = _Resampled.over(scores, self._alike(strata))
        return found.estimates if found.rows.all() else None

    def accuracies(self, scores: Sequence[Scores], estimates: Estimates) -> tuple[Interval, ...]:  # noqa: ARG002
        """Return the mean balanced accuracy over pairs, each at its own threshold.

        The sample size of each side is the number of independent people that gives a proportion the variance
        of the resamples (Korn and Graubard, Survey Methodology 24, 1998), at most the number of people. So an
        interval never has zero width, even if all decisions are equal. Where thresholds are quantiles of the
        people compared, they vary with these people: see
        :func:`memberscan.evidence.intervals.weights_at_quantile`, of which this takes the mean over pairs.
        Resamples with thresholds of their own would vary too much, since they repeat people.
        """
        return tuple(self._accuracy(attack) for attack in scores)

    def shares_right(
        self, attack: Scores
    ) -> tuple[Float[np.ndarray, " resamples"], Float[np.ndarray, " resamples"]]:
        """Return sensitivity and specificity, as means over pairs, in each resample."""
        sensitivity, specificity = np.zeros((2, len(self.outside)))
        for each in self._everyone():
            rows = attack.about(each.target)
            if rows is None:
                continue
            threshold = rows.thresholds[:, None]
            right = (rows.values[:, each.members] > threshold).sum(axis=0)
            sensitivity += each.inside @ right / len(each.members)
            right = (rows.values[:, each.nonmembers] <= threshold).sum(axis=0)
            specificity += each.outside @ right / len(each.nonmembers)
        return sensitivity / len(attack.rows), specificity / len(attack.rows)

    def difference(self, attack: Scores, over: Scores) -> tuple[float, float]:
        """Return the difference of AUCs, and its standard error by the same resamples."""
        found = _Resampled.over([attack, over], self._everyone())
        differences = found.aucs[:, 0] - found.aucs[:, 1]
        # Half of the weight of one pair of people in the AUC.
        floor = 0.5 / np.sqrt((found.members * found.nonmembers).max())
        return float(differences[0]), float(max(differences[1:].std(ddof=1), floor))

    def _everyone(self) -> Iterator[_Comparison]:
        """Yield for each target all its people against all non-members."""
        outside = self.outside.astype(float)
        for name, members in self.groups.inside.items():
            inside = self.inside[name].astype(float)
            total = float(len(members) * len(self.groups.outside))
            yield _Comparison(name, members, self.groups.outside, inside, outside, None, total)

    def _alike(self, strata: Mapping[str, Int[np.ndarray, " people"]]) -> Iterator[_Comparison]:
        """Yield for each target with enough of them the people who share a stratum with the other side."""
        outside = self.outside.astype(float)
        for name, members in self.groups.inside.items():
            people, inside = np.concatenate([members, self.groups.outside]), self.inside[name].astype(float)
            kept = comparable(np.arange(len(people)) < len(members), strata[name][people])
            of_members, of_others = np.split(kept, [len(members)])
            if min(of_members.sum(), of_others.sum()) < FEWEST_PER_SIDE:
                continue
            one, other = members[of_members], self.groups.outside[of_others]
            alike = strata[name][one][:, None] == strata[name][other]
            weights = inside[:, of_members], outside[:, of_others]
            # A resample may have no people who are alike; it then counts as no win out of one.
            total = np.maximum(np.einsum("bj,bj->b", weights[0] @ alike, weights[1]), 1)
            yield _Comparison(name, one, other, *weights, alike, total)

    def _accuracy(self, attack: Scores) -> Interval:
        targets = {row.target for row in attack.rows}
        counts = sum(len(self.groups.inside[name]) for name in targets), len(self.groups.outside)
        shares = self.shares_right(attack)
        members, others = (_independent(*each) for each in zip(shares, counts, strict=True))
        weights = (1.0, 1.0) if attack.fitted else _weights_by_share(attack)
        return balanced_accuracy_interval(float(shares[0][0]), float(shares[1][0]), members, others, weights)


def errors_of(scores: Sequence[Scores], rng: np.random.Generator, *, resamples: int = 1000) -> Errors:
    """Return the method for the errors of these scores: resampling for pairs, DeLong for draws.

    Parameters
    ----------
    scores
        Of all attacks that will be estimated, or compared with each other.
    rng, resamples
        As of :meth:`Resampling.draw`; not used for draws.
    """
    return Resampling.draw(scores, rng, resamples=resamples) if scores[0].pairs else DeLong()


def pooled_intervals(
    scores: Scores, rng: np.random.Generator, *, resamples: int
) -> tuple[Interval, Interval]:
    """Return the AUC and the balanced accuracy of one attack over its pairs, for a point of a curve."""
    errors = Resampling.draw([scores], rng, resamples=resamples)
    (kept,) = aligned([scores])
    estimates = errors.aucs([kept])
    return estimates.intervals[0], errors.accuracies([kept], estimates)[0]


@dataclass(frozen=True, eq=False)
class _Resampled:
    """Means over the rows of each attack, for the people as they are (first row) and for their resamples."""

    attacks: tuple[str, ...]
    sums: Float[np.ndarray, "resamples attacks"]
    rows: Int[np.ndarray, " attacks"]
    members: Int[np.ndarray, " attacks"]
    nonmembers: Int[np.ndarray, " attacks"]
    design_effect: Float[np.ndarray, " attacks"]

    @classmethod
    def over(cls, scores: Sequence[Scores], comparisons: Iterable[_Comparison]) -> Self:
        """Add up the AUCs of the rows of each attack."""
        sums: Float[np.ndarray, "resamples attacks"] | None = None
        rows, members = np.zeros((2, len(scores)), dtype=int)
        effects = np.zeros(len(scores))
        nonmembers = np.zeros((len(scores), scores[0].values.shape[1]), dtype=bool)
        for each in comparisons:
            if sums is None:
                sums = np.zeros((len(each.outside), len(scores)))
            effect = each.design_effect
            for k, attack in enumerate(scores):
                part = attack.about(each.target)
                if part is not None:
                    sums[:, k] += each.aucs(part.values)
                    rows[k] += len(part.rows)
                    members[k] += len(each.members)
                    effects[k] += effect * len(part.rows)
                    nonmembers[k, each.nonmembers] = True
        names = tuple(attack.attack for attack in scores)
        sums = np.zeros((0, len(scores))) if sums is None else sums
        return cls(names, sums, rows, members, nonmembers.sum(axis=1), effects / np.maximum(rows, 1))

    @property
    def aucs(self) -> Float[np.ndarray, "resamples attacks"]:
        """Mean AUC of each attack over its rows."""
        return np.asarray(self.sums / self.rows)

    @property
    def estimates(self) -> Estimates:
        """The AUCs of the people as they are, with the errors and correlations of the resamples."""
        aucs = self.aucs
        spread = aucs[1:].std(axis=0, ddof=1)
        # An attack whose resamples are all alike counts as uncorrelated, which widens the bounds.
        deviations = (aucs[1:] - aucs[1:].mean(axis=0)) / np.where(spread > 0, spread, 1)
        correlation = deviations.T @ deviations / (len(deviations) - 1)
        np.fill_diagonal(correlation, 1.0)
        # People scored in pairs are not fitted on, so that only lopsided strata add to the variance.
        effects = self.design_effect
        return Estimates(self.attacks, aucs[0], spread, correlation, self.members, self.nonmembers, effects)


def _weights(people: int, resamples: int, rng: np.random.Generator) -> UInt32[np.ndarray, "resamples people"]:
    """Return how often each person counts: once in the first row, as often as drawn in the others."""
    weights = np.ones((resamples + 1, people), dtype=np.uint32)
    weights[1:] = rng.multinomial(people, np.full(people, 1 / people), size=resamples)
    return weights


def _wins(
    members: Float[np.ndarray, "rows members"], nonmembers: Float[np.ndarray, "rows nonmembers"]
) -> Float[np.ndarray, "members nonmembers"]:
    """Return in how many rows a member outranks a non-member; a tie counts half.

    With sums over the rows of one target, the cost of a resample depends on targets, not on rows.
    """
    total = np.zeros((members.shape[1], nonmembers.shape[1]))
    for inside, outside in zip(members, nonmembers, strict=True):
        total += inside[:, None] > outside
        total += inside[:, None] >= outside
    return total / 2


def _weights_by_share(attack: Scores) -> tuple[float, float]:
    """Return how far errors of sensitivity and specificity move twice the accuracy, as means over pairs."""
    rows = zip(attack.values, attack.sides, attack.compared, attack.thresholds, strict=True)
    found = [
        weights_by_share(values[kept], sides[kept] == IN, float(threshold))
        for values, sides, kept, threshold in rows
    ]
    first, second = np.mean(found, axis=0).tolist()
    return first, second


def _independent(proportions: Float[np.ndarray, " resamples"], people: int) -> int:
    """Return how many independent people vary as a proportion's resamples do, at most ``people``."""
    variance = float(proportions[1:].var(ddof=1))
    binomial = float(proportions[0] * (1 - proportions[0]))
    return max(1, int(binomial / variance)) if binomial < variance * people else people
