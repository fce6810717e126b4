"""Which parameters of privacy a number of right guesses in one run rejects."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from scipy.special import bdtrc, expit

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

    Parameters: TypeAlias = Float[np.ndarray, " parameters"]
    Rejected: TypeAlias = Callable[[Parameters], Bool[np.ndarray, " parameters"]]
    Curve: TypeAlias = Callable[
        [Float[np.ndarray, " parameters"], Parameters], Float[np.ndarray, " parameters"]
    ]

_PRECISION = 1e-8


def p_values(
    epsilon: Parameters, canaries: int, guesses: int, correct: int, delta: float
) -> Float[np.ndarray, " parameters"]:
    """Return how likely (epsilon, delta)-privacy makes so many right guesses, or more, at most.

    Let q = e^epsilon / (1 + e^epsilon), and B be binomial, of ``guesses`` trials with chance q. Then

        p = P(B >= correct) + 2 canaries delta max_i [P(B >= correct - i) - P(B >= correct)] / i.

    Source: Steinke, Nasr and Jagielski, NeurIPS 2023, for guesses of "in" and of "out".

    Parameters
    ----------
    epsilon
        Values to test.
    canaries
        All that were drawn, guessed or not.
    guesses, correct
        How many were guessed, and how many of them rightly.
    delta
        Of the guarantee.
    """
    chance = expit(epsilon)[:, None]
    # Beyond i = correct the tail is 1, and the quotient falls.
    fewer = np.arange(correct + 1 if delta else 1)
    tails = bdtrc(correct - 1 - fewer, guesses, chance)
    quotients = (tails[:, 1:] - tails[:, :1]) / fewer[1:]
    return np.asarray(np.minimum(1, tails[:, 0] + 2 * canaries * delta * quotients.max(axis=1, initial=0)))


def rejected_by_curve(
    parameter: Parameters, canaries: int, guesses: int, correct: int, alpha: float, curve: Curve
) -> Bool[np.ndarray, " parameters"]:
    """Return which curves of rates make so many right guesses less likely than ``alpha``.

    Source: Mahloujifar, Melis and Chaudhuri, ICML 2025, with guesses of two sides. From ``correct`` downwards
    it follows what share of the canaries are guessed rightly (``right``) and wrongly (``wrong``) in those
    outcomes that have at least so many right guesses, if these had the chance alpha. Where both come to more
    than all guesses, that is impossible, so the chance is smaller.

    Parameters
    ----------
    parameter
        Values to test.
    canaries, guesses, correct
        As of :func:`p_values`.
    alpha
        Significance.
    curve
        The smallest false-positive rate at a true-positive rate, for each value of the parameter.
    """
    right = np.full(len(parameter), alpha * correct / canaries)
    wrong = np.full(len(parameter), alpha * (guesses - correct) / canaries)
    for left in range(correct - 1, -1, -1):
        larger = np.maximum(wrong, curve(right, parameter))
        # Both shares only grow. Where the wrong ones stand still, the right ones do too, for good.
        if ((larger == wrong) | (right + wrong > guesses / canaries)).all():
            break
        right = np.minimum(right + left / (guesses - left) * (larger - wrong), 1)
        wrong = larger
    return np.asarray(right + wrong > guesses / canaries)


def largest_rejected(rejected: Rejected, start: float = 0.0, *, points: int = 7) -> float:
    """Return the largest parameter that is rejected, or ``start`` if not even that one is.

    A mechanism with a parameter has all greater ones too. So it is enough that one value is rejected, and
    the search need not find the last of them where rejections are not one interval.

    Parameters
    ----------
    rejected
        Which of several values are rejected.
    start
        At least 0; smaller values are of no interest.
    points
        At how many inner points an interval is divided in one pass. Many are better for tests whose price
        hardly depends on the number of values.
    """
    if not rejected(np.array([start]))[0]:
        return start
    low, step = start, 1.0
    while rejected(np.array([start + step]))[0]:
        low, step = start + step, 2 * step
    high = start + step
    while high - low > _PRECISION:
        inner = np.linspace(low, high, points + 2)[1:-1]
        # How many values in a row are rejected, from the lowest.
        leading = int(np.argmin(np.r_[rejected(inner), False]))
        low, high = float(np.r_[low, inner][leading]), float(np.r_[inner, high][leading])
    return low
