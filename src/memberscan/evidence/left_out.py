"""Each pair of twin references judged by what all others say: errors of estimates, and a check of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy import stats

from memberscan.evidence.intervals import LEVEL, Interval
from memberscan.evidence.reference_laws import FEWEST_TWINS, learn_laws
from memberscan.limits import FEWEST_PER_SIDE

if TYPE_CHECKING:
    from jaxtyping import Float

    from memberscan.evidence.twins import Twins
    from memberscan.evidence.two_normals import TwoNormals

FEWEST_FOR_ERRORS = FEWEST_TWINS + 1
"""Fewest pairs of twins from which standard errors are estimated: each is left out in turn."""


@dataclass(frozen=True)
class Average:
    """A mean with its standard error over references; None where they are too few for one.

    ``twins`` is over how many pairs of twins.
    """

    value: float
    error: float | None
    twins: int

    @property
    def interval(self) -> Interval | None:
        """The 95% interval, with Student's t: twins are few."""
        if self.error is None:
            return None
        half = float(stats.t.ppf((1 + LEVEL) / 2, self.twins - 1)) * self.error
        return Interval(self.value, self.value - half, self.value + half)


@dataclass(frozen=True, eq=False)
class LeftOut:
    """Log-likelihood ratios of residuals by twins that the laws were not learned from.

    Parameters
    ----------
    inside, outside
        Of the residual with each person in training, and of that without, by the laws learned from all other
        twins; NaN where a twin says nothing of a person.
    """

    inside: Float[np.ndarray, "twins people"]
    outside: Float[np.ndarray, "twins people"]

    @property
    def balanced(self) -> Float[np.ndarray, "twins people"]:
        """Share of the two answers, "in" and "out", that are right, each from one model alone."""
        return np.asarray((np.sign(self.inside) - np.sign(self.outside)) / 4 + 0.5)


def laws_without_each(twins: Twins) -> list[TwoNormals]:
    """Return the laws learned without each pair of twins; none where they are too few to leave one out."""
    if (twins.count >= FEWEST_FOR_ERRORS).sum() < FEWEST_PER_SIDE:
        return []
    return [learn_laws(twins.without(k)) for k in range(len(twins))]


def leave_out(twins: Twins, without: list[TwoNormals]) -> LeftOut:
    """Return the log-likelihood ratios of every twin by the laws that were learned without it.

    Parameters
    ----------
    twins
        Residuals.
    without
        From :func:`laws_without_each`.
    """
    inside, outside = np.full((2, *twins.told.shape), np.nan)
    for k, laws in enumerate(without):
        told = twins.told[k]
        inside[k, told] = laws.log_ratio(twins.inside[k][None])[0, told]
        outside[k, told] = laws.log_ratio(twins.outside[k][None])[0, told]
    return LeftOut(inside, outside)


def mean_over_twins(values: Float[np.ndarray, "twins people"]) -> Average:
    """Return the mean of what each pair of twins gives, and its error over twins; NaN counts for nothing."""
    counted = ~np.isnan(values)
    kept = counted.any(axis=1)
    by_twin = np.where(counted, values, 0.0).sum(axis=1)[kept] / counted.sum(axis=1)[kept]
    without = (by_twin.sum() - by_twin) / max(len(by_twin) - 1, 1)
    return Average(float(by_twin.mean()), jackknife_error(without), len(by_twin))


def share_of_right(right: Float[np.ndarray, "twins people"]) -> Average:
    """Return the share of right answers, with an error of at least that of as many independent answers.

    Where all answers are right, those by different twins do not differ, and the jackknife would say that
    there is no error at all. Two answers of each kind are added (Agresti and Coull).

    Parameters
    ----------
    right
        By twin and person, from :attr:`LeftOut.balanced`: two answers each.
    """
    found = mean_over_twins(right)
    if found.error is None:
        return found
    answers = 2 * int((~np.isnan(right)).sum())
    inner = (found.value * answers + 2) / (answers + 4)
    return replace(found, error=max(found.error, float(np.sqrt(inner * (1 - inner) / (answers + 4)))))


def jackknife_error(without: Float[np.ndarray, " twins"]) -> float | None:
    """Return the error of an estimate from its values without each pair of twins; None for fewer than three.

    Pairs of twins are the unit, since the two of a pair were trained on complementary halves.
    """
    if len(without) < FEWEST_FOR_ERRORS:
        return None
    return float(np.sqrt((len(without) - 1) * without.var()))
