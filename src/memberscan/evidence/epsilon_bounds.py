"""Lower bounds of epsilon from scores of canaries that were in or out of many runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from scipy.special import ndtri

from memberscan.evidence.audit_inputs import check_delta, check_level, checked_scores
from memberscan.evidence.privacy_region import epsilons_at
from memberscan.evidence.rate_bounds import (
    CONFIDENCE,
    alpha_of_each,
    ranks_of_thresholds,
    rate_bounds,
    upper_limit,
)
from memberscan.gaussian_privacy import gaussian_epsilon

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxtyping import Float
    from numpy.typing import ArrayLike

Method = Literal[
    "Clopper-Pearson",
    "Gaussian",
    "Gaussian, AUC",
    "one run",
    "one run, f-DP",
    "one run, f-DP, Gaussian",
]
NOT_AN_ESTIMATE = (
    "Not an estimate of epsilon: other canaries or a stronger attack may show more. "
    "A bound of 0 does not mean that the mechanism is private."
)
GAUSSIAN_ONLY = "It holds only if the mechanism leaks as one with Gaussian noise does. " + NOT_AN_ESTIMATE


@dataclass(frozen=True)
class EpsilonBound:
    """What epsilon is at least, at a delta.

    Parameters
    ----------
    value
        The bound. 0 says that nothing was shown.
    level
        One-sided confidence: the bound exceeds the true epsilon with chance at most 1 - ``level``.
    delta
        The delta at which it holds. At another delta epsilon is another number.
    method
        How it was found.
    inside, outside
        How many canaries were in and out.
    tried
        Over how many thresholds, or numbers of guesses, it is corrected.
    ceiling
        The bound if the attack separated both sides perfectly: so many canaries can't show more.
    is_not
        What the number does not say.
    guesses, correct
        In one run: how many guesses gave the bound, and how many of them were right.
    threshold
        In many runs: the threshold that gave the bound.
    """

    value: float
    level: float
    delta: float
    method: Method
    inside: int
    outside: int
    tried: int
    ceiling: float
    is_not: str = NOT_AN_ESTIMATE
    guesses: int | None = None
    correct: int | None = None
    threshold: float | None = None

    def breaks(self, epsilon: float) -> bool:
        """Return whether a guarantee of ``epsilon`` at the same delta is shown not to hold."""
        return self.value > epsilon


def epsilon_clopper_pearson(
    inside: ArrayLike,
    outside: ArrayLike,
    *,
    delta: float = 0.0,
    level: float = CONFIDENCE,
    thresholds: Sequence[float] | None = None,
) -> EpsilonBound:
    """Return the bound from exact limits of both rates, the greatest over thresholds, corrected for them.

    At one threshold it is the greater of ln((TPR - delta) / FPR) and ln((1 - FPR - delta) / (1 - TPR)), with
    the lower limit of TPR and the upper limit of FPR. Source: Jagielski, Ullman and Oprea, NeurIPS 2020, and
    Nasr et al., IEEE S&P 2021, with the limits of :func:`memberscan.evidence.rate_bounds.rate_bounds`.

    Parameters
    ----------
    inside, outside
        Scores of canaries, higher for "in". All of them must be independent: from many trainings, or from one
        in which canaries don't influence each other, which is an assumption. If canaries of one training were
        drawn by lot, :func:`memberscan.evidence.one_run.epsilon_one_run` needs no such assumption.
    delta
        Of the guarantee.
    level
        Confidence.
    thresholds
        Fixed before the scores were seen; without, those of ``rate_bounds``.

    Raises
    ------
    TooFewSubjectsError, NonFiniteError, BadInputError
        As of ``rate_bounds``, or if delta makes no sense.
    """
    check_delta(delta)
    bounds = rate_bounds(inside, outside, level=level, thresholds=thresholds)
    shown = np.maximum(*epsilons_at(bounds.tpr, bounds.fpr, delta))
    sides = len(checked_scores("inside", inside)), len(checked_scores("outside", outside))
    best, tried = int(shown.argmax()), len(bounds.thresholds)
    return EpsilonBound(
        float(shown[best]),
        level,
        delta,
        "Clopper-Pearson",
        *sides,
        tried,
        largest_epsilon(*sides, delta=delta, level=level, thresholds=tried),
        threshold=float(bounds.thresholds[best]) if shown[best] > 0 else None,
    )


def epsilon_gaussian(
    inside: ArrayLike,
    outside: ArrayLike,
    *,
    delta: float,
    level: float = CONFIDENCE,
    thresholds: Sequence[float] | None = None,
) -> EpsilonBound:
    """Return the bound of a mechanism that adds Gaussian noise: of its mu, turned into epsilon at a delta.

    At one threshold mu >= Phi^-1(TPR) - Phi^-1(FPR), with the limits of ``rate_bounds``; the greatest over
    thresholds is taken. Source: Nasr et al., USENIX Security 2023. DP-SGD leaks nearly as such a mechanism
    does. For randomized response, say, the result can exceed the true epsilon.

    Parameters
    ----------
    inside, outside, level, thresholds
        As of :func:`epsilon_clopper_pearson`, with the same assumption of independence.
    delta
        Above 0.

    Raises
    ------
    TooFewSubjectsError, NonFiniteError, BadInputError
        As of ``rate_bounds``, or if delta is 0 or makes no sense.
    """
    check_delta(delta, positive=True)
    bounds = rate_bounds(inside, outside, level=level, thresholds=thresholds)
    shown = _mu_at(bounds.tpr, bounds.fpr)
    sides = len(checked_scores("inside", inside)), len(checked_scores("outside", outside))
    best, tried = int(shown.argmax()), len(bounds.thresholds)
    return EpsilonBound(
        gaussian_epsilon(float(shown[best]), delta),
        level,
        delta,
        "Gaussian",
        *sides,
        tried,
        gaussian_epsilon(float(_mu_at(*_separated(*sides, level, tried))), delta),
        GAUSSIAN_ONLY,
        threshold=float(bounds.thresholds[best]) if shown[best] > 0 else None,
    )


def largest_epsilon(
    inside: int,
    outside: int,
    *,
    delta: float = 0.0,
    level: float = CONFIDENCE,
    thresholds: int | None = None,
) -> float:
    """Return the greatest bound that :func:`epsilon_clopper_pearson` can give for so many canaries.

    It is the bound for perfect separation. An audit with it below a mechanism's epsilon can't test that.

    Parameters
    ----------
    inside, outside
        Numbers of canaries on each side.
    delta, level
        As of the bound.
    thresholds
        How many were fixed beforehand; None for the default thresholds.
    """
    check_delta(delta)
    check_level(level)
    tried = len(ranks_of_thresholds(outside)) if thresholds is None else thresholds
    return float(max(epsilons_at(*_separated(inside, outside, level, tried), delta)))


def _separated(
    inside: int, outside: int, level: float, tried: int
) -> tuple[Float[np.ndarray, ""], Float[np.ndarray, ""]]:
    """Return the limits of both rates where no canary is called wrongly."""
    alpha = alpha_of_each(level, tried)
    return 1 - upper_limit(0, inside, alpha), upper_limit(0, outside, alpha)


def _mu_at(
    tpr: Float[np.ndarray, " *shape"], fpr: Float[np.ndarray, " *shape"]
) -> Float[np.ndarray, " *shape"]:
    """Return the smallest mu that allows limits of both rates, at least 0.

    A negative difference shows nothing. In particular it does not show as much in the other direction: the
    other direction would need an upper limit of TPR and a lower one of FPR.
    """
    known = (tpr > 0) & (fpr < 1)
    # Phi^-1 is infinite at the ends, where a limit says nothing.
    inner = ndtri(np.where(known, tpr, 0.5)) - ndtri(np.where(known, fpr, 0.5))
    return np.asarray(np.where(known, np.maximum(inner, 0), 0))
