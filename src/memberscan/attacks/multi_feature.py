"""Many measurements of a model's behaviour at a scan together: a baseline from the literature on tables.

Source: Cahana, Hersko, Wegerhoff, Elovici and Shabtai, "Multi-Feature Membership Analysis for Tabular
Regression Models" (ECAI 2025), who learn from statistics of augmented queries, from the variation of an
ensemble, and from targeted perturbations. Only the abstract was available to us: the columns are ours.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from memberscan.attacks.augmented_error import excess
from memberscan.attacks.learned import Block, LearnedAttack, symmetric_log
from memberscan.signals import PREDICTION, View
from memberscan.signals.augmented_predictions import AUGMENTED_PREDICTIONS
from memberscan.signals.reference_models import REFERENCE_PREDICTIONS

if TYPE_CHECKING:
    from jaxtyping import Float


def of_error(view: View) -> Float[np.ndarray, "n 2"]:
    """Return the absolute residual and its square."""
    return np.column_stack([np.abs(view.residual), view.residual**2])


def of_augmentation(view: View) -> Float[np.ndarray, "n 4"]:
    """Return how predictions of changed copies spread, how far they lie from the scan's, and their errors."""
    copies = np.asarray(view[AUGMENTED_PREDICTIONS], dtype=float)
    moved = np.abs(copies - view[PREDICTION][:, None])
    return np.column_stack(
        [copies.std(axis=1), moved.mean(axis=1), moved.max(axis=1), excess(view).mean(axis=1)]
    )


def of_ensemble(view: View) -> Float[np.ndarray, "n 3"]:
    """Return how far an ensemble's models differ, how far the model is from them, and whose error is less."""
    others = np.asarray(view[REFERENCE_PREDICTIONS], dtype=float)
    apart = np.abs(view[PREDICTION] - others.mean(axis=0))
    less = np.abs(view.residuals(others)).mean(axis=0) - np.abs(view.residual)
    return np.column_stack([others.std(axis=0), apart, less])


def of_targeted(view: View) -> Float[np.ndarray, "n 2"]:
    """Return how far the best and the worst of the changes bring the error below, and above, the scan's."""
    each = excess(view)
    return np.column_stack([each.min(axis=1), each.max(axis=1)])


MULTI_FEATURE = LearnedAttack(
    "multi-feature",
    "errors, changed copies and the variation of reference models together",
    (PREDICTION, AUGMENTED_PREDICTIONS, REFERENCE_PREDICTIONS),
    blocks=tuple(
        Block(read, symmetric_log) for read in (of_error, of_augmentation, of_ensemble, of_targeted)
    ),
    on_request=True,
)
