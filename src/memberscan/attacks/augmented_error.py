"""The error on a scan, compared with that on changed copies of it, which the model was not trained on.

A model that learnt a scan by heart errs less on it than on the same scan moved by a voxel. How hard a person
is to predict cancels out, so that a few more queries replace reference models in part.

Source: queries of augmented copies are from Choquette-Choo et al., "Label-Only Membership Inference Attacks"
(ICML 2021); the difference of errors is that of Watson et al. (ICLR 2022), who compare with reference models.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from memberscan.attacks.learned import Block, LearnedAttack
from memberscan.attacks.unfitted import LowerForMembers
from memberscan.signals import PREDICTION, View
from memberscan.signals.augmented_predictions import AUGMENTED_PREDICTIONS

if TYPE_CHECKING:
    from jaxtyping import Float


def excess(view: View) -> Float[np.ndarray, "n copies"]:
    """Return how much larger the absolute error is on each copy than on the scan."""
    errors = np.abs(view.residuals(view[AUGMENTED_PREDICTIONS], scans=0))
    return np.asarray(errors - np.abs(view.residual)[:, None])


def minus_mean_excess(view: View) -> Float[np.ndarray, " n"]:
    """Return minus the mean over copies, which is smaller for members."""
    return np.asarray(-excess(view).mean(axis=1))


def of_copies(view: View) -> Float[np.ndarray, "n d"]:
    """Return each copy's excess, their mean, the absolute error, and how copies spread."""
    each, spread = excess(view), np.std(view[AUGMENTED_PREDICTIONS], axis=1)
    return np.column_stack([each, each.mean(axis=1), np.abs(view.residual), spread])


AUGMENTED_ERROR = LearnedAttack(
    "augmented-error",
    "the error on the scan, compared with that on changed copies of it",
    (PREDICTION, AUGMENTED_PREDICTIONS),
    blocks=(Block(of_copies),),
)
ZERO_KNOWLEDGE_AUGMENTED = LowerForMembers(
    "augmented-error:zero-knowledge",
    "the error on the scan, compared with that on changed copies of it, without known people",
    (PREDICTION, AUGMENTED_PREDICTIONS),
    measure=minus_mean_excess,
)
