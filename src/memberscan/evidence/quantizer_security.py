"""An indicator of how little quantized weights tell of who was trained on, from other trainings' weights.

A quantizer leaves finitely many weights that a training can end with. If one of them is clearly the best for
everybody, a training ends with it whoever is in it, and the weights tell nothing. If several are nearly as
good, who is in decides between them. Source of the idea, and of the form 1 - exp(-n r): Aubinais, Formont,
Piantanida and Gassiat, "An Indicator of Membership Inference Security in Post-Training Quantized Models"
(AISTATS 2026). Which weights are compared, and the constant, are ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import t

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

FEWEST = 20
"""Fewest people that neither of two models was trained on, with whom their losses can be compared."""
CONFIDENCE = 0.95


@dataclass(frozen=True)
class QuantizerSecurity:
    """The indicator of a quantizer.

    Parameters
    ----------
    indicator
        1 - exp(-n r): near 1 if other people would hardly lead to other weights, near 0 if they might.
    low
        What it is at least, with one-sided confidence of 95%, for these weights, if the best of them are what
        they seem.
    compared
        With how many other weights the best ones were compared.
    """

    indicator: float
    low: float
    compared: int


def quantizer_security(
    losses: Float[np.ndarray, "models people"], inside: Bool[np.ndarray, "models people"], members: int
) -> QuantizerSecurity | None:
    """Return the indicator from models of one recipe with one quantizer; None if too few can be compared.

    Let l* be the loss of the best model, l_k that of another one, and d_k = l_k - l*. A training that takes
    the weights with the smallest mean loss of n people takes those of k instead with a chance of about
    exp(-n r_k), r_k = (E d_k)^2 / (2 Var d_k), where the mean of d_k is taken for normal (Cramer). With
    r the smallest r_k, the chance that who is in changes the weights is of the order of exp(-n r).

    It is no guarantee and no bound. Trainings differ by their seeds too, and few of all possible weights
    are seen here, so that r can be smaller than it seems. Its use is to rank quantizers of one recipe.

    Parameters
    ----------
    losses
        Of each person by each model. Models with equal losses for all people count as one.
    inside
        Whether each model was trained on each person: only others say which weights are better.
    members
        How many people the target was trained on: n.
    """
    fresh = np.where(inside, np.nan, losses)
    counts = (~inside).sum(axis=1)
    if len(losses) < 2 or counts.min() < FEWEST:
        return None
    best = int(np.argmin(np.nanmean(fresh, axis=1)))
    found = []
    for other in range(len(losses)):
        gap = (fresh[other] - fresh[best])[~(inside[other] | inside[best])]
        if other == best or len(gap) < FEWEST or (losses[other] == losses[best]).all():
            continue
        # All limits hold together (Bonferroni), so that the one of the smallest gap does.
        found.append(_standardised(gap, (1 - CONFIDENCE) / (len(losses) - 1)))
    if not found:
        return None
    indicator, low = (1 - np.exp(-members * max(min(gaps), 0) ** 2 / 2) for gaps in zip(*found, strict=True))
    return QuantizerSecurity(float(indicator), float(low), len(found))


def _standardised(gap: Float[np.ndarray, " people"], alpha: float) -> tuple[float, float]:
    """Return the mean divided by the standard deviation, and a lower limit, too high with chance alpha."""
    spread, mean = float(gap.std(ddof=1)), float(gap.mean())
    if spread == 0:
        return (np.inf if mean > 0 else 0.0,) * 2
    # The error of a standardised mean, by the delta method.
    error = np.sqrt((1 + (mean / spread) ** 2 / 2) / len(gap))
    return mean / spread, mean / spread - float(t.ppf(1 - alpha, len(gap) - 1)) * error
