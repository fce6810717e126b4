"""The variance of a mean over draws, where the same people are fitted on in some draws and scored in others.

It differs from the variance of one draw for two reasons. A person is scored in several draws, but counts as
one person. And people scored in one draw are fitted on in another, so the results of draws are correlated.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Self

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Bool, Float


@dataclass(frozen=True, eq=False)
class DrawDesign:
    """Who is scored and who is fitted on in each draw, and what follows from that alone for any scores.

    Parameters
    ----------
    weights
        Weight of each person in the result of a draw, within its side; 0 for people who are not scored.
    known
        The people that the attack was fitted on.

    Notes
    -----
    Three cases fix the variance of a mean over draws, as multiples of the mean variance of a draw.

    ``stable``: every fit gives the same rule. Then only people vary, and a person counts as often as it was
    scored: with w_d the weights of draw d, the mean of w_d . w_e over all d and e, over that of w_d . w_d.

    ``unstable``: a fit tells nothing of the truth, as where there is no leak. For a rule that is linear in
    those it was fitted on, the result of a draw is then a bilinear form over the pairs of one person fitted
    on and one scored. The kernel of a pair is the same whichever of the two is scored, and pairs are
    uncorrelated. So the variance is the sum over pairs of the squared mean weight of the pair. Complementary
    halves score each pair that they divide twice, in one sense and the other: cross-fitting once is no better
    than one half, and R times divide the variance of one draw by 2R / (R + 1), not by 2.

    ``agreement``: the variance of people's mean scores in the unstable case, over that in the stable one:
    scores of a person by two such rules correlate as far as the rules were fitted on the same people.
    """

    weights: Float[np.ndarray, "draws people"]
    known: Float[np.ndarray, "draws people"]

    @classmethod
    def of(cls, weights: Float[np.ndarray, "draws people"], known: Bool[np.ndarray, "draws people"]) -> Self:
        """Return the design in which known people have equal weights."""
        return cls(weights, known / np.maximum(known.sum(axis=1, keepdims=True), 1))

    @cached_property
    def stable(self) -> float:
        """Variance of the mean over draws, over that of a draw, if every fit gives the same rule."""
        return _mean_over_diagonal(self.weights @ self.weights.T)

    @cached_property
    def unstable(self) -> float:
        """The same, if a fit tells nothing of the truth."""
        known, weights, across = (
            self.known @ self.known.T,
            self.weights @ self.weights.T,
            self.known @ self.weights.T,
        )
        # Both directions of a pair: fitted on the first and scored the second, or the reverse.
        return _mean_over_diagonal(known * weights + across * across.T)

    @cached_property
    def agreement(self) -> float:
        """Variance of people's mean scores over draws in the unstable case, over that in the stable one."""
        shared, weights = self.known @ self.known.T, self.weights @ self.weights.T
        size = np.sqrt(np.diag(shared))
        scale = np.outer(size, size)
        correlation = np.divide(shared, scale, out=np.ones_like(shared), where=scale > 0)
        return float((correlation * weights).sum() / weights.sum())

    @property
    def inflation(self) -> float:
        """By how much instability may multiply the variance; at least 1."""
        return max(1.0, self.unstable / self.stable)

    def instability(self, agreement: float) -> float:
        """Return how unstable fits are, from 0 to 1, given how far a person's scores in several draws agree.

        Parameters
        ----------
        agreement
            Variance of people's means over draws, over that if all draws had given them the same.
        """
        if 1 - self.agreement < 1e-9:
            return 0.0
        return float(np.clip((1 - agreement) / (1 - self.agreement), 0.0, 1.0))


def _mean_over_diagonal(products: Float[np.ndarray, "draws draws"]) -> float:
    diagonal = float(np.diag(products).mean())
    return float(products.mean()) / diagonal if diagonal > 0 else 1.0


def variance_of_mean(
    influences: Float[np.ndarray, "draws people"],
    design: DrawDesign,
    sides: Sequence[Bool[np.ndarray, " people"]],
) -> float:
    """Return the variance of a statistic's mean over draws.

    It is the variance of draws as if all fits gave the same rule, times a factor between 1 and
    ``design.inflation``: the less the draws agree on people, the greater.

    Parameters
    ----------
    influences
        What each person adds to the statistic's deviation in each draw, 0 for people not scored: the sum
        of squares is the statistic's variance in that draw.
    design
        Who was scored and fitted on.
    sides
        The people of each side.

    Notes
    -----
    The variance of people's means over draws alone, as for cross-validated AUCs (LeDell, Petersen and van der
    Laan, Electronic Journal of Statistics 9, 2015), holds where folds are so large that rules hardly differ.
    Here it is far too small: for five times two halves, half of that of the unstable case.
    """
    base = 0.0
    for side in sides:
        weights = design.weights[:, side]
        of_a_draw = (influences[:, side] ** 2).sum(axis=1)
        base += _mean_over_diagonal(weights @ weights.T) * float(of_a_draw.mean())
    if base == 0:
        return 0.0
    of_means = float((influences.mean(axis=0) ** 2).sum())
    return base * (1 + (design.inflation - 1) * design.instability(of_means / base))
