"""Errors of a single draw of the known people, by DeLong's method: more draws never narrow an interval."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from memberscan.errors import MisalignedError
from memberscan.evidence.estimates import Estimates
from memberscan.evidence.intervals import Interval, balanced_accuracy_interval
from memberscan.evidence.roc import comparable, delong
from memberscan.evidence.scores import IN, MODEL, OUT, Scores
from memberscan.limits import FEWEST_PER_SIDE

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int


@dataclass(frozen=True, eq=False)
class _Comparison:
    """The scores of all attacks in one draw, of the people who are compared in it."""

    values: Float[np.ndarray, "attacks compared"]
    member: Bool[np.ndarray, " compared"]
    strata: Int[np.ndarray, " compared"] | None

    def estimate(
        self,
    ) -> tuple[Float[np.ndarray, " attacks"], Float[np.ndarray, "attacks attacks"], Int[np.ndarray, " 2"]]:
        """Return AUCs, their covariance, and how many members and non-members were compared."""
        auc, covariance = delong(self.values, self.member, self.strata)
        used = self.member if self.strata is None else self.member[comparable(self.member, self.strata)]
        return auc, covariance, np.array([used.sum(), (~used).sum()])


@dataclass(frozen=True)
class DeLong:
    """DeLong's errors, averaged over draws as variances.

    Drawing the known people again does not add people, so the error is that of one draw. An attack that is
    not fitted is scored once, on everyone. A fitted one gets the mean over draws with the mean single-draw
    variance. Correlations come from the people that every attack scored in a draw, averaged over draws.

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
        fitted = np.array([attack.fitted for attack in scores])
        auc, variance = np.empty(len(scores)), np.empty(len(scores))
        counts, covariance = np.empty((2, len(scores)), dtype=int), np.eye(len(scores))
        if not fitted.all():
            (once,) = _comparisons([attack for attack in scores if not attack.fitted], strata)
            auc[~fitted], covariance, sides = once.estimate()
            variance[~fitted], counts[:, ~fitted] = np.diag(covariance), sides[:, None]
        if fitted.any():
            draws = [draw.estimate() for draw in _comparisons(scores, strata)]
            # All attacks on the people of each draw, so that errors have a correlation; the estimates of
            # those that are not fitted stay what they are on everyone.
            covariance = np.mean([draw[1] for draw in draws], axis=0)
            auc[fitted] = np.mean([draw[0] for draw in draws], axis=0)[fitted]
            variance[fitted] = np.diag(covariance)[fitted]
            counts[:, fitted] = np.min([draw[2] for draw in draws], axis=0)[:, None]
        names = tuple(attack.attack for attack in scores)
        return Estimates(names, auc, np.sqrt(variance), _correlation(covariance), counts[0], counts[1])

    def accuracies(self, scores: Sequence[Scores]) -> tuple[Interval, ...]:
        """Return the mean balanced accuracy over draws, with the interval of one draw."""
        _require_draws(scores)
        return tuple(_accuracy(attack) for attack in scores)

    def difference(self, attack: Scores, over: Scores) -> tuple[float, float]:
        """Return the mean difference of AUCs over draws, and the error of a single draw."""
        _require_draws([attack, over])
        values, variances = [], []
        for draw in _comparisons([attack, over], None):
            auc, covariance, (members, nonmembers) = draw.estimate()
            values.append(auc[0] - auc[1])
            variance = covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]
            # Half of what one pair of people weighs in the AUC.
            variances.append(max(variance, 0.25 / (members * nonmembers)))
        return float(np.mean(values)), float(np.sqrt(np.mean(variances)))


def _comparisons(
    scores: Sequence[Scores], strata: Int[np.ndarray, " people"] | None
) -> Iterator[_Comparison]:
    """Yield for each draw the scores of those compared in it; attacks that are not fitted join every draw."""
    drawn = next((attack for attack in scores if attack.fitted), scores[0])
    for draw, (kept, sides) in enumerate(zip(drawn.compared, drawn.sides, strict=True)):
        values = np.stack([attack.values[draw if attack.fitted else 0, kept] for attack in scores])
        yield _Comparison(values, sides[kept] == IN, None if strata is None else strata[kept])


def _correlation(covariance: Float[np.ndarray, "attacks attacks"]) -> Float[np.ndarray, "attacks attacks"]:
    """Return the correlation; an attack without variance counts as uncorrelated, which widens the bounds."""
    spread = np.sqrt(np.diag(covariance))
    scale = np.outer(spread, spread)
    correlation: np.ndarray = np.divide(covariance, scale, out=np.zeros_like(covariance), where=scale > 0)
    np.fill_diagonal(correlation, 1.0)
    return correlation


def _accuracy(attack: Scores) -> Interval:
    decided = attack.values > attack.thresholds[:, None]
    inside, outside = (attack.compared & (attack.sides == side) for side in (IN, OUT))
    sensitivity = np.mean((decided & inside).sum(axis=1) / inside.sum(axis=1))
    specificity = np.mean((~decided & outside).sum(axis=1) / outside.sum(axis=1))
    fewest = int(inside.sum(axis=1).min()), int(outside.sum(axis=1).min())
    return balanced_accuracy_interval(float(sensitivity), float(specificity), *fewest)


def _require_draws(scores: Sequence[Scores]) -> None:
    if scores[0].pairs:
        raise MisalignedError(
            "pairs share people, so that their errors are not those of single draws; resample people "
            "(memberscan.evidence.resampling.Resampling)"
        )
