"""An estimate of epsilon from normal distributions that were fitted to the scores of canaries."""

from __future__ import annotations

import numpy as np
from scipy.optimize import brentq
from scipy.special import log_ndtr, ndtr

_LARGEST = 500.0
"""exp(epsilon) is a floating-point number up to here, and so is its square root's."""


def epsilon_of_two_normals(mean: float, spread: float, null_spread: float, delta: float) -> float:
    """Return the smallest epsilon at which N(mean, spread^2) and N(0, null_spread^2) differ by delta at most.

    It is no bound: the fit has an error, and a stronger attack may separate canaries better. Source: Andrew
    et al., "One-shot Empirical Privacy Estimation for Federated Learning" (ICLR 2024).

    Parameters
    ----------
    mean, spread
        Of the scores of canaries that were in.
    null_spread
        Standard deviation of the scores of canaries that were out, whose mean is 0.
    delta
        Above 0.

    Returns
    -------
    float
        Infinite where it is above 500.
    """
    pairs = (
        ((mean, spread), (0.0, null_spread)),
        ((0.0, null_spread), (mean, spread)),
    )

    def excess(epsilon: float) -> float:
        return max(delta_of_two_normals(first, second, epsilon) for first, second in pairs) - delta

    if excess(0.0) <= 0:
        return 0.0
    return float("inf") if excess(_LARGEST) > 0 else float(brentq(excess, 0.0, _LARGEST, xtol=1e-9))


def delta_of_two_normals(first: tuple[float, float], second: tuple[float, float], epsilon: float) -> float:
    """Return P(A) - e^epsilon Q(A) of the set A where the density of P is above e^epsilon times that of Q.

    That is the smallest delta at which P and Q are (epsilon, delta)-close in this direction.

    Parameters
    ----------
    first, second
        Mean and standard deviation of the normal distributions P and Q.
    epsilon
        At least 0, and at most 500.
    """
    (mean, spread), (other_mean, other_spread) = first, second
    # ln p(x) - ln q(x) - epsilon is a x^2 + b x + c, so A lies between its roots, or outside of them.
    a = 0.5 / other_spread**2 - 0.5 / spread**2
    b = mean / spread**2 - other_mean / other_spread**2
    c = np.log(other_spread / spread) - epsilon
    c += 0.5 * (other_mean / other_spread) ** 2 - 0.5 * (mean / spread) ** 2
    intervals = _positive(a, b, float(c))
    inside, beside = (
        sum(_mass((low - m) / s, (high - m) / s) for low, high in intervals) for m, s in (first, second)
    )
    return float(inside - np.exp(epsilon) * beside)


def _positive(a: float, b: float, c: float) -> list[tuple[float, float]]:
    """Return the intervals in which a x^2 + b x + c is positive."""
    if a == 0:
        if b == 0:
            return [(-np.inf, np.inf)] if c > 0 else []
        return [(-c / b, np.inf)] if b > 0 else [(-np.inf, -c / b)]
    inner = b * b - 4 * a * c
    if inner <= 0:
        return [(-np.inf, np.inf)] if a > 0 else []
    # By the root of greater magnitude first: the other formula would cancel where a is near 0.
    large = -0.5 * (b + np.copysign(np.sqrt(inner), b))
    low, high = sorted((large / a, c / large if large else 0.0))
    return [(-np.inf, low), (high, np.inf)] if a > 0 else [(low, high)]


def _mass(low: float, high: float) -> float:
    """Return the mass of N(0, 1) between two points, without loss of digits in the upper tail."""
    if low > 0:
        low, high = -high, -low
    if low == -np.inf:
        return float(np.exp(log_ndtr(high)))
    return float(ndtr(high) - ndtr(low))
