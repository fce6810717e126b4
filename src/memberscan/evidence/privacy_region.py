"""What differential privacy allows an attack, and whether scores show that a guarantee is broken."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from memberscan.evidence.audit_inputs import check_delta, check_epsilon
from memberscan.evidence.rate_bounds import CONFIDENCE, rate_bounds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxtyping import Float
    from numpy.typing import ArrayLike

Side = Literal["in", "out"]
_LARGEST = 700.0
"""exp(epsilon) is a floating-point number up to here."""


@dataclass(frozen=True)
class RegionTest:
    """Whether an attack does more than a guarantee allows, at the threshold where it does most.

    Parameters
    ----------
    broken
        The guarantee does not hold, with confidence ``level``. False says that nothing was shown; it does not
        say that the guarantee holds.
    side
        Which inequality is violated most, or comes closest: "in" is TPR <= e^epsilon FPR + delta, about
        people whom the attack calls members; "out" is 1 - FPR <= e^epsilon (1 - TPR) + delta, about those
        whom it calls non-members.
    threshold
        A score above it is called "in".
    tpr, fpr
        Lower bound of the true-positive rate, and upper bound of the false-positive rate.
    allowed
        The largest true-positive rate that the guarantee allows at ``fpr``.
    epsilon, delta
        The guarantee.
    level
        Confidence, over all thresholds tried.
    """

    broken: bool
    side: Side
    threshold: float
    tpr: float
    fpr: float
    allowed: float
    epsilon: float
    delta: float
    level: float


def largest_tpr(
    fpr: Float[np.ndarray, " *shape"] | float,
    epsilon: Float[np.ndarray, " *shape"] | float,
    delta: float,
) -> Float[np.ndarray, " *shape"]:
    """Return the largest true-positive rate at a false-positive rate under (epsilon, delta)-privacy.

    It is min(e^epsilon FPR + delta, 1 - e^-epsilon (1 - delta - FPR)), within [0, 1]. The first term is the
    guarantee for the event that the attack says "in", the second that for "out". Source: Kairouz, Oh and
    Viswanath, ICML 2015, for neighbours in either order.

    Parameters
    ----------
    fpr
        False-positive rate; broadcast against ``epsilon``.
    epsilon, delta
        The guarantee, for one unit of privacy: a person of whom there are k records, each with a guarantee
        of its own, has another one.
    """
    # e^700 is beyond any rate that can be observed, and e^710 is beyond floating-point numbers.
    grown = np.minimum(epsilon, _LARGEST)
    rate = np.asarray(fpr, dtype=float)
    said_in = np.exp(grown) * rate + delta
    said_out = 1 - np.exp(-grown) * (1 - delta - rate)
    return np.asarray(np.clip(np.minimum(said_in, said_out), 0, 1))


def smallest_fpr(
    tpr: Float[np.ndarray, " *shape"] | float,
    epsilon: Float[np.ndarray, " *shape"] | float,
    delta: float,
) -> Float[np.ndarray, " *shape"]:
    """Return the smallest false-positive rate at which a true-positive rate is allowed.

    The region is symmetric in both rates, so the inverse of :func:`largest_tpr` is its mirror image.
    """
    return 1 - largest_tpr(1 - np.asarray(tpr, dtype=float), epsilon, delta)


def epsilons_at(
    tpr: Float[np.ndarray, " *shape"] | float, fpr: Float[np.ndarray, " *shape"] | float, delta: float
) -> tuple[Float[np.ndarray, " *shape"], Float[np.ndarray, " *shape"]]:
    """Return the smallest epsilon that allows a pair of rates, by the inequality for "in" and for "out".

    It is never negative, and infinite where a rate of 0 stands against one above delta.
    """
    hits, alarms = np.asarray(tpr, dtype=float), np.asarray(fpr, dtype=float)
    return _log_ratio(hits - delta, alarms), _log_ratio(1 - alarms - delta, 1 - hits)


def _log_ratio(
    right: Float[np.ndarray, " *shape"], wrong: Float[np.ndarray, " *shape"]
) -> Float[np.ndarray, " *shape"]:
    """Return ln(right / wrong), at least 0; also 0 where ``right`` is not positive."""
    # A difference of logarithms, since a quotient by a rate near 0 would overflow.
    with np.errstate(divide="ignore"):
        ratio = np.log(np.where(right > 0, right, 1)) - np.log(np.where(right > 0, wrong, 1))
    return np.asarray(np.maximum(ratio, 0))


def region_test(
    inside: ArrayLike,
    outside: ArrayLike,
    *,
    epsilon: float,
    delta: float,
    level: float = CONFIDENCE,
    thresholds: Sequence[float] | None = None,
) -> RegionTest:
    """Test whether an attack's rates lie beyond what (epsilon, delta)-privacy allows.

    Compared are the lower bound of the true-positive rate and the upper bound of the false-positive rate, of
    :func:`memberscan.evidence.rate_bounds.rate_bounds`. If even these are outside the region, the guarantee
    is broken: by a bug, or by leakage outside its unit, such as two scans of one person where each scan is
    protected. Only attacks that are better than chance are tested; the sign of a score is fixed beforehand.

    Parameters
    ----------
    inside, outside
        Scores, higher for members; independent of each other. The scores of people in one trained model are
        not: a guarantee limits how well an attack does on average over trainings. For one model whose members
        were drawn by lot, use the bounds of one run and their ``breaks``.
    epsilon, delta
        The guarantee.
    level
        Confidence: a true guarantee is called broken with chance at most 1 - ``level``.
    thresholds
        One or more, fixed before the scores were seen; without, those of ``rate_bounds``.

    Raises
    ------
    BadInputError
        If the guarantee makes no sense; and errors of ``rate_bounds``.
    """
    check_epsilon(epsilon)
    check_delta(delta)
    bounds = rate_bounds(inside, outside, level=level, thresholds=thresholds)
    shown = np.stack(epsilons_at(bounds.tpr, bounds.fpr, delta))
    row, best = np.unravel_index(int(shown.argmax()), shown.shape)
    return RegionTest(
        broken=bool(shown[row, best] > epsilon),
        side="in" if row == 0 else "out",
        threshold=float(bounds.thresholds[best]),
        tpr=float(bounds.tpr[best]),
        fpr=float(bounds.fpr[best]),
        allowed=float(largest_tpr(bounds.fpr[best], epsilon, delta)),
        epsilon=epsilon,
        delta=delta,
        level=level,
    )
