"""RMIA and BASE: a model's confidence in a person's label, compared with that of reference models.

Sources: Zarifzadeh, Liu and Shokri, "Low-Cost High-Power Membership Inference Attacks" (ICML 2024); Lassila
et al., "Practical Bayes-Optimal Membership Inference Attacks" (NeurIPS 2025). Both are for classifiers, and
so they are here for classes: the probability of the right one is exp(-r^2 / 2) with the deviance residual r.
For numbers, exp(-r^2 / 2T) stands for it, which is at most 1 as the offline formula needs.
"""

from __future__ import annotations

from functools import partial
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from memberscan.attacks.references.moments import TINY
from memberscan.attacks.references.trials import Trials
from memberscan.attacks.references.tuning import on_target
from memberscan.attacks.with_references import ReferenceAttack

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

TEMPERATURES = (1.0, 4.0, 0.25, 0.06, 0.01)
"""T in units of the mean squared error, or without a unit; the first is used where nothing can be chosen."""
SHARES = (0.5, 0.0, 0.2, 0.8, 1.0)
"""a: members' confidence is taken to be a p + 1 - a, p that in others."""


def base(trials: Trials, *, temperature: float = 1.0) -> Float[np.ndarray, "models scans"]:
    """Return the log of the model's confidence over the mean confidence of all references."""
    same = comparable(trials)
    everyone = np.ones_like(trials.inside)
    confidence = _exponent(same.residual, temperature)
    return np.asarray(confidence - log_mean_confidence(same, everyone, temperature))


def rmia(trials: Trials, *, temperature: float = 1.0, a: float = 0.5) -> Float[np.ndarray, "models scans"]:
    """Return RMIA's log ratio from references that did not see the scan.

    Members' confidence is taken to be a p + 1 - a, p that of these references, and the score is
    p(model) / ((1 + a) p + 1 - a) * 2. RMIA's own score is the share of other people whose ratio is smaller
    (gamma = 1), which ranks people alike.
    """
    same = comparable(trials)
    out = np.exp(log_mean_confidence(same, ~trials.inside, temperature))
    mean = np.maximum(((1 + a) * out + 1 - a) / 2, TINY)
    return np.asarray(_exponent(same.residual, temperature) - np.log(mean))


def comparable(trials: Trials) -> Trials:
    """Return residuals in units of which 1 is the same for all models: those of classes are so already."""
    return trials if trials.classes else trials.centred


def _exponent(residual: np.ndarray, temperature: float) -> np.ndarray:
    # Residuals of numbers are normalised, so that 1 is the mean squared error.
    return np.asarray(-(residual**2) / (2 * temperature))


def log_mean_confidence(
    same: Trials, counted: Bool[np.ndarray, "references scans"], temperature: float
) -> Float[np.ndarray, "models scans"]:
    """Return the log of the mean confidence of those references that count, without underflow."""
    exponent = np.where(counted, _exponent(same.references, temperature), -np.inf)
    top = np.where(counted.any(axis=0), exponent.max(axis=0), 0.0)
    total = same.used @ np.exp(exponent - top)
    count = same.used @ counted.astype(float)
    return np.asarray(top + np.log(np.maximum(total, TINY) / np.maximum(count, 1)))


RMIA = ReferenceAttack(
    "rmia",
    "confidence in what is true of this person, compared with reference models that did not see the person",
    statistic=on_target(*(partial(rmia, temperature=t, a=a) for t, a in product(TEMPERATURES, SHARES))),
)
BASE = ReferenceAttack(
    "base",
    "confidence in what is true of this person, compared with all reference models",
    statistic=on_target(*(partial(base, temperature=t) for t in TEMPERATURES)),
)
