"""Errors of draws, by person: draws share people, who are scored in some draws and fitted on in others."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from memberscan.errors import MisalignedError
from memberscan.evidence.cross_fitting import DrawDesign, variance_of_mean
from memberscan.evidence.draw_intervals import FittedAuc
from memberscan.evidence.estimates import Estimates
from memberscan.evidence.few_directions import FewDirections
from memberscan.evidence.intervals import (
    Interval,
    auc_interval,
    balanced_accuracy_interval,
    weights_by_share,
)
from memberscan.evidence.roc import (
    comparable,
    influences,
    null_variance,
    null_variance_within,
    opponents_of,
    weights_in_auc,
)
from memberscan.evidence.scores import ASIDE, IN, MODEL, OUT, Scores
from memberscan.limits import FEWEST_PER_SIDE

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int


@dataclass(frozen=True, eq=False)
class _Draws:
    """AUCs of some attacks in the same draws, and what each person adds to their deviations.

    ``learned`` says which attacks have scores that depend on whom they were fitted on, and ``laws`` how their
    means over draws vary. ``sides`` are who was ever compared as a member, and as a non-member. A person
    counts for none where no draw compares it with anybody alike. ``noise`` has how much of the squares in
    ``influence`` is by chance of who else was compared. ``by_chance`` is the mean variance over draws of an
    AUC that finds nothing.
    """

    auc: Float[np.ndarray, "draws attacks"]
    influence: Float[np.ndarray, "draws attacks people"]
    noise: Sequence[Float[np.ndarray, "draws people"] | None]
    learned: Bool[np.ndarray, " attacks"]
    laws: Sequence[FewDirections]
    design: DrawDesign
    sides: tuple[Bool[np.ndarray, " people"], Bool[np.ndarray, " people"]]
    by_chance: float

    @classmethod
    def of(cls, scores: Sequence[Scores], strata: Int[np.ndarray, " people"] | None) -> _Draws:
        """Return the draws of the attacks that are fitted; those that are not join every draw."""
        drawn = next((attack for attack in scores if attack.fitted), scores[0])
        shape = drawn.values.shape
        auc = np.zeros((shape[0], len(scores)))
        influence, weights = np.zeros((shape[0], len(scores), shape[1])), np.zeros(shape)
        noise = np.zeros((len(scores), *shape))
        by_chance, noise_by_chance = np.zeros((2, shape[0]))
        for draw, (kept, sides) in enumerate(zip(drawn.compared, drawn.sides, strict=True)):
            values = np.stack([attack.values[draw if attack.fitted else 0, kept] for attack in scores])
            among = sides[kept] == IN, None if strata is None else strata[kept]
            auc[draw], influence[draw][:, kept], noise[:, draw, kept] = influences(values, *among)
            weights[draw, kept] = weights_in_auc(*among)
            noise_by_chance[draw] = _placement_noise(*among)
            by_chance[draw] = _variance_by_chance(*among)
        sides = tuple(((drawn.sides == side) & (weights > 0)).any(axis=0) for side in (IN, OUT))
        design = DrawDesign.of(weights, drawn.sides == ASIDE, float(noise_by_chance.mean()))
        learned = np.array([_learned(attack) for attack in scores])
        laws = FewDirections.of_each(design, [attack.directions for attack in scores])
        return cls(
            auc,
            influence,
            # Of an attack that is scored once, the error is DeLong's own.
            [of_one if attack.fitted else None for attack, of_one in zip(scores, noise, strict=True)],
            learned,
            laws,
            design,
            (sides[0], sides[1]),
            float(by_chance.mean()),
        )

    @property
    def counts(self) -> Int[np.ndarray, " 2"]:
        """How many members, and non-members, were compared in some draw."""
        return np.array([side.sum() for side in self.sides])

    @property
    def by_person(self) -> Float[np.ndarray, "attacks people"]:
        """What each person adds to the deviation of each attack's mean AUC."""
        return np.asarray(self.influence.mean(axis=0))

    @property
    def variance(self) -> Float[np.ndarray, " attacks"]:
        """The variance of each attack's mean AUC over draws."""
        return np.array([stable * self.design.factor(s) for stable, s in self._variances])

    @property
    def variance_by_chance(self) -> Float[np.ndarray, " attacks"]:
        """The same, if fits of attacks that learned their scores tell nothing of the truth."""
        found = zip(self._variances, self.learned.tolist(), strict=True)
        return np.array([v * self.design.factor(0.0) if learned else v for (v, _), learned in found])

    @property
    def stability(self) -> Float[np.ndarray, " attacks"]:
        """The share of the truth in each attack's fits, from 0 to 1."""
        return np.array([stability for _, stability in self._variances])

    def fitted(self, attack: int) -> FittedAuc:
        """Return the mean AUC of an attack that learned its scores."""
        stable, stability = self._variances[attack]
        members, nonmembers = self.counts.tolist()
        auc = float(self.auc[:, attack].mean())
        return FittedAuc(auc, stable, stability, members, nonmembers, self.laws[attack])

    @cached_property
    def limits(self) -> Float[np.ndarray, "attacks 2"]:
        """The ends of each attack's 95% interval."""
        means, errors = self.auc.mean(axis=0).tolist(), np.sqrt(self.variance).tolist()
        members, nonmembers = self.counts.tolist()
        ends = []
        for k, learned in enumerate(self.learned.tolist()):
            alone = auc_interval(means[k], errors[k], members, nonmembers)
            ends.append(self.fitted(k).limits if learned else (alone.low, alone.high))
        return np.array(ends)

    @property
    def decisions(self) -> Float[np.ndarray, "attacks 2"]:
        """Variance of decisions over that of stable fits, at the ends of each attack's 95% interval."""
        stability = [
            self.fitted(k).stability_at(ends) if learned else np.ones(2)
            for k, (learned, ends) in enumerate(zip(self.learned.tolist(), self.limits, strict=True))
        ]
        of_each = [[self.design.of_decisions(end) for end in ends.tolist()] for ends in stability]
        return np.array(of_each) / self.design.stable

    @cached_property
    def _variances(self) -> list[tuple[float, float]]:
        found = [
            variance_of_mean(self.influence[:, k], self.design, self.sides, noise, auc)
            for k, (noise, auc) in enumerate(zip(self.noise, self.auc.mean(axis=0).tolist(), strict=True))
        ]
        # Scores that go together in all draws come from one rule, whatever places vary by.
        return [(v, s if learned else 1.0) for (v, s), learned in zip(found, self.learned, strict=True)]

    @property
    def design_effect(self) -> float:
        """Variance of the mean AUC of an attack that finds nothing, over that of one scored once."""
        factor = max(self.design.stable, self.design.unstable)
        return factor * self.by_chance / float(null_variance(*self.counts))


@dataclass(frozen=True)
class DeLong:
    """DeLong's errors, carried over from one draw to the mean over draws.

    An attack that is not fitted is scored once, on everyone. A fitted one gets the mean AUC over draws, of
    which :func:`memberscan.evidence.cross_fitting.variance_of_mean` gives the variance: scores of different
    fits are never compared with each other. Correlations come from what each person adds to each attack.

    Source: DeLong, DeLong and Clarke-Pearson, Biometrics 44, 1988.
    """

    def aucs(self, scores: Sequence[Scores]) -> Estimates:
        """Return the AUCs of all attacks."""
        return self._estimates(scores, None)

    def aucs_within(
        self, scores: Sequence[Scores], strata: Mapping[str, Int[np.ndarray, " people"]]
    ) -> Estimates | None:
        """Return the AUCs among people of one stratum; None if some draw compares fewer than ten a side."""
        labels = strata[MODEL]
        for attack in scores:
            for kept, sides in zip(attack.compared, attack.sides, strict=True):
                member = sides[kept] == IN
                used = member[comparable(member, labels[kept])]
                if min(used.sum(), (~used).sum()) < FEWEST_PER_SIDE:
                    return None
        return self._estimates(scores, labels)

    def _estimates(self, scores: Sequence[Scores], strata: Int[np.ndarray, " people"] | None) -> Estimates:
        _require_draws(scores)
        auc, variance, by_chance, effects = np.empty((4, len(scores)))
        limits, decisions = np.empty((2, len(scores), 2))
        counts = np.empty((2, len(scores)), dtype=int)
        by_person = np.empty((len(scores), scores[0].values.shape[1]))
        for fitted in (False, True):
            chosen = np.array([attack.fitted == fitted for attack in scores])
            if chosen.any():
                draws = _Draws.of([attack for attack in scores if attack.fitted == fitted], strata)
                auc[chosen], variance[chosen] = draws.auc.mean(axis=0), draws.variance
                by_chance[chosen] = draws.variance_by_chance
                limits[chosen], decisions[chosen] = draws.limits, draws.decisions
                by_person[chosen], effects[chosen] = draws.by_person, draws.design_effect
                counts[:, chosen] = draws.counts[:, None]
        return Estimates(
            attacks=tuple(attack.attack for attack in scores),
            auc=auc,
            standard_error=np.sqrt(variance),
            correlation=_correlation(by_person @ by_person.T),
            members=counts[0],
            nonmembers=counts[1],
            design_effect=effects,
            error_by_chance=np.sqrt(by_chance),
            limits=limits,
            decisions=decisions,
        )

    def accuracies(self, scores: Sequence[Scores], estimates: Estimates) -> tuple[Interval, ...]:
        """Return the mean balanced accuracy over draws, with the interval of those scored in any."""
        _require_draws(scores)
        return tuple(_accuracy(attack, estimates.decisions_of(k)) for k, attack in enumerate(scores))

    def difference(self, attack: Scores, over: Scores) -> tuple[float, float]:
        """Return the mean difference of AUCs over draws, and its error."""
        _require_draws([attack, over])
        draws = _Draws.of([attack, over], None)
        values, influence = (each[:, 0] - each[:, 1] for each in (draws.auc, draws.influence))
        stable, stability = variance_of_mean(influence, draws.design, draws.sides)
        variance = stable * draws.design.factor(stability)
        # Half of the weight of one pair of people in the AUC.
        floor = 0.25 / float(np.prod(draws.counts))
        return float(values.mean()), float(np.sqrt(max(variance, floor)))


def _variance_by_chance(
    member: Bool[np.ndarray, " compared"], strata: Int[np.ndarray, " compared"] | None
) -> float:
    if strata is None:
        return float(null_variance(int(member.sum()), int((~member).sum())))
    return null_variance_within(member, strata)


def _learned(attack: Scores) -> bool:
    """Whether the scores of draws differ by more than a constant, which only moves the threshold."""
    values = np.where(attack.compared, attack.values, np.nan)
    for one, other in itertools.combinations(values, 2):
        # NaN for people who are not compared in both draws, which fmin and fmax leave out.
        difference = one - other
        shift = np.fmax.reduce(difference) - np.fmin.reduce(difference)
        if shift > 1e-9 * np.fmax.reduce(np.abs(one + 0 * other)):
            return True
    return False


def _placement_noise(
    member: Bool[np.ndarray, " compared"], strata: Int[np.ndarray, " compared"] | None
) -> float:
    """Return the variance of a person's place by who else is scored, over that between people, by chance.

    A share p of m opponents has the variance p (1 - p) / m, of which the mean over uniform p is 1 / (6 m);
    between people places vary by 1 / 12.
    """
    opponents = opponents_of(member, strata)
    # People add to the variance by the squares of their weights, and weigh as much as they have opponents.
    return float(2 * opponents.sum() / max((opponents.astype(float) ** 2).sum(), 1.0))


def _correlation(covariance: Float[np.ndarray, "attacks attacks"]) -> Float[np.ndarray, "attacks attacks"]:
    """Return the correlation; an attack without variance counts as uncorrelated, which widens the bounds."""
    spread = np.sqrt(np.diag(covariance))
    scale = np.outer(spread, spread)
    correlation: np.ndarray = np.divide(covariance, scale, out=np.zeros_like(covariance), where=scale > 0)
    np.fill_diagonal(correlation, 1.0)
    return correlation


def _accuracy(attack: Scores, factors: Sequence[float]) -> Interval:
    """Return the mean balanced accuracy, whose ends have the factors of the variance of decisions."""
    decided = attack.values > attack.thresholds[:, None]
    shares, people = [], attack.people_counted
    for side in (IN, OUT):
        compared = attack.compared & (attack.sides == side)
        right = decided if side == IN else ~decided
        shares.append(float(np.mean((right & compared).sum(axis=1) / compared.sum(axis=1))))
    kept = attack.compared[0]
    first = attack.values[0, kept], attack.sides[0, kept] == IN, float(attack.thresholds[0])
    moves = (1.0, 1.0) if attack.fitted else weights_by_share(*first)
    # Decisions of unstable fits differ between draws, and their mean varies less.
    ends = [
        balanced_accuracy_interval(
            shares[0], shares[1], round(people[0] / factor), round(people[1] / factor), moves
        )
        for factor in factors
    ]
    return Interval(ends[0].value, ends[0].low, ends[1].high)


def _require_draws(scores: Sequence[Scores]) -> None:
    if scores[0].pairs:
        raise MisalignedError(
            "pairs share people, so that their errors are not those of single draws; resample people "
            "(memberscan.evidence.resampling.Resampling)"
        )
