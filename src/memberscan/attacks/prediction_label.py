"""Prediction and label jointly: how the error goes with age, which one number, the error, does not show.

A network regresses to the mean age: its errors follow age, for its members more regularly than for others. So
the classifier sees the signed residual, its size and square, and the products of the first two with age.

Age enters only together with the residual, and only as far as the two go together: age by itself says nothing
of the model, and an attack that saw it would find who was trained on wherever members are older.

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


def residual_and_age(view: View) -> Float[np.ndarray, "n 5"]:
    """Return residual, its size and square, and the products of the first two with age."""
    r, age = view.residual, view.age
    size, y = np.abs(r), age - age.mean()
    # Less their means, since the product of age with the mean size of the residuals would be age itself.
    return np.column_stack([r, size, r**2, (r - r.mean()) * y, (size - size.mean()) * y])


PREDICTION_LABEL = LearnedAttack(
    "prediction+label",
    "the prediction and the true age together",
    (PREDICTION,),
    blocks=(Block(residual_and_age),),
)
