"""Bounds of an attack's true- and false-positive rate that hold at several thresholds at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import betaincinv

from memberscan.evidence.audit_inputs import check_level, checked_scores, checked_thresholds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxtyping import Float, Int
    from numpy.typing import ArrayLike

CONFIDENCE = 0.95
"""One-sided confidence of statements about differential privacy."""


@dataclass(frozen=True, eq=False)
class RateBounds:
    """What the rates of an attack are at least and at most, at each threshold.

    Parameters
    ----------
    thresholds
        A score above the threshold is called "in".
    tpr
        Lower bounds of the true-positive rate.
    fpr
        Upper bounds of the false-positive rate.
    level
        Chance that all bounds of all thresholds hold.
    """

    thresholds: Float[np.ndarray, " thresholds"]
    tpr: Float[np.ndarray, " thresholds"]
    fpr: Float[np.ndarray, " thresholds"]
    level: float


def upper_limit(
    successes: Int[np.ndarray, " *shape"] | int, trials: int, alpha: float
) -> Float[np.ndarray, " *shape"]:
    """Return the one-sided exact upper limit of a proportion, which is too small with chance ``alpha``.

    Source: Clopper and Pearson, Biometrika 26, 1934.
    """
    failures = trials - np.asarray(successes)
    limit = betaincinv(np.asarray(successes) + 1, np.maximum(failures, 1), 1 - alpha)
    return np.asarray(np.where(failures > 0, limit, 1.0))


def ranks_of_thresholds(outside: int) -> Int[np.ndarray, " thresholds"]:
    """Return the ranks 1, 2, 4, 8, ... among so many scores "out", at which thresholds lie by default."""
    return np.asarray(2 ** np.arange(outside.bit_length()))


def rate_bounds(
    inside: ArrayLike,
    outside: ArrayLike,
    *,
    level: float = CONFIDENCE,
    thresholds: Sequence[float] | None = None,
) -> RateBounds:
    """Return bounds of both rates that hold together, by Bonferroni's inequality.

    Without ``thresholds``, they are the largest, second, fourth, eighth, ... largest score "out". Such ranks
    do not depend on the scores, so that nothing is selected by how well it does, and there are few of them.

    Parameters
    ----------
    inside, outside
        Scores of canaries that were in and out; higher means more likely in. The bounds assume that all
        scores are independent, and those of a side alike in distribution: one canary in each of many runs,
        or different canaries if they don't influence each other.
    level
        Confidence in all bounds together.
    thresholds
        Fixed before the scores were seen.

    Raises
    ------
    TooFewSubjectsError, NonFiniteError, BadInputError
        If a side is empty, a score is not finite, or a level or threshold makes no sense.
    """
    check_level(level)
    members, others = checked_scores("inside", inside), checked_scores("outside", outside)
    if thresholds is None:
        # The rate of scores strictly above the k-th largest of n is at most a beta variable (k, n - k + 1),
        # whatever the distribution and with ties (David and Nagaraja, Order Statistics, 2003).
        # Its quantile is Clopper and Pearson's limit for k - 1 of n.
        ranks = ranks_of_thresholds(len(others))
        above, at = ranks - 1, np.sort(others)[::-1][ranks - 1]
    else:
        at = checked_thresholds(thresholds)
        above = (others > at[:, None]).sum(axis=1)
    # A threshold that scores "out" decide is fixed as seen from the independent scores "in".
    missed = (members <= at[:, None]).sum(axis=1)
    alpha = alpha_of_each(level, len(at))
    return RateBounds(
        at, 1 - upper_limit(missed, len(members), alpha), upper_limit(above, len(others), alpha), level
    )


def alpha_of_each(level: float, thresholds: int) -> float:
    """Return the chance of error of one bound, where there are two for each of several thresholds."""
    return (1 - level) / (2 * thresholds)
