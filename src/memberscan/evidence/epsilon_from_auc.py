"""A lower bound of epsilon from the area under the ROC curve, which uses the order of all scores."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import brentq
from scipy.special import ndtr, ndtri, owens_t
from scipy.stats import rankdata

from memberscan.evidence.audit_inputs import check_delta, check_level, checked_scores
from memberscan.evidence.epsilon_bounds import GAUSSIAN_ONLY, EpsilonBound
from memberscan.evidence.rate_bounds import CONFIDENCE
from memberscan.gaussian_privacy import gaussian_epsilon

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

_LARGEST_MU = 50.0
"""Greater than any mu that even perfect separation of millions of canaries rejects."""


def epsilon_gaussian_auc(
    inside: ArrayLike, outside: ArrayLike, *, delta: float, level: float = CONFIDENCE
) -> EpsilonBound:
    """Return the bound of a mechanism with Gaussian noise, from the area under the ROC curve of its scores.

    Of a mechanism with parameter mu no attack has a larger area than Phi(mu / sqrt(2)), which is that of
    N(mu, 1) against N(0, 1) (Dong, Roth and Su, J. R. Stat. Soc. B 84, 2022). The bound is the largest mu
    that an area rejects: see :func:`largest_rejected_mu`. One area takes all scores together. Where a leak
    is neither small nor complete, it shows more than the greatest of several thresholds, each of which
    counts few scores and is corrected for the others.

    Parameters
    ----------
    inside, outside, level
        As of :func:`memberscan.evidence.epsilon_bounds.epsilon_gaussian`, with the same assumptions: Gaussian
        noise, and independent scores, those of a side alike in distribution.
    delta
        Above 0.

    Returns
    -------
    EpsilonBound
        Without a threshold, and with one test.

    Raises
    ------
    TooFewSubjectsError, NonFiniteError, BadInputError
        If a side is empty, a score is not finite, delta is 0 or makes no sense, or the level does.
    """
    check_delta(delta, positive=True)
    check_level(level)
    members, others = checked_scores("inside", inside), checked_scores("outside", outside)
    sides = len(members), len(others)
    ranks = rankdata(np.concatenate([members, others]))[: len(members)]
    # The U of Mann and Whitney: how many pairs are in order, where equal scores count a half.
    area = float((ranks.sum() - len(members) * (len(members) + 1) / 2) / (len(members) * len(others)))
    value, ceiling = (
        gaussian_epsilon(largest_rejected_mu(share, *sides, 1 - level), delta) for share in (area, 1.0)
    )
    return EpsilonBound(value, level, delta, "Gaussian, AUC", *sides, 1, ceiling, GAUSSIAN_ONLY)


def largest_rejected_mu(area: float, inside: int, outside: int, alpha: float) -> float:
    """Return the largest mu with which scores N(mu, 1) and N(0, 1) reach an area with chance alpha or less.

    The area is taken for normal, with the mean and the variance that it has for such scores. It is skewed to
    the left, so that large ones are rarer than that says, and the bound is a little too low. Any increasing
    function of such scores has the same area. Scores that tell less than these, such as answers of yes or no,
    have a smaller area.

    Parameters
    ----------
    area
        The share of pairs in order.
    inside, outside
        Numbers of scores.
    alpha
        Chance of error, below 1/2.
    """
    far = float(ndtri(1 - alpha))

    def excess(mu: float) -> float:
        mean, variance = moments_of_area(mu, inside, outside)
        return area - mean - far * float(np.sqrt(variance))

    return 0.0 if excess(0.0) <= 0 else float(brentq(excess, 0.0, _LARGEST_MU, xtol=1e-10))


def moments_of_area(mu: float, inside: int, outside: int) -> tuple[float, float]:
    """Return mean and variance of the area under the ROC curve of scores N(mu, 1) in and N(0, 1) out.

    Source: van Dantzig, Indagationes Mathematicae 13, 1951. The chance that one score in is above two out,
    and two in above one out, is that of two normal variables with mean mu, variance 2 and correlation 1/2 to
    be positive, which is Phi(h) - 2 T(h, 1 / sqrt(3)) with h = mu / sqrt(2) and Owen's function T.
    """
    h = mu / np.sqrt(2)
    mean, rest = ndtr(h), ndtr(-h)
    # The covariance of two pairs with a score in common: that chance, minus mean^2.
    shared = mean * rest - 2 * owens_t(h, 1 / np.sqrt(3))
    variance = (mean * rest + (inside + outside - 2) * shared) / (inside * outside)
    return float(mean), float(max(variance, 0.0))
