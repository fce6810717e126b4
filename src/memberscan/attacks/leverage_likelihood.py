"""The likelihood of an error with and without a scan, from its leverage in the last layer; no references.

Training a linear model on a scan divides its residual by 1 + h, where h is the scan's leverage. With s2 the
variance of what no model predicts, residuals of members have variance s2 / (1 + h), those of others
s2 (1 + h), and the log ratio of both densities is log(1 + h) - r^2 / (2 s2) ((1 + h) - 1 / (1 + h)).

Source: Dorseuil, Atif and Cappé (arXiv:2602.15919), who show that leverage decides what a Gaussian linear
model gives away. The statistic and how its two numbers are found are ours.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.special import expit

from memberscan.attacks.unfitted import LowerForMembers
from memberscan.signals import PREDICTION, View
from memberscan.signals.activations import ACTIVATION

if TYPE_CHECKING:
    from jaxtyping import Float

RIDGE = 0.01
"""Penalty in units of the mean squared singular value."""
SCALES = np.geomspace(0.05, 200.0, 28)
"""Typical leverages that are tried: all layers learn, so that the true one exceeds that of the last layer."""
STEPS = 20
TINY = 1e-12


def leverages(features: Float[np.ndarray, "scans d"]) -> Float[np.ndarray, " scans"]:
    """Return the leverage of each scan in a ridge regression, with an intercept, on all other scans.

    A scan's own entry H of the hat matrix is h / (1 + h), so one decomposition serves all scans. Every scan
    is left out in the same way, whether it is a member's or not.
    """
    centred = np.asarray(features, dtype=float) - np.mean(features, axis=0, dtype=float)
    vectors, s, _ = np.linalg.svd(centred, full_matrices=False)
    energy = s**2
    shrunk = energy / (energy + max(RIDGE * float(energy.mean()), TINY))
    own = np.minimum(1 / len(centred) + vectors**2 @ shrunk, 1 - 1e-6)
    return np.asarray(own / (1 - own))


def log_ratio(
    square: Float[np.ndarray, " scans"], h: Float[np.ndarray, " scans"], variance: float
) -> Float[np.ndarray, " scans"]:
    """Return log p(r | member) - log p(r | other) from squared residuals and leverages."""
    return np.asarray(np.log1p(h) - square / (2 * variance) * ((1 + h) - 1 / (1 + h)))


def fitted(
    square: Float[np.ndarray, " scans"], h: Float[np.ndarray, " scans"]
) -> tuple[Float[np.ndarray, " scans"], float]:
    """Return leverages of the most likely scale, and the most likely variance, without any membership.

    The likelihood is that of a mixture in which half of the scans are members'. For each scale, the variance
    is found by expectation maximisation, which starts from that of the scale before. If the smallest scale is
    the most likely, errors show no such law: leverages are then equal, and the ratio ranks scans by error.
    """
    shape, variance = h / np.median(h), max(float(np.mean(square)), TINY)
    laws = []
    for scale in SCALES:
        scaled = scale * shape
        for _ in range(STEPS):
            chance = expit(log_ratio(square, scaled, variance))
            weight = chance * (1 + scaled) + (1 - chance) / (1 + scaled)
            variance = max(float(np.mean(weight * square)), TINY)
        laws.append((float(np.mean(log_likelihood(square, scaled, variance))), scale, variance))
    _, scale, variance = max(laws)
    return scale * (np.ones_like(h) if scale == SCALES[0] else shape), variance


def log_likelihood(
    square: Float[np.ndarray, " scans"], h: Float[np.ndarray, " scans"], variance: float
) -> Float[np.ndarray, " scans"]:
    """Return the log density of each residual in the mixture, up to a constant."""
    inside = np.log1p(h) / 2 - square * (1 + h) / (2 * variance)
    outside = -np.log1p(h) / 2 - square / (2 * variance * (1 + h))
    return np.asarray(np.logaddexp(inside, outside) - np.log(variance) / 2)


def minus_log_ratio(view: View) -> Float[np.ndarray, " scans"]:
    """Return minus the log-likelihood ratio of each scan."""
    square = view.residual**2
    return -log_ratio(square, *fitted(square, leverages(view[ACTIVATION])))


LEVERAGE_LIKELIHOOD = LowerForMembers(
    "leverage-likelihood",
    "how likely the error is with and without this scan, by its leverage in the last layer",
    (PREDICTION, ACTIVATION),
    on_request=True,
    measure=minus_log_ratio,
)
