"""Gaussian differential privacy: its parameter mu, and the epsilon that goes with a delta."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import brentq
from scipy.special import log_ndtr, ndtr, ndtri

if TYPE_CHECKING:
    from jaxtyping import Float


def smallest_fpr_gaussian(
    tpr: Float[np.ndarray, " *shape"], mu: Float[np.ndarray, " *shape"] | float
) -> Float[np.ndarray, " *shape"]:
    """Return the smallest false-positive rate at which a true-positive rate is allowed under mu-privacy.

    Telling a mechanism with somebody from one without is as hard as telling N(mu, 1) from N(0, 1). Source:
    Dong, Roth and Su, J. R. Stat. Soc. B 84, 2022.
    """
    return np.asarray(ndtr(ndtri(tpr) - mu))


def log_delta(epsilon: float, mu: float) -> float:
    """Return the logarithm of the smallest delta of a mu-private Gaussian mechanism at an epsilon.

    delta = Phi(-epsilon / mu + mu / 2) - e^epsilon Phi(-epsilon / mu - mu / 2). Source: Balle and Wang, ICML
    2018; Dong, Roth and Su, corollary 2.13.
    """
    # Both terms may be below the smallest floating-point number; their logarithms are not.
    first = float(log_ndtr(-epsilon / mu + mu / 2))
    share = epsilon + float(log_ndtr(-epsilon / mu - mu / 2)) - first
    return first + float(np.log(-np.expm1(share))) if share < 0 else -np.inf


def gaussian_epsilon(mu: float, delta: float) -> float:
    """Return the epsilon of a mu-private Gaussian mechanism at a delta above 0; it may be 0."""
    wanted = float(np.log(delta))
    if mu <= 0 or log_delta(0.0, mu) <= wanted:
        return 0.0
    # Phi(-x) <= exp(-x^2 / 2) for x >= 0, so at this epsilon delta is no greater than wanted.
    highest = mu**2 / 2 + mu * np.sqrt(-2 * wanted)
    return float(brentq(lambda epsilon: log_delta(epsilon, mu) - wanted, 0.0, highest, xtol=1e-12))


def gaussian_mu(epsilon: float, delta: float) -> float:
    """Return the largest mu whose :func:`gaussian_epsilon` is at most ``epsilon``, which is above 0."""
    wanted, highest = float(np.log(delta)), 1.0
    # Delta rises from 0 to 1 with mu, and is below any positive number for a small one.
    while log_delta(epsilon, highest) <= wanted:
        highest *= 2
    lowest = highest
    while log_delta(epsilon, lowest) > wanted:
        lowest /= 2
    found = brentq(lambda mu: log_delta(epsilon, mu) - wanted, lowest, highest, rtol=1e-12)
    return float(found * (1 - 1e-9))
