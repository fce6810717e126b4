"""Leverage-LiRA: members' law follows from that of others, as in a linear model. The attack is ours."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from memberscan.attacks.references.moments import TINY, normal
from memberscan.attacks.references.trials import Trials
from memberscan.attacks.references.tuning import aucs_for_references, can_play_target
from memberscan.attacks.with_references import Compared, ReferenceAttack

if TYPE_CHECKING:
    from jaxtyping import Float

KAPPA = 2.0
"""1 / (1 - share trained on): references that are halves of one pool overlap, and so vary less."""
GRID = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0)


def leverage(trials: Trials, *, kappa: float = KAPPA) -> Float[np.ndarray, "models scans"]:
    """Return the log-likelihood ratio of a linear model, from references that did not see the scan.

    There the residual r of a model becomes r / (1 + h) if it is trained on the scan too, with the leverage
    h = kappa v / s2: v is the variance of r over models, and s2 that which no model predicts. Only the mean
    of each model's residuals is removed first, since the trend with age is what the law is about.
    """
    same = trials.centred
    outs = same.moments.outs
    variance = outs.shrunk_variance
    # The mean over references is noisy, so its square is too large by the variance of that mean.
    excess = variance / np.maximum(outs.count, 1)
    noise = np.mean(outs.mean**2 - excess, axis=1, keepdims=True)
    h = kappa * variance / np.maximum(noise, 0.05 * np.mean(outs.mean**2, axis=1, keepdims=True) + TINY)
    deviation = same.residual
    without = normal(deviation - outs.mean, variance)
    return np.asarray(normal(deviation - outs.mean / (1 + h), variance / (1 + h) ** 2) - without)


def tuned(compared: Compared) -> Float[np.ndarray, " scans"]:
    """Return leverage-LiRA with the kappa that tells best whom references were trained on.

    If that is the largest of the grid, the linear law does not hold, and the absolute error is the score.
    """
    target = Trials.of_target(compared)
    if not can_play_target(compared):
        return np.asarray(leverage(target)[0])
    choices = [partial(leverage, kappa=kappa) for kappa in GRID]
    best = int(np.argmax(aucs_for_references(compared, choices)))
    if best == len(GRID) - 1:
        return np.asarray(-np.abs(compared.residual))
    return np.asarray(leverage(target, kappa=GRID[best])[0])


LEVERAGE = ReferenceAttack(
    "leverage",
    "how likely the error is with and without this person, by the law of linear models",
    statistic=tuned,
)
