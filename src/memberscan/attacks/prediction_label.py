"""Prediction and label together: how the error depends on the label, which the error alone does not show.

A network regresses to the mean age, so its errors depend on age, more regularly for members than for others.
The classifier uses the signed residual, its size and square, and the products of the first two with the
label: age, or what else the model predicts.

The label is used only in products with the residual. By itself it says nothing about the model, and an attack
that used it would tell members from non-members wherever members are older.

Source: Gupta et al., "Membership Inference Attacks on Deep Regression Models for Neuroimaging" (MIDL 2021),
who train a classifier on prediction and label; the choice of columns is ours.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from memberscan.attacks.learned import Block, LearnedAttack
from memberscan.signals import PREDICTION, View

if TYPE_CHECKING:
    from jaxtyping import Float


def residual_and_label(view: View) -> Float[np.ndarray, "n 5"]:
    """Return residual, its size and square, and the products of the first two with the label."""
    r, label = view.residual, view.label
    size, y = np.abs(r), label - label.mean()
    # Minus their means: the product of the label with the mean size of the residuals would be the label.
    return np.column_stack([r, size, r**2, (r - r.mean()) * y, (size - size.mean()) * y])


PREDICTION_LABEL = LearnedAttack(
    "prediction+label",
    "the prediction and the true value together",
    (PREDICTION,),
    blocks=(Block(residual_and_label),),
)
