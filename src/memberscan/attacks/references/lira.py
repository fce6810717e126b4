"""Likelihood-ratio attacks (LiRA): how likely a residual is under references with, and without, the scan.

Source: Carlini et al., "Membership Inference Attacks From First Principles" (IEEE S&P 2022). The shrinkage of
variances follows "BaVarIA" (arXiv 2603.11799). That the signed residual is the statistic to use for a scalar
target is ours.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.special import log_ndtr

from memberscan.attacks.references.moments import TINY, normal
from memberscan.attacks.references.trials import Trials
from memberscan.attacks.references.tuning import on_target
from memberscan.attacks.with_references import ReferenceAttack
from memberscan.target_variable import minus_logit

if TYPE_CHECKING:
    from jaxtyping import Float

OFFSET = 1e-3
"""Added to squared errors before the logarithm, as a share of the references' mean squared error."""
FLOOR = 1e-2
"""Least variance of a scan, as a share of the pooled one: two references may agree by chance."""


def log_square(trials: Trials, offset: float = OFFSET) -> Trials:
    """Return the logarithm of each squared residual; of classes, minus the logit of the right one.

    The logit of a probability p is log(p / (1 - p)), whose law over models is nearly Gaussian. The logarithm
    of a squared residual resembles it: where the cross-entropy is small, they are the same but for a sign and
    a constant.
    """
    if trials.classes:
        return trials.of(minus_logit)
    floor = max(offset * float(np.mean(trials.references**2)), TINY)
    return trials.of(lambda residual: np.log(residual**2 + floor))


def gaussian_ratio(
    trials: Trials, *, fixed_variance: bool = False, floor: float = FLOOR
) -> Float[np.ndarray, "models scans"]:
    """Return the Gaussian log-likelihood ratio of each scan, variances by scan or the same for all."""
    ins, outs = trials.moments.ins, trials.moments.outs
    densities = []
    for side in (ins, outs):
        variance = side.same_variance if fixed_variance else side.own_variance
        densities.append(normal(trials.residual - side.mean, np.maximum(variance, floor * side.pooled)))
    return np.asarray(densities[0] - densities[1])


def shrunk_ratio(trials: Trials) -> Float[np.ndarray, "models scans"]:
    """Return the log ratio of the two sides' Student-t predictive densities."""
    ins, outs = trials.moments.ins, trials.moments.outs
    return np.asarray(ins.log_density(trials.residual) - outs.log_density(trials.residual))


def usual(trials: Trials) -> Float[np.ndarray, "models scans"]:
    """LiRA as it is used for classifiers: Gaussians of log squared errors or logits, variances by scan."""
    return gaussian_ratio(log_square(trials))


def fixed_variance(trials: Trials) -> Float[np.ndarray, "models scans"]:
    """LiRA on log squared errors or logits with one variance for all scans."""
    return gaussian_ratio(log_square(trials), fixed_variance=True)


def signed(trials: Trials) -> Float[np.ndarray, "models scans"]:
    """LiRA on signed residuals, each model's normalised by label, with shrunk variances."""
    return shrunk_ratio(trials.detrended)


def offline(trials: Trials) -> Float[np.ndarray, "models scans"]:
    """Return log Pr(an error of a model that did not see the scan is larger), from such references only.

    The absolute error is used because it moves one way: a two-sided test of the signed residual is
    worse than chance, since training on a scan shrinks the variance of its residual too.
    """
    size = log_square(trials) if trials.classes else trials.centred.of(np.abs)
    outs = size.moments.outs
    return np.asarray(log_ndtr((outs.mean - size.residual) / np.sqrt(outs.shrunk_variance)))


LIRA = ReferenceAttack(
    "lira",
    "how likely the size of the error is with and without this person, by reference models",
    statistic=on_target(usual),
    log_likelihood_ratio=True,
)
LIRA_FIXED = ReferenceAttack(
    "lira:fixed-variance",
    "how likely the size of the error is with and without this person, with one variance for all people",
    statistic=on_target(fixed_variance),
    log_likelihood_ratio=True,
)
LIRA_SIGNED = ReferenceAttack(
    "lira:signed",
    "how likely the signed error is with and without this person, by reference models",
    statistic=on_target(signed),
    log_likelihood_ratio=True,
)
LIRA_OFFLINE = ReferenceAttack(
    "lira:offline",
    "whether the error is smaller than those of reference models that did not see this person",
    statistic=on_target(offline),
)
