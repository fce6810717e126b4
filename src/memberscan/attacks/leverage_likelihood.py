"""The likelihood of an error with and without a scan, from its leverage in the last layer.

Training a linear model on a scan divides its residual by 1 + h, where h is the scan's leverage. With s2 the
variance of what no model predicts, residuals of members have variance s2 / (1 + h), and those of others
s2 (1 + h). References that were not trained on the scan, or a single one, tell what no model predicts of it:
what remains unknown is then mostly how the training set moved the prediction, with variance s2 h. That is the
Laplace approximation of the last layer.

Source: Dorseuil, Atif and Cappé (arXiv:2602.15919), who show that leverage decides what a Gaussian linear
model gives away; Liu et al. (BMIA, arXiv:2503.07482), who take the variance of a classifier's score from a
Laplace approximation of one reference. The statistics and how their two numbers are found are ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import expit

from memberscan.attacks.references.trials import Trials
from memberscan.attacks.unfitted import LowerForMembers
from memberscan.attacks.with_references import Compared
from memberscan.signals import PREDICTION, View
from memberscan.signals.activations import ACTIVATION
from memberscan.signals.reference_models import REFERENCE_MEMBERS, REFERENCE_PREDICTIONS

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


@dataclass(frozen=True, eq=False)
class Errors:
    """Residuals of a model, and what references that were not trained on a scan say of it.

    Parameters
    ----------
    residual
        Of the model.
    mean
        Mean residual of such references; 0 where there are none.
    count
        How many there are, the same for all scans or by scan.
    """

    residual: Float[np.ndarray, " scans"]
    mean: Float[np.ndarray, " scans"] | float = 0.0
    count: Float[np.ndarray, " scans"] | float = 0.0

    @classmethod
    def beside_references(cls, view: View) -> Errors:
        """Return the model's residuals and its references', each without the mean of that model."""
        trial = Trials.of_target(Compared.of(view)).centred
        outs = trial.moments.outs
        return cls(trial.residual[0], outs.mean[0], outs.count[0])

    def expected(self, h: Float[np.ndarray, " scans"]) -> Float[np.ndarray, " scans"]:
        """Return the residual to expect of a model that was not trained on the scan.

        The mean of n references is what no model predicts, of variance s2, and an error of variance s2 h / n:
        the first is expected to be n / (n + h) of it.
        """
        return np.asarray(self.count / (self.count + h) * self.mean)

    def spread(self, h: Float[np.ndarray, " scans"]) -> Float[np.ndarray, " scans"]:
        """Return the variance around it, in units of s2: of the model's error, and of what is expected."""
        return np.asarray(h + h / (self.count + h))


def log_ratio(errors: Errors, h: Float[np.ndarray, " scans"], variance: float) -> Float[np.ndarray, " scans"]:
    """Return log p(r | member) - log p(r | other) from residuals and leverages."""
    inside, outside = _squares(errors, h)
    return np.asarray(np.log1p(h) + (outside - inside) / (2 * variance))


def _squares(
    errors: Errors, h: Float[np.ndarray, " scans"]
) -> tuple[Float[np.ndarray, " scans"], Float[np.ndarray, " scans"]]:
    """Return squared deviations of members and of others, in units of the variance of each side over s2.

    A member's residual times 1 + h has the law of that of others.
    """
    expected, spread = errors.expected(h), errors.spread(h)
    return (errors.residual * (1 + h) - expected) ** 2 / spread, (errors.residual - expected) ** 2 / spread


def fitted(errors: Errors, h: Float[np.ndarray, " scans"]) -> tuple[Float[np.ndarray, " scans"], float]:
    """Return leverages of the most likely scale, and the most likely variance, without any membership.

    The likelihood is that of a mixture in which half of the scans are members'. For each scale, the variance
    is found by expectation maximisation, which starts from that of the scale before. If the smallest scale is
    the most likely, errors show no such law: leverages are then equal, and without references the ratio ranks
    scans by error.
    """
    shape, variance = h / np.median(h), max(float(np.mean(errors.residual**2)), TINY)
    laws = []
    for scale in SCALES:
        scaled = scale * shape
        inside, outside = _squares(errors, scaled)
        for _ in range(STEPS):
            chance = expit(log_ratio(errors, scaled, variance))
            variance = max(float(np.mean(chance * inside + (1 - chance) * outside)), TINY)
        laws.append((float(np.mean(log_likelihood(errors, scaled, variance))), scale, variance))
    _, scale, variance = max(laws)
    return scale * (np.ones_like(h) if scale == SCALES[0] else shape), variance


def log_likelihood(
    errors: Errors, h: Float[np.ndarray, " scans"], variance: float
) -> Float[np.ndarray, " scans"]:
    """Return the log density of each residual in the mixture, up to a constant."""
    inside, outside = _squares(errors, h)
    both = np.logaddexp(np.log1p(h) - inside / (2 * variance), -outside / (2 * variance))
    return np.asarray(both - np.log(errors.spread(h)) / 2 - np.log(variance) / 2)


def minus_log_ratio(view: View, errors: Errors) -> Float[np.ndarray, " scans"]:
    """Return minus the log-likelihood ratio of each scan."""
    return -log_ratio(errors, *fitted(errors, leverages(view[ACTIVATION])))


LEVERAGE_LIKELIHOOD = LowerForMembers(
    "leverage-likelihood",
    "how likely the error is with and without this scan, by its leverage in the last layer",
    (PREDICTION, ACTIVATION),
    on_request=True,
    measure=lambda view: minus_log_ratio(view, Errors(view.residual)),
)
LEVERAGE_LIKELIHOOD_REFERENCES = LowerForMembers(
    "leverage-likelihood:references",
    "how likely the error is with and without this scan, by its leverage and by reference models",
    (PREDICTION, ACTIVATION, REFERENCE_PREDICTIONS, REFERENCE_MEMBERS),
    on_request=True,
    measure=lambda view: minus_log_ratio(view, Errors.beside_references(view)),
)
