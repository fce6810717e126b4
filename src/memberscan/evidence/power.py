"""The smallest leak that an audit of this size can detect, without which "nothing found" has no meaning."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import optimize
from scipy.special import logit, ndtri

from memberscan.evidence.roc import hanley_mcneil_variance, null_variance

if TYPE_CHECKING:
    from jaxtyping import Float

    from memberscan.evidence.estimates import Estimates

POWER = 0.8
SMALL = 30
"""Below this many subjects scored on a side, permutations decide instead of intervals."""


def smallest_detectable_auc(estimates: Estimates) -> float:
    """Return the least AUC that the verdict's rule finds with 80% power, by the least sensitive attack.

    Above it a leak would probably have been found; below it nothing is known. It depends on the numbers of
    subjects and of attacks, not on the scores.
    """
    columns = (estimates.members, estimates.nonmembers, estimates.design_effect)
    sides = zip(*(column.tolist() for column in columns), strict=True)
    small = estimates.fewest < SMALL
    return max(detectable_auc(n1, n0, estimates.critical, effect, small=small) for n1, n0, effect in sides)


def detectable_auc(
    members: int, nonmembers: int, critical: float, design_effect: float = 1.0, *, small: bool
) -> float:
    """Return the AUC found with 80% power, or 1 if there is none for these numbers of people.

    Parameters
    ----------
    members, nonmembers
        Subjects scored.
    critical
        Standard errors between estimate and lower bound.
    design_effect
        Factor of the variance because people are fitted on in some draws and scored in others.
    small
        Whether chance is judged by permutation (errors under chance) or by an interval (errors on the logit
        scale).
    """
    beta = float(ndtri(POWER))
    by_chance = float(np.sqrt(design_effect * null_variance(members, nonmembers)))

    def excess(auc: Float[np.ndarray, " aucs"] | float) -> Float[np.ndarray, " aucs"]:
        error = np.sqrt(design_effect * hanley_mcneil_variance(auc, members, nonmembers))
        if small:
            return np.asarray(auc - 0.5 - critical * by_chance - beta * error)
        return np.asarray(logit(auc) - (critical + beta) * error / (auc * (1 - auc)))

    # On the logit scale the excess falls again close to 1: seek the first AUC that suffices.
    grid = np.linspace(0.5, 0.999, 500)
    enough = np.flatnonzero(excess(grid) >= 0)
    if not len(enough):
        return 1.0
    return float(optimize.brentq(lambda auc: float(excess(auc)), grid[enough[0] - 1], grid[enough[0]]))


def people_to_detect(auc: float, critical: float) -> int:
    """Return how many people on each side, scored in one draw, are needed to find an AUC with 80% power.

    Rounded up to tens; ``critical`` as of :func:`detectable_auc`.
    """
    return next(n for n in range(SMALL, 100_000, 10) if detectable_auc(n, n, critical, small=False) <= auc)
