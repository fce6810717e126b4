"""EB-LiRA: a likelihood ratio whose law for members is learnt over all people at once. The attack is ours."""

from __future__ import annotations

from functools import partial
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from memberscan.attacks.references.moments import Moments, Side
from memberscan.attacks.references.trials import Trials, standardised
from memberscan.attacks.references.tuning import on_target
from memberscan.attacks.with_references import ReferenceAttack

if TYPE_CHECKING:
    from jaxtyping import Float

RIDGE = 1e-6
WEIGHTS = (8.0, np.inf)
"""Weights of the learnt mean, in references, beside a person's own mean."""


def empirical_bayes(
    trials: Trials, *, weight: float = 8.0, trend: bool = True
) -> Float[np.ndarray, "models scans"]:
    """Return the log ratio of Student-t densities, the mean for members shrunk to what others show.

    Parameters
    ----------
    trials
        Residuals.
    weight
        How many references the learnt mean counts for; infinity ignores a person's own mean.
    trend
        Whether each model's trend with the label is removed first, or only its mean.
    """
    same = trials.detrended if trend else trials.centred
    moments = same.moments
    learnt = moments.outs.mean + learnt_shift(moments, standardised(trials.label))
    share = 1.0 if np.isinf(weight) else weight / (weight + moments.ins.count)
    mean = share * learnt + (1 - share) * moments.ins.mean
    ins = Side(moments.ins.count, mean, moments.ins.squares, moments.ins.pooled)
    return np.asarray(ins.log_density(same.residual) - moments.outs.log_density(same.residual))


def learnt_shift(moments: Moments, label: Float[np.ndarray, " scans"]) -> Float[np.ndarray, "models scans"]:
    """Predict how far training on a scan moves its residual: a regression over all scans.

    The shift is fitted on 1, the mean residual without the scan, label, its square and label times its size.
    A scan weighs more if its two means are of more references.
    """
    ins, outs = moments.ins, moments.outs
    shared = np.stack([np.ones_like(label), label, label**2, label * np.abs(label)], axis=1)
    design = np.concatenate([outs.mean[:, :, None], np.broadcast_to(shared, (*outs.mean.shape, 4))], axis=2)
    usable = (ins.count > 0) & (outs.count > 0)
    weight = usable / (1 / np.maximum(ins.count, 1) + 1 / np.maximum(outs.count, 1))
    weighted = (design * weight[:, :, None]).swapaxes(1, 2)
    gram = weighted @ design
    gram += RIDGE * np.trace(gram, axis1=1, axis2=2)[:, None, None] / 5 * np.eye(5) + RIDGE * np.eye(5)
    moved = weighted @ (ins.mean - outs.mean)[:, :, None]
    return np.asarray((design @ np.linalg.solve(gram, moved))[:, :, 0])


EMPIRICAL_BAYES = ReferenceAttack(
    "empirical-bayes",
    "how likely the error is with and without this person, learnt over all people at once",
    statistic=on_target(
        *(partial(empirical_bayes, trend=t, weight=w) for t, w in product((True, False), WEIGHTS))
    ),
    log_likelihood_ratio=True,
)
